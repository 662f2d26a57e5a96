"""A streaming index of documents for near-duplicates: fed batch by batch, it finds clusters and joins without holding the text.

    with Index(work.scratch / "index") as index:
        for batch in rows.batches(folder, ["text"]):
            index.add(batch.column("text").to_pylist())     # rows are numbered in the order of arrival
        cluster = index.clusters(0.8)                        # int64[n]: the lowest row of each row's cluster

Clusters come from shared bands (`signatures`), each pair verified exactly (`clustering`). Joins (`similar`, `contained`) are exact
and miss none. Documents with fewer than `LEAST` shingles are known by their exact key only: an empty set equals nothing.

Memory: 48 bytes a document stay resident (key, sizes, place); 256 bytes of band keys a document and 8 bytes a shingle (1.3 bytes a
byte of English, 2.7 of Chinese) go to `scratch` past the budget. Results depend on neither batches nor, but for names, the order of rows.

It sees wording only, not meaning: paraphrase, translation and traditional against simplified script are different texts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sapwood.text.near import clustering, overlaps, shingling, signatures
from sapwood.text.near.signatures import BANDS, LEAST
from sapwood.text.near.spill import Spill
from sapwood.text.units import Shingles

Array = np.ndarray[Any, Any]

BUDGET = 256 << 20
"""Bytes of shingles and band keys held in memory before they go to disk."""
BLOCK_VALUES = 1 << 22
"""Shingles read back at a time: 32 MB, about 300 MB of working memory in a join."""
BAND_ROWS = 4096
"""Documents whose band keys are written together, band by band."""


class Match(NamedTuple):
    """Per row: the row of its best match on the other side or -1, and their Jaccard similarity (1 for an exact copy, 0 for none)."""

    row: Array
    jaccard: Array


class _Columns(NamedTuple):
    keys: Array
    sizes: Array
    units: Array
    offsets: Array


class Index:
    """A context; on leaving it its files are removed. Without a scratch folder all of it stays in memory."""

    def __init__(self, scratch: Path | None = None, budget: int = BUDGET) -> None:
        budget = budget if scratch else 1 << 62
        self._values = Spill((scratch or Path()) / "shingles.u64", budget * 3 // 4)
        self._bands = Spill((scratch or Path()) / "bands.u64", budget // 4)
        self._waiting: list[Array] = []
        self._blocks: list[int] = []
        self._parts: list[tuple[Array, Array, Array]] = []
        self._columns: _Columns | None = None
        self._count = 0

    def add(self, texts: Sequence[str]) -> None:
        """Documents, numbered on from the last."""
        for found in shingling.windows(texts):
            self._append(found.keys, found.units, found.windows, found.values)

    def add_shingles(self, shingled: Shingles) -> None:
        """Documents whose shingles are at hand."""
        keys = np.frombuffer(b"".join(key or bytes(16) for key in shingled.keys), dtype="<u8").reshape(-1, 2)
        self._append(keys, shingled.units, shingled.sizes, shingled.values)

    def __len__(self) -> int:
        return self._count

    @property
    def keys(self) -> Array:
        """uint64[n, 2]: equal for texts with the same units in the same order; zero for a text of white space only."""
        return self._gathered().keys

    @property
    def sizes(self) -> Array:
        """int64[n]: shingles, repeats included; so at least the distinct ones."""
        return self._gathered().sizes

    @property
    def units(self) -> Array:
        """int64[n]: words and characters, repeats included."""
        return self._gathered().units

    def raw(self, row: int) -> Array:
        """uint64[sizes[row]]: the row's shingles in the order of the text."""
        offsets = self._gathered().offsets
        return self._values.read(int(offsets[row]), int(offsets[row + 1]))

    def band(self, number: int) -> Array:
        """uint64[n]: one band's key of each row, 0 where it has too few shingles."""
        self._flush()
        parts, at = [np.zeros(0, dtype=np.uint64)], 0
        for rows in self._blocks:
            parts.append(self._bands.read(at + number * rows, at + (number + 1) * rows))
            at += BANDS * rows
        return np.concatenate(parts)

    def shingles(self, rows: Array) -> Shingles:
        """The distinct shingles of some rows, in the order given."""
        columns = self._gathered()
        windows = columns.sizes[rows]
        if len(rows) and np.array_equal(rows, np.arange(rows[0], rows[0] + len(rows))):
            values = self._values.read(int(columns.offsets[rows[0]]), int(columns.offsets[rows[-1] + 1])).copy()
        else:
            values = np.concatenate([np.zeros(0, dtype=np.uint64), *(self.raw(row) for row in rows.tolist())])
        values, sizes = shingling.distinct(values, windows)
        offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        names = [key if key.strip(b"\0") else b"" for key in map(bytes, columns.keys[rows])]
        return Shingles(names, columns.units[rows], windows, offsets, values)

    def blocks(self, rows: Array | None = None) -> Iterator[tuple[Array, Shingles]]:
        """(rows, their shingles) of all or some rows, ascending, so many at a time that memory is bounded (or one large document)."""
        rows = np.arange(len(self)) if rows is None else np.sort(rows)
        for first, last in overlaps.pieces(self.sizes[rows] + 8, BLOCK_VALUES):
            yield rows[first:last], self.shingles(rows[first:last])

    def exact(self) -> Array:
        """int64[n]: the first row with the same key. A text of white space only is its own."""
        return clustering.first_of(self.keys)

    def clusters(self, threshold: float, advance: Callable[[float], None] = lambda _: None) -> Array:
        """int64[n]: the lowest row of each row's cluster: equal keys, or Jaccard similarity >= threshold, chained. 0: equal keys only.

        `advance(1)` is called for each of the BANDS steps; it may raise to stop."""
        return clustering.clusters(self, threshold, advance)

    def links(self, threshold: float) -> overlaps.Pairs:
        """Verified pairs that join every cluster, with their similarity; not all alike pairs."""
        return clustering.links(self, threshold)

    def jaccards(self, left: Array, right: Array) -> Array:
        """float64: the exact Jaccard similarity of each pair of rows; 0 with fewer than LEAST shingles."""
        return clustering.jaccards(self, left, right)

    def close(self) -> None:
        self._values.close()
        self._bands.close()

    def __enter__(self) -> Index:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _append(self, keys: Array, units: Array, windows: Array, values: Array) -> None:
        self._values.append(values)
        self._waiting.append(signatures.band_keys(values, windows))
        self._parts.append((keys, windows.astype(np.int32), units.astype(np.int32)))
        self._count += len(keys)
        self._columns = None
        if sum(part.shape[1] for part in self._waiting) >= BAND_ROWS:
            self._flush()

    def _flush(self) -> None:
        if self._waiting:
            block = np.concatenate(self._waiting, axis=1)
            self._bands.append(block.ravel())
            self._blocks.append(block.shape[1])
            self._waiting = []

    def _gathered(self) -> _Columns:
        if self._columns is None:
            keys = np.concatenate([np.zeros((0, 2), dtype=np.uint64), *(part[0] for part in self._parts)])
            sizes = np.concatenate([np.zeros(0, dtype=np.int32), *(part[1] for part in self._parts)])
            units = np.concatenate([np.zeros(0, dtype=np.int32), *(part[2] for part in self._parts)])
            self._parts = [(keys, sizes, units)]
            offsets = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
            self._columns = _Columns(keys, sizes.astype(np.int64), units.astype(np.int64), offsets)
        return self._columns


