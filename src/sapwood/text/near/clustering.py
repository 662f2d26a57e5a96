"""Clusters of an index: documents that share a band are compared exactly, and those that are alike are linked.

What has been linked, or compared and found different, is not compared again; components do not depend on the order of comparing.
In a bucket each document is compared with the next `WINDOW` in the order of the exact keys, which depends on the texts only.
Memory: about 60 bytes a document while it runs, and one band's keys.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from sapwood.text.near.overlaps import Pairs
from sapwood.text.near.signatures import BANDS, LEAST

Array = np.ndarray[Any, Any]

WINDOW = 64
BATCH = 1 << 16
"""Shingles compared at a time: 2 MB with what is made of them, which stays in the second-level cache."""
SLACK = 1e-12


class Indexed(Protocol):
    """What an index gives."""

    @property
    def keys(self) -> Array: ...
    @property
    def sizes(self) -> Array: ...
    def band(self, number: int) -> Array: ...
    def raw(self, row: int) -> Array: ...


def first_of(keys: Array) -> Array:
    """int64[n]: the lowest row with the same key (uint64[n, 2]); a key of zeros, for a text of white space, equals nothing."""
    order = np.lexsort((keys[:, 1], keys[:, 0]))
    high, low = keys[order, 0], keys[order, 1]
    new = np.ones(len(order), dtype=bool)
    new[1:] = (high[1:] != high[:-1]) | (low[1:] != low[:-1]) | ((high[1:] == 0) & (low[1:] == 0))
    first = np.empty(len(order), dtype=np.int64)
    first[order] = order[np.flatnonzero(new)[np.cumsum(new) - 1]]  # lexsort is stable, so the lowest row leads
    return first


def clusters(index: Indexed, threshold: float, advance: Callable[[float], None] = lambda _: None) -> Array:
    """int64[n]: the lowest row of each row's cluster: equal keys, or Jaccard similarity >= threshold, chained. 0: equal keys only."""
    found = links(index, threshold, advance)
    return linked(np.arange(len(index.keys)), found.left, found.right)


def links(index: Indexed, threshold: float, advance: Callable[[float], None] = lambda _: None) -> Pairs:
    """Pairs that are alike and join every cluster: each row with the first of its key (score 1), and verified near pairs.

    Not all alike pairs: of rows that are joined already no further pair is looked at. `advance(1)` is called after each of the
    BANDS bands; it may raise to stop."""
    keys = index.keys
    first = first_of(keys)
    copies = np.flatnonzero(first != np.arange(len(first)))
    found = [Pairs(first[copies], copies, np.ones(len(copies)))]
    if threshold > 0:
        rows = np.flatnonzero((first == np.arange(len(first))) & (index.sizes >= LEAST))
        rows = rows[np.lexsort((keys[rows, 1], keys[rows, 0]))]
        found += _near(index, rows, threshold, advance)
    return Pairs(*map(np.concatenate, zip(*found, strict=True)))


def _near(index: Indexed, rows: Array, threshold: float, advance: Callable[[float], None]) -> list[Pairs]:
    """The verified pairs among rows with distinct keys, in the order of their keys."""
    parent = np.arange(len(rows))
    different = np.zeros(0, dtype=np.int64)
    found = []
    for number in range(BANDS):
        order, buckets = _buckets(index.band(number)[rows])
        for apart in range(1, WINDOW + 1):
            left, right = _apart(order, buckets, apart)
            if not len(left):
                break
            codes = ((np.minimum(left, right) << 32) | np.maximum(left, right))[parent[left] != parent[right]]
            codes = codes[~_in_sorted(codes, different)]
            if not len(codes):
                continue
            left, right = codes >> 32, codes & 0xFFFFFFFF
            score = jaccards(index, rows[left], rows[right])
            alike = score >= threshold - SLACK
            parent = linked(parent, left[alike], right[alike])
            different = np.sort(np.concatenate([different, codes[~alike]]))
            found.append(Pairs(rows[left[alike]], rows[right[alike]], score[alike]))
        advance(1)
    return found


