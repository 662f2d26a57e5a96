"""Which texts share most of their shingles: exact joins by prefix filter, with no estimate and no missed pair.

If two sets overlap by at least `need` elements, then they share one among each set's `size - need + 1` rarest (Chaudhuri, Ganti,
Kaushik 2006; Xiao et al. 2008). Only rows that share such a rare shingle are compared, and each comparison is exact. MinHash in
`duplicates` needs less memory on millions of rows; this module proves: no crossing between parts, no evaluation text in training.

It sees wording only: paraphrase and translation share no shingles.
"""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import numpy as np

from sapwood.text.units import HASH_BITS, Shingles

Array = np.ndarray[Any, Any]

MOST_PAIRS = 1 << 22
"""Pairs compared at a time; about 100 MB."""
ELEMENTS = 1 << 22


class Pairs(NamedTuple):
    """Rows `left` and `right`, and `score`: Jaccard similarity or coverage."""

    left: Array
    right: Array
    score: Array


def similar_pairs(left: Shingles, right: Shingles, threshold: float, least: int = 5) -> Pairs:
    """All (row of left, row of right) with Jaccard similarity >= threshold, by left, then right row.

    Rows with fewer than `least` shingles are in no pair: an empty set equals nothing, and a tiny one too much.
    """
    sizes_left, sizes_right = _usable(left, least), _usable(right, least)
    if left is not right:
        rows = np.repeat(np.arange(len(sizes_left)), left.sizes)
        common = np.bincount(rows[_perhaps_in(left.values, right.values)], minlength=len(sizes_left))
        able = np.flatnonzero((sizes_left > 0) & (common >= np.floor(threshold * sizes_left)))
        if len(able) < len(sizes_left):
            found = similar_pairs(subset(left, able), right, threshold, least)
            return Pairs(able[found.left], found.right, found.score)
    vocabulary, ranks = _by_rarity(left.values, right.values)
    prefix_left = _prefixes(left, ranks, vocabulary, sizes_left, threshold)
    prefix_right = _prefixes(right, ranks, vocabulary, sizes_right, threshold)
    pairs = _meeting(*prefix_left, *prefix_right)
    fits = np.minimum(sizes_left[pairs[0]], sizes_right[pairs[1]]) >= threshold * np.maximum(sizes_left[pairs[0]], sizes_right[pairs[1]])
    return _kept(left, right, pairs[0][fits], pairs[1][fits], jaccard, threshold)


def contained(documents: Shingles, texts: Shingles, coverage: float, least: int = 5) -> Pairs:
    """All (row of documents, row of texts) where the document holds at least `coverage` of the text's shingles."""
    sizes = _usable(texts, least)
    known = _perhaps_in(documents.values, texts.values)
    values, rows = documents.values[known], np.repeat(np.arange(len(documents.keys)), documents.sizes)[known]
    vocabulary, ranks = _by_rarity(values, texts.values)
    prefix = _prefixes(texts, ranks, vocabulary, sizes, coverage)
    mine = ranks[np.searchsorted(vocabulary, values)]
    wanted = np.isin(mine, prefix[0])
    left, right = _meeting(mine[wanted], rows[wanted], *prefix)
    return _kept(documents, texts, left, right, covered, coverage)


def jaccard(left: Shingles, right: Shingles, i: Array, j: Array) -> Array:
    """float64: exact Jaccard similarity of the pairs of rows (i, j)."""
    both = _intersections(left, right, i, j)
    either = left.sizes[i] + right.sizes[j] - both
    similarity: Array = both / np.maximum(either, 1)
    return similarity


def covered(left: Shingles, right: Shingles, i: Array, j: Array) -> Array:
    """float64: the share of right row j's shingles that left row i holds."""
    share: Array = _intersections(left, right, i, j) / np.maximum(right.sizes[j], 1)
    return share


def _kept(left: Shingles, right: Shingles, i: Array, j: Array, measure: Any, threshold: float) -> Pairs:
    score = measure(left, right, i, j)
    keep = score >= threshold - 1e-12
    i, j, score = i[keep], j[keep], score[keep]
    order = np.lexsort((j, i))
    return Pairs(i[order], j[order], score[order])


def _usable(shingled: Shingles, least: int) -> Array:
    """Sizes, with 0 for the rows that are too short to compare."""
    return np.where(shingled.sizes >= max(least, 1), shingled.sizes, 0)


def _by_rarity(left: Array, right: Array) -> tuple[Array, Array]:
    """(distinct hashes, ascending; the rank of each from the rarest on, ties by hash)."""
    values = np.sort(np.concatenate([left, right]))
    firsts = np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]])) if len(values) else np.zeros(0, dtype=np.int64)
    counts = np.diff(firsts, append=len(values))
    ranks = np.empty(len(firsts), dtype=np.int64)
    ranks[np.argsort(counts, kind="stable")] = np.arange(len(firsts))
    return values[firsts], ranks