def similar(left: Index, right: Index, threshold: float, left_rows: Array | None = None, right_rows: Array | None = None) -> overlaps.Pairs:
    """All (row of left, row of right, Jaccard similarity) with similarity >= threshold or equal keys (then 1.0), by left, then right row.

    Exact: by prefix filter over blocks of both sides; time grows with left times the number of right's blocks, so let `right` be the smaller.
    `left` may be `right`: then a row also meets itself. Documents with fewer than LEAST shingles meet by equal keys only.
    """
    left_rows = np.arange(len(left)) if left_rows is None else np.sort(left_rows)
    right_rows = np.arange(len(right)) if right_rows is None else np.sort(right_rows)
    found = [_equal_keys(left, right, left_rows, right_rows)]
    for right_block, right_shingles in right.blocks(right_rows):
        for left_block, left_shingles in left.blocks(left_rows):
            pairs = overlaps.similar_pairs(left_shingles, right_shingles, threshold, LEAST)
            found.append(overlaps.Pairs(left_block[pairs.left], right_block[pairs.right], pairs.score))
    return _merged(found)


def best(left: Index, right: Index, threshold: float) -> Match:
    """Per row of left its best match in right: an exact copy, else the highest Jaccard >= threshold (then the lowest row)."""
    pairs = similar(left, right, threshold)
    index, score = np.full(len(left), -1, dtype=np.int64), np.zeros(len(left))
    order = np.lexsort((-pairs.right, pairs.score))  # later writes win
    index[pairs.left[order]], score[pairs.left[order]] = pairs.right[order], pairs.score[order]
    return Match(index, score)


def contained(documents: Index, texts: Index, coverage: float) -> overlaps.Pairs:
    """All (row of documents, row of texts, coverage) where the document holds at least `coverage` of the text's shingles. Exact."""
    found = []
    for right_block, right_shingles in texts.blocks():
        for left_block, left_shingles in documents.blocks():
            pairs = overlaps.contained(left_shingles, right_shingles, coverage, LEAST)
            found.append(overlaps.Pairs(left_block[pairs.left], right_block[pairs.right], pairs.score))
    return _merged(found)


def _equal_keys(left: Index, right: Index, left_rows: Array, right_rows: Array) -> overlaps.Pairs:
    """Pairs of rows with the same key, score 1."""
    pair = np.dtype([("a", "<u8"), ("b", "<u8")])
    mine = np.ascontiguousarray(left.keys[left_rows]).view(pair).ravel()
    theirs = np.ascontiguousarray(right.keys[right_rows]).view(pair).ravel()
    order = np.lexsort((theirs["b"], theirs["a"]))
    first = np.searchsorted(theirs["a"][order], mine["a"], "left")
    last = np.searchsorted(theirs["a"][order], mine["a"], "right")
    counts = np.where(left.keys[left_rows].any(axis=1), last - first, 0)
    one = np.repeat(np.arange(len(mine)), counts)
    other = order[np.repeat(first - (np.cumsum(counts) - counts), counts) + np.arange(int(counts.sum()))]
    same = mine["b"][one] == theirs["b"][other]
    return overlaps.Pairs(left_rows[one[same]], right_rows[other[same]], np.ones(int(same.sum())))


def _merged(found: list[overlaps.Pairs]) -> overlaps.Pairs:
    """One list in the order of (left, right); of a pair that is in it twice the higher score stays."""
    left = np.concatenate([np.zeros(0, dtype=np.int64), *(pairs.left for pairs in found)])
    right = np.concatenate([np.zeros(0, dtype=np.int64), *(pairs.right for pairs in found)])
    score = np.concatenate([np.zeros(0), *(pairs.score for pairs in found)])
    order = np.lexsort((-score, right, left))
    left, right, score = left[order], right[order], score[order]
    first = np.ones(len(left), dtype=bool)
    first[1:] = (left[1:] != left[:-1]) | (right[1:] != right[:-1])
    return overlaps.Pairs(left[first], right[first], score[first])
