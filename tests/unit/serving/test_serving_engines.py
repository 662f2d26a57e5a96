"""One bundle folder, two engines, the same answers; and the fast one never loads torch."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sapwood.errors import InputError
from sapwood.models import export
from sapwood.models.bundle import GRAPH, BundleCard, write_bundle
from sapwood.serving import engines
from sapwood.testing import tiny

TEXTS = [*[row["text"] for row in tiny.tiny_corpus()][:24], "", "好", "x " * 200]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def bundle(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle")
    export.save(export.graph(model, 64), folder / GRAPH)
    shutil.copyfile(model / "tokenizer.json", folder / "tokenizer.json")
    write_bundle(folder, BundleCard(name="tiny", engine="onnx", labels=tiny.LABELS, max_tokens=64, model="a" * 64, quantise="none"))
    return folder


@pytest.fixture(scope="module")
def engine(bundle: Path) -> engines.Engine:
    return engines.open_engine(bundle, threads=1)


def test_the_exported_engine_answers_as_the_model_does(engine: engines.Engine, model: Path) -> None:
    trained = engines.open_model(model, "a" * 64, threads=1)
    assert np.abs(engine.logits(TEXTS) - trained.logits(TEXTS)).max() < 1e-5
    assert engine.labels == trained.labels == tiny.LABELS


def test_probabilities_sum_to_one_and_keep_the_input_order(engine: engines.Engine) -> None:
    probs = engine.predict(TEXTS)
    assert probs.dtype == np.float32
    assert probs.shape == (len(TEXTS), 2)
    assert np.allclose(probs.sum(1), 1, atol=1e-6)
    assert np.allclose(probs[::-1], engine.predict(TEXTS[::-1]), atol=1e-6)
    assert engine.predict([]).shape == (0, 2)


@settings(max_examples=15, deadline=None)
@given(budget=st.integers(1, 3000))
def test_answers_do_not_change_with_the_token_budget(engine: engines.Engine, budget: int) -> None:
    assert np.allclose(engine.predict(TEXTS, budget), engine.predict(TEXTS), atol=1e-6)


def test_tokens_are_counted_before_any_cut(engine: engines.Engine) -> None:
    counts = engine.count_tokens(TEXTS)
    assert counts[-3] == 2
    assert counts[-1] == 202 > engine.card.max_tokens


def test_the_onnx_engine_starts_without_torch(bundle: Path) -> None:
    told = (
        "import sys; from pathlib import Path; from sapwood.serving.engines import open_engine\n"
        "open_engine(Path(sys.argv[1]), 1).warm(); print([m for m in ('torch', 'transformers') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", told, str(bundle)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("gone", ["bundle.json", GRAPH, "tokenizer.json"])
def test_a_bundle_with_a_missing_file_is_an_input_error(bundle: Path, tmp_path: Path, gone: str) -> None:
    shutil.copytree(bundle, tmp_path / "broken")
    (tmp_path / "broken" / gone).unlink()
    with pytest.raises(InputError) as caught:
        engines.open_engine(tmp_path / "broken")
    assert caught.value.next_step


def test_a_card_with_an_unknown_field_is_refused(bundle: Path, tmp_path: Path) -> None:
    shutil.copytree(bundle, tmp_path / "odd")
    (tmp_path / "odd" / "bundle.json").write_text('{"name": "x", "trust": true}')
    with pytest.raises(InputError, match=r"bundle\.json"):
        engines.open_engine(tmp_path / "odd")


def test_a_model_that_does_not_classify_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not classify"):
        engines.open_model(tiny.tiny_model(tmp_path / "lm", labels=()), "b" * 64)