def _prefixes(shingled: Shingles, ranks: Array, vocabulary: Array, sizes: Array, threshold: float) -> tuple[Array, Array]:
    """(rank, row) of each row's `size - ceil(threshold * size) + 1` rarest shingles."""
    rows = np.repeat(np.arange(len(sizes)), shingled.sizes)
    tagged = np.sort((rows << 32) | ranks[np.searchsorted(vocabulary, shingled.values)])
    place = np.arange(len(tagged)) - np.repeat(shingled.offsets[:-1], shingled.sizes)
    lengths = np.where(sizes > 0, sizes - np.ceil(threshold * sizes - 1e-9).astype(np.int64) + 1, 0)
    keep = place < lengths[rows]
    return tagged[keep] & 0xFFFFFFFF, rows[keep]


def _meeting(left_ranks: Array, left_rows: Array, right_ranks: Array, right_rows: Array) -> tuple[Array, Array]:
    """Distinct (left row, right row) that share a rank. Memory is bounded by taking the left side in pieces."""
    order = np.argsort(right_ranks, kind="stable")
    right_ranks, right_rows = right_ranks[order], right_rows[order]
    starts, ends = np.searchsorted(right_ranks, left_ranks, "left"), np.searchsorted(right_ranks, left_ranks, "right")
    counts = ends - starts
    found = [np.zeros(0, dtype=np.int64)]
    for first, last in pieces(counts, MOST_PAIRS):
        some = counts[first:last]
        at = np.repeat(starts[first:last] - np.concatenate([[0], np.cumsum(some)[:-1]]), some) + np.arange(int(some.sum()))
        found.append(distinct((np.repeat(left_rows[first:last], some) << 32) | right_rows[at]))
    pairs = distinct(np.concatenate(found))
    return pairs >> 32, pairs & 0xFFFFFFFF


def subset(shingled: Shingles, rows: Array) -> Shingles:
    """The shingles of some rows, in the order given."""
    sizes = shingled.sizes[rows]
    values = shingled.values[_places(shingled, rows)]
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    return Shingles([shingled.keys[row] for row in rows.tolist()], shingled.units[rows], shingled.windows[rows], offsets, values)


def _places(shingled: Shingles, rows: Array) -> Array:
    """Where the rows' hashes lie in `values`."""
    sizes = shingled.sizes[rows]
    before = np.cumsum(sizes) - sizes
    places: Array = np.repeat(shingled.offsets[rows] - before, sizes) + np.arange(int(sizes.sum()))
    return places


def _perhaps_in(values: Array, known: Array) -> Array:
    """bool: False only for values that are surely not in `known`; by a table of 2^24 places, at 5 ns a value."""
    table = np.zeros(1 << 24, dtype=bool)
    mask = np.uint64((1 << 24) - 1)
    table[known & mask] = True
    perhaps: Array = table[values & mask]
    return perhaps


def distinct(values: Array) -> Array:
    """Sorted distinct values (numpy's own `unique` hashes, which is 20 times slower here)."""
    values = np.sort(values)
    return values[np.concatenate([[True], values[1:] != values[:-1]])] if len(values) else values


def pieces(counts: Array, most: int) -> list[tuple[int, int]]:
    """Consecutive ranges whose counts sum to at most `most`, or that hold one entry."""
    edges, total = [0], np.concatenate([[0], np.cumsum(counts)])
    while edges[-1] < len(counts):
        reach = int(np.searchsorted(total, total[edges[-1]] + most, "right")) - 1
        edges.append(max(edges[-1] + 1, reach))
    return list(itertools.pairwise(edges))


def _intersections(left: Shingles, right: Shingles, i: Array, j: Array) -> Array:
    """int64: shared shingles of each pair of rows, by one sort for about 4,000 pairs."""
    counts = np.zeros(len(i), dtype=np.int64)
    sizes = left.sizes[i] + right.sizes[j]
    for first, last in pieces(sizes, ELEMENTS):
        for start in range(first, last, 4096):
            stop = min(last, start + 4096)
            one, other = _tagged(left, i[start:stop]), _tagged(right, j[start:stop])
            merged = np.sort(np.concatenate([one, other]))
            same = merged[1:][merged[1:] == merged[:-1]]
            counts[start:stop] = np.bincount((same >> HASH_BITS).astype(np.int64), minlength=stop - start)
    return counts


def _tagged(shingled: Shingles, rows: Array) -> Array:
    """The rows' hashes, each tagged with its place in `rows` in the upper 12 bits."""
    tags = np.repeat(np.arange(len(rows), dtype=np.uint64), shingled.sizes[rows])
    return (tags << HASH_BITS) | shingled.values[_places(shingled, rows)]
