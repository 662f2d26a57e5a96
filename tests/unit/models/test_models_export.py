"""A classifier becomes a graph that answers as it does, and an int8 graph that nearly does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sapwood.errors import InputError, MissingExtra, Refused
from sapwood.models import export
from sapwood.testing import tiny


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def graphs(model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(fp32, int8)."""
    folder = tmp_path_factory.mktemp("graphs")
    proto = export.graph(model, 64)
    export.save(proto, folder / "whole.onnx")
    export.quantise(proto, folder / "small.onnx")
    return folder / "whole.onnx", folder / "small.onnx"


def test_the_graph_answers_as_the_model_in_every_shape(model: Path, graphs: tuple[Path, Path]) -> None:
    assert export.prove_lossless(model, graphs[0], 64, 2) <= 1e-5


def test_another_models_graph_is_refused(model: Path, graphs: tuple[Path, Path], tmp_path: Path) -> None:
    other = tiny.tiny_model(tmp_path / "other", seed=2)
    with pytest.raises(Refused, match="logits differ"):
        export.prove_lossless(other, graphs[0], 64, 2)


def test_the_graphs_name_no_machine(graphs: tuple[Path, Path]) -> None:
    """That two exports are equal bytes is held by the compress stage's contract test."""
    for path in graphs:
        raw = path.read_bytes()
        assert b"site-packages" not in raw
        assert b"/src/" not in raw


def test_int8_shrinks_the_vocabulary_and_stays_close(graphs: tuple[Path, Path]) -> None:
    import onnx

    small = onnx.load(graphs[1])
    tables = {i.name: i.data_type for i in small.graph.initializer if i.name.endswith(".int8")}
    assert set(tables.values()) == {onnx.TensorProto.INT8}
    assert graphs[1].stat().st_size < 0.7 * graphs[0].stat().st_size
    ids = np.random.default_rng(0).integers(0, 100, (4, 20))
    asked = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    whole, packed = (export.session(path, 1).run(None, asked)[0] for path in graphs)
    assert np.abs(whole - packed).max() < 0.02


@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    scale=st.floats(1e-6, 1e4),
    zero=st.booleans(),
)
def test_row_int8_is_within_half_a_step(seed: int, scale: float, zero: bool) -> None:
    table = (np.random.default_rng(seed).normal(0, scale, (9, 32))).astype(np.float32)
    table[0] *= not zero
    codes, steps = export.row_int8(table)
    assert codes.dtype == np.int8
    assert (np.abs(codes * steps - table) <= 0.5001 * steps).all()


def test_a_damaged_graph_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"not a graph")
    with pytest.raises(InputError, match="onnxruntime cannot open"):
        export.session(tmp_path / "model.onnx")


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, model: Path) -> None:
    monkeypatch.setattr(export, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match="onnx") as caught:
        export.graph(model, 64)
    assert caught.value.next_step == "pip install 'sapwood[onnx]'"


def test_a_second_model_of_the_same_kind_fills_the_first_ones_template_and_answers_as_itself(tmp_path: Path) -> None:
    from sapwood.models import templates

    one, two = tiny.tiny_model(tmp_path / "one", seed=1), tiny.tiny_model(tmp_path / "two", seed=2)
    templates.KEPT.clear()
    traced = export.graph(two, 64)
    templates.KEPT.clear()
    export.graph(one, 64)
    assert len(templates.KEPT) == 1
    assert export.graph(two, 64).SerializeToString(deterministic=True) == traced.SerializeToString(deterministic=True)
