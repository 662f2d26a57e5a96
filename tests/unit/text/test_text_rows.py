"""Rows lie in shards that are bounded in rows and bytes, and whose bytes depend on the rows only."""

from __future__ import annotations

import itertools
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sapwood.errors import Corrupt
from sapwood.text import rows, writer


def documents(lengths: list[int]) -> list[dict[str, object]]:
    return [rows.document("s", str(place), "x" * length) for place, length in enumerate(lengths)]


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("GROUP_ROWS", 10), ("GROUP_BYTES", 100), ("SHARD_BYTES", 300)):
        monkeypatch.setattr(writer, name, value)


@settings(deadline=None, max_examples=60)
@given(
    lengths=st.lists(st.integers(0, 150), max_size=80),
    cuts=st.lists(st.integers(0, 80), max_size=6),
)
def test_where_batches_end_leaves_no_trace(tmp_path_factory: pytest.TempPathFactory, lengths: list[int], cuts: list[int]) -> None:
    made, one, many = documents(lengths), tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("many")
    rows.write(one, rows.table(made))
    edges = [0, *sorted(cuts), len(made)]
    with writer.Writer(many) as out:
        for start, end in itertools.pairwise(edges):
            out.add(made[start:end])
    assert [shard.read_bytes() for shard in rows.shards(one)] == [shard.read_bytes() for shard in rows.shards(many)]
    assert rows.read(one).column("text").to_pylist() == [row["text"] for row in made]
    assert rows.count(one) == out.count == len(made)


def test_groups_and_shards_are_bounded_in_rows_and_bytes(tmp_path: Path) -> None:
    rows.write(tmp_path, rows.table(documents([1] * 25 + [60] * 12 + [1000] + [1] * 3)))
    shards = [pq.read_metadata(shard) for shard in rows.shards(tmp_path)]
    groups = [[shard.row_group(group).num_rows for group in range(shard.num_row_groups)] for shard in shards]
    assert groups == [[10, 10, 7, 2, 2], [2, 2, 2], [1], [3]]


def test_batches_stream_the_same_rows_in_order_with_the_columns_asked_for(tmp_path: Path) -> None:
    made = documents([5, 50, 500] * 11)
    rows.write(tmp_path, rows.table(made))
    found = list(rows.batches(tmp_path, ["id"], size=4))
    assert [name for batch in found for name in batch.column("id").to_pylist()] == [row["id"] for row in made]
    assert max(batch.num_rows for batch in found) <= 4
    assert found[0].schema.names == ["id"]


def test_no_rows_are_one_empty_shard_and_no_shard_is_corrupt(tmp_path: Path) -> None:
    with pytest.raises(Corrupt, match="no rows"):
        rows.read(tmp_path)
    rows.write(tmp_path, rows.table([]))
    assert rows.count(tmp_path) == 0
    assert list(rows.batches(tmp_path)) == []
    assert rows.read(tmp_path).schema.names == rows.DOCUMENTS.names