def linked(parent: Array, left: Array, right: Array) -> Array:
    """int64[n]: the components with the links added; each is named by its lowest member (labels sink along links until none moves)."""
    parent = parent.copy()
    while len(left):
        one, other = parent[left], parent[right]
        moving = one != other
        left, right = left[moving], right[moving]
        low, high = np.minimum(one, other)[moving], np.maximum(one, other)[moving]
        np.minimum.at(parent, high, low)
        while True:
            shorter = parent[parent]
            if np.array_equal(shorter, parent):
                break
            parent = shorter
    return parent


def jaccards(index: Indexed, left: Array, right: Array) -> Array:
    """float64: the exact Jaccard similarity of each pair of rows."""
    found = np.empty(len(left))
    sizes = index.sizes[left] + index.sizes[right]
    start = 0
    while start < len(left):
        stop = start + max(1, int(np.searchsorted(np.cumsum(sizes[start : start + 1024]), BATCH, "right")))
        some = range(start, min(stop, len(left)))
        sides = [index.raw(int(row)) for at in some for row in (left[at], right[at])]
        found[some.start : some.stop] = _similarities(sides)
        start = some.stop
    return found


def _similarities(sides: list[Array]) -> Array:
    """Similarity of each two neighbours in a list of hashes of 52 bits, repeats allowed, by one sort.

    A hash is tagged with its pair above and its side below: 11 + 52 + 1 bits."""
    lengths = np.fromiter(map(len, sides), dtype=np.int64, count=len(sides))
    pair = np.repeat(np.arange(len(sides), dtype=np.uint64) >> np.uint64(1), lengths)
    side = np.repeat(np.arange(len(sides), dtype=np.uint64) & np.uint64(1), lengths)
    tagged = np.concatenate(sides) << np.uint64(1)
    tagged |= (pair << np.uint64(53)) | side
    tagged.sort()
    tagged = tagged[np.concatenate([[True], tagged[1:] != tagged[:-1]])]
    shared = (tagged[1:] ^ tagged[:-1]) == 1  # the same pair and hash, on both sides
    shared &= (tagged[1:] & np.uint64(1)) == 1
    count = len(sides) // 2
    both = np.bincount((tagged[1:][shared] >> np.uint64(53)).astype(np.int64), minlength=count)
    sizes = np.bincount(((tagged >> np.uint64(52)) & ~np.uint64(1) | tagged & np.uint64(1)).astype(np.int64), minlength=2 * count).reshape(
        -1, 2
    )
    similarity: Array = both / np.maximum(sizes.sum(axis=1) - both, 1)
    similarity[sizes.min(axis=1) < LEAST] = 0.0
    return similarity


def _buckets(keys: Array) -> tuple[Array, Array]:
    """(places in the order of their keys, then of themselves; the number of each one's bucket).

    One sort of keys whose low bits are replaced by the place: 8 times faster than an argsort. The 40 bits and more that stay of a
    key may bring unlike documents together, which costs a comparison."""
    bits = np.uint64(max(1, len(keys).bit_length()))
    tagged = (keys >> bits << bits) | np.arange(len(keys), dtype=np.uint64)
    tagged.sort()
    places = (tagged & np.uint64((1 << int(bits)) - 1)).astype(np.int64)
    return places, tagged >> bits


def _apart(order: Array, buckets: Array, apart: int) -> tuple[Array, Array]:
    """Places that are so far apart in one bucket."""
    same = np.flatnonzero(buckets[apart:] == buckets[:-apart]) if len(buckets) > apart else np.zeros(0, dtype=np.int64)
    return order[same], order[same + apart]


def _in_sorted(values: Array, known: Array) -> Array:
    if not len(known):
        return np.zeros(len(values), dtype=bool)
    found: Array = known[np.minimum(np.searchsorted(known, values), len(known) - 1)] == values
    return found
