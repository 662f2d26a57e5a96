"""Predictions survive a file unchanged, and a file that does not fit together is refused."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from sapwood.errors import InputError
from sapwood.metrics import predictions, sheet

LABELS = ("neg", "pos")


def made(systems=("a", "b"), n=20):
    rng = np.random.default_rng(0)
    ids = [f"row{i:02}" for i in rng.permutation(n)]
    probs = {system: rng.dirichlet([1, 1], n) for system in systems}
    return predictions.build(ids, [LABELS[i % 2] for i in range(n)], LABELS, probs)


def test_what_is_written_is_read(tmp_path):
    first = made()
    predictions.write(tmp_path, first)
    again = predictions.read(tmp_path, LABELS)
    assert again.ids == first.ids == tuple(sorted(first.ids))
    assert (again.truth == first.truth).all()
    assert all((again.probs[system] == first.probs[system]).all() for system in ("a", "b"))
    assert pq.read_table(tmp_path / predictions.FILE).column_names == ["id", "system", "label", "predicted", "probs"]


def test_the_same_predictions_give_the_same_bytes(tmp_path):
    for name in "xy":
        (tmp_path / name).mkdir()
        predictions.write(tmp_path / name, made())
    assert (tmp_path / "x" / predictions.FILE).read_bytes() == (tmp_path / "y" / predictions.FILE).read_bytes()


@pytest.mark.parametrize(
    ("row", "column", "value", "words"),
    [
        (0, "id", "other", "does not cover the same rows"),
        (0, "label", "neutral", "are not among"),
        (0, "probs", [0.2, 0.2], "not probabilities"),
        (0, "probs", [1.0], "one for each"),
        (0, "id", "row01", "same id"),
    ],
)
def test_a_file_that_does_not_fit_together_is_refused(tmp_path, row, column, value, words):
    predictions.write(tmp_path, made())
    table = pq.read_table(tmp_path / predictions.FILE)
    rows = table.to_pylist()
    rows[row][column] = value
    pq.write_table(type(table).from_pylist(rows, schema=table.schema), tmp_path / predictions.FILE)
    with pytest.raises(InputError, match=words):
        predictions.read(tmp_path, LABELS)


def test_an_answer_must_be_the_most_probable_label(tmp_path):
    predictions.write(tmp_path, made())
    table = pq.read_table(tmp_path / predictions.FILE)
    rows = table.to_pylist()
    rows[3]["predicted"] = "pos" if rows[3]["predicted"] == "neg" else "neg"
    pq.write_table(type(table).from_pylist(rows, schema=table.schema), tmp_path / predictions.FILE)
    with pytest.raises(InputError, match="most probable"):
        predictions.read(tmp_path, LABELS)


def test_a_missing_baseline_row_says_what_to_wire():
    with pytest.raises(InputError, match="baselines step"):
        made().for_ids(["row00", "elsewhere"])
    assert made().for_ids(["row05", "row00"]).ids == ("row00", "row05")


def test_a_label_that_a_system_does_not_know_gets_no_probability():
    wide = predictions.widened(np.array([[0.3, 0.7]]), ("pos", "neg"), ("neg", "neutral", "pos"))
    np.testing.assert_allclose(wide, [[0.7, 0.0, 0.3]], rtol=1e-6)


def test_the_sheet_does_not_change_with_the_order_of_rows():
    base = made(("a",), 60)
    order = np.random.default_rng(9).permutation(60)
    mixed = predictions.Predictions(tuple(base.ids[i] for i in order), LABELS, base.truth[order], {"a": base.probs["a"][order]})
    ours, theirs = sheet.score(base, "a"), sheet.score(mixed, "a")
    assert ours["macro_f1"] == theirs["macro_f1"]
    assert ours["ece"] == pytest.approx(theirs["ece"])
    for metric in ("accuracy", "macro_f1", "log_loss", "brier"):
        assert ours[metric]["low"] <= ours[metric]["value"] <= ours[metric]["high"]


def test_slices_leave_out_what_cannot_be_told_apart():
    base = made(("a",), 20)
    found = sheet.slices(base, "a", {"language": ["zh"] * 12 + ["en"] * 8, "domain": ["book"] * 17 + ["hotel"] * 3, "one": ["x"] * 20})
    assert [(one["slice"], one["n"]) for one in found] == [({"language": "en"}, 8), ({"language": "zh"}, 12), ({"domain": "book"}, 17)]
