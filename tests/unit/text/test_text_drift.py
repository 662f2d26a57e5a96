"""Two versions of rows: which rows changed, and how far apart they are."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sapwood.text import rows
from sapwood.text.versions import changes, drift
from sapwood.text.versions.profile import BUCKETS, Profile, buckets


def stored(folder: Path, made: dict[str, tuple[str, str, str]]) -> Path:
    """id -> (text, label, language)."""
    folder.mkdir()
    listed = [{**rows.document("s", n, text, language=code), "id": n, "label": label} for n, (text, label, code) in made.items()]
    rows.write(folder, rows.table(listed, rows.EXAMPLES))
    return folder


def profiled(lengths: list[int], labels: str = "") -> Profile:
    found = Profile(rows=len(lengths), lengths=np.bincount(buckets(np.array(lengths, dtype=np.int64)), minlength=BUCKETS))
    found.counts["label"] = Counter(labels)
    return found


def test_added_dropped_rewritten_and_relabelled_rows_are_told_apart(tmp_path: Path) -> None:
    left = stored(
        tmp_path / "a",
        {"1": ("同", "x", "zh"), "2": ("旧文字", "x", "zh"), "3": ("gone", "y", "en"), "4": ("same", "x", "en"), "5": ("p", "x", "en")},
    )
    right = stored(
        tmp_path / "b",
        {"5": ("p", "x", "ja"), "4": ("same", "y", "en"), "1": ("同", "x", "zh"), "2": ("新文字", "x", "zh"), "6": ("来", "x", "zh")},
    )
    found = changes.compare(left, right)
    assert found.counts == Counter({"added": 1, "dropped": 1, "rewritten": 1, "relabelled": 1, "other language": 1})
    assert (found.left, found.right, found.same) == (5, 5, 1)
    assert found.relabelled == Counter({("x", "y"): 1})
    assert [(e.kind, e.id, e.before, e.after) for e in found.examples] == [
        ("added", "6", "", "来"),
        ("dropped", "3", "gone", ""),
        ("rewritten", "2", "旧文字", "新文字"),
        ("relabelled", "4", "x: same", "y: same"),
        ("other language", "5", "en: p", "ja: p"),
    ]


def test_documents_without_labels_compare_with_examples(tmp_path: Path) -> None:
    left = tmp_path / "plain"
    left.mkdir()
    rows.write(left, rows.table([{**rows.document("s", "1", "text", language="en"), "id": "1"}]))
    right = stored(tmp_path / "b", {"1": ("text", "x", "en")})
    assert changes.compare(left, right).counts == Counter({"relabelled": 1})


ROWS = st.dictionaries(
    st.sampled_from("abcdefghij"), st.tuples(st.sampled_from(["1", "二", "3 x"]), st.sampled_from("xy"), st.sampled_from(["en", "zh"]))
)


@settings(max_examples=25, deadline=None)
@given(ROWS, ROWS, st.integers(1, 8))
def test_what_changed_does_not_depend_on_passes_and_is_what_a_join_says(
    tmp_path_factory: pytest.TempPathFactory, one: dict, two: dict, size: int
) -> None:
    base = tmp_path_factory.mktemp("rows")
    left, right = stored(base / "a", one), stored(base / "b", two)
    found, whole = changes.compare(left, right, pass_rows=size), changes.compare(left, right)
    assert found == whole
    shared = one.keys() & two.keys()
    assert found.counts["added"] == len(two.keys() - one.keys())
    assert found.counts["dropped"] == len(one.keys() - two.keys())
    assert found.counts["rewritten"] == sum(one[n][0] != two[n][0] for n in shared)
    assert found.same == sum(one[n] == two[n] for n in shared)
    assert changes.compare(left, left).counts == Counter()


def test_a_long_text_is_shown_around_its_first_difference() -> None:
    before, after = changes.around_difference("长" * 500 + "旧" + "尾" * 500, "长" * 500 + "新" + "尾" * 500)
    assert before.startswith("…长")
    assert "旧" in before
    assert before.endswith("尾…")
    assert "新" in after
    assert len(after) < 200


def test_the_distance_is_the_share_of_rows_that_would_have_to_move() -> None:
    found = drift.of_field("label", Counter(a=80, b=20), Counter(a=50, b=50))
    assert found.distance == pytest.approx(0.3)
    assert found.p is not None
    assert found.p < 1e-4
    assert found.reading == "clear"


def test_chance_is_not_called_drift_and_a_small_sure_shift_is_called_small() -> None:
    assert drift.of_field("label", Counter(a=5, b=5), Counter(a=7, b=3)).reading == "not shown"
    assert drift.of_field("label", Counter(a=50_000, b=50_000), Counter(a=53_000, b=47_000)).reading == "small"
    assert drift.of_field("label", Counter(a=500_000, b=500_000), Counter(a=505_000, b=495_000)).reading == "negligible"


def test_one_value_or_an_empty_side_is_nothing_to_test() -> None:
    assert drift.of_field("label", Counter(a=5), Counter(a=9)).p is None
    assert drift.of_field("label", Counter(a=5), Counter()).reading == "one side is empty"
    assert drift.of_lengths(profiled([]), profiled([1])).reading == "one side is empty"


def test_lengths_that_double_are_a_clear_drift_and_equal_ones_are_none() -> None:
    short, long = list(range(10, 210)), list(range(20, 420, 2))
    moved = drift.of_lengths(profiled(short), profiled(long))
    assert moved.reading == "clear"
    assert moved.psi is not None
    assert moved.psi > 0.25
    same = drift.of_lengths(profiled(short), profiled(short))
    assert (same.distance, same.psi, same.reading) == (0, pytest.approx(0), "not shown")


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 5000), min_size=5, max_size=60), st.lists(st.integers(0, 5000), min_size=5, max_size=60))
def test_the_length_test_agrees_with_scipy(one: list[int], two: list[int]) -> None:
    from scipy.stats import ks_2samp

    kept = [n for n in one if n < 1024] or [1], [n for n in two if n < 1024] or [1]
    ours = drift.of_lengths(profiled(kept[0]), profiled(kept[1]))
    theirs = ks_2samp(*kept, method="asymp")
    assert ours.distance == pytest.approx(float(theirs.statistic))


def test_every_field_is_compared() -> None:
    assert [d.field for d in drift.compare(profiled([1, 2], "ab"), profiled([1, 2], "bb"))] == ["length", "label"]
