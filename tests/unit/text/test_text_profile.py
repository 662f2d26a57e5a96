"""Counts over rows: the same as counting by hand, whatever the batches."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sapwood.text import rows
from sapwood.text.versions import profile
from sapwood.text.versions.profile import BUCKETS, OTHERS, bucket_start, buckets

TEXTS = ["", "水壶", "體育", "The kettle works.", "买了iPhone 15", "x = [1, 2]\nprint(x)\n", "é" * 2000, "短"]


def stored(folder: Path, texts: list[str], label: bool = True) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    made = [
        {
            **rows.document(f"s{i % 2}", str(i), text, language="zh" if i % 2 else "en", license="MIT"),
            "label": str(i % 3),
            "parents": ["p"] * (i % 2),
        }
        for i, text in enumerate(texts)
    ]
    schema = rows.EXAMPLES if label else rows.DOCUMENTS
    rows.write(folder, rows.table([{k: v for k, v in row.items() if k in schema.names} for row in made], schema))
    return folder


def test_counts_are_those_by_hand(tmp_path: Path) -> None:
    found = profile.profile(stored(tmp_path / "rows", TEXTS))
    assert (found.rows, found.characters) == (len(TEXTS), sum(map(len, TEXTS)))
    assert found.bytes == sum(len(text.encode()) for text in TEXTS)
    assert (found.blank, found.children) == (1, 4)
    assert found.counts["language"] == Counter(en=4, zh=4)
    assert found.counts["label"] == Counter({"0": 3, "1": 3, "2": 2})
    assert found.licences == Counter({("s0", "MIT"): 4, ("s1", "MIT"): 4})
    assert found.quantiles([0, 0.5, 1]) == [0, sorted(map(len, TEXTS))[3], 2000]


def test_documents_have_no_labels_to_count(tmp_path: Path) -> None:
    assert "label" not in profile.profile(stored(tmp_path / "rows", TEXTS, label=False)).counts


def test_no_rows_are_a_profile_of_nothing(tmp_path: Path) -> None:
    found = profile.profile(stored(tmp_path / "rows", []))
    assert (found.rows, found.quantiles([0.5]), profile.histogram(found)) == (0, [0], [])


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 1 << 30), min_size=1, max_size=50))
def test_a_bucket_holds_its_length_within_a_fifth_of_a_percent(lengths: list[int]) -> None:
    for length, bucket in zip(lengths, buckets(np.array(lengths)).tolist(), strict=True):
        start = bucket_start(bucket)
        assert 0 <= bucket < BUCKETS
        assert start <= length < bucket_start(bucket + 1)
        assert length - start <= 0.002 * length
        assert length >= 1024 or start == length


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 100_000), min_size=1, max_size=60), st.integers(1, 14))
def test_the_histogram_has_every_row_in_one_bin(lengths: list[int], most: int) -> None:
    found = profile.Profile(rows=len(lengths), lengths=np.bincount(buckets(np.array(lengths)), minlength=BUCKETS))
    bins = profile.histogram(found, most)
    assert sum(number for _, _, number in bins) == len(lengths)
    assert len(bins) <= max(most, 2)
    assert all(low <= high for low, high, _ in bins)
    assert [high + 1 for _, high, _ in bins[:-1]] == [low for low, _, _ in bins[1:]]
    assert bins[0][0] <= min(lengths) <= max(lengths) <= bins[-1][1]


def test_a_field_of_too_many_values_stays_small(monkeypatch: object) -> None:
    counts: Counter[str] = Counter()
    profile.merge(counts, Counter(str(i) for i in range(profile.MOST_VALUES)))
    profile.merge(counts, Counter(["0", "new", "newer"]))
    assert (counts["0"], counts[OTHERS], len(counts)) == (2, 2, profile.MOST_VALUES + 1)
