"""The proof of a split: what stands in more than one part, counted apart from the way the split was made.

Exact: texts of the same units in the same order. Near: pairs with a Jaccard similarity at or over the threshold, and none is missed: of
such a pair each text has at least that share of its shingles in the other one's part. So the texts of each part are sieved with a table
of the shingles of the other parts; what is left is sieved again with what is left, until that changes little, and is then compared pair
by pair, exactly (`index.similar`). Group: values of a group field; time: rows after the cut in a part before it.

Memory: 64 MB for the table and one block of the index. It sees wording only: paraphrase and translation cross unseen.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from sapwood.text.near import index as indexes
from sapwood.text.near.signatures import LEAST
from sapwood.text.parts import split
from sapwood.text.parts.split import NOWHERE, PARTS

Array = np.ndarray[Any, Any]

SLOTS = 1 << 16, 1 << 29
"""Least and most slots of the table: at most 64 MB, which sieves well up to about 150 million shingles, 1 GB of text in the smaller parts."""
ENOUGH = 0.9
"""The sieve is used again while it lets less than this share of the rows through."""
PAIRS = tuple(itertools.combinations(range(len(PARTS)), 2))


class Proof(NamedTuple):
    """Crossings of each pair of parts, in the order of `PAIRS`. `left`, `right`: the rows of the near pairs."""

    exact: list[int]
    near: list[int]
    group: list[int]
    time: list[int]
    left: Array
    right: Array

    @property
    def total(self) -> int:
        return sum(map(sum, (self.exact, self.near, self.group, self.time)))


def prove(index: indexes.Index, part: Array, threshold: float, groups: Sequence[Array] = (), time: split.Timed | None = None) -> Proof:
    """Count the crossings of every kind. Rows that are in no part cross nothing."""
    rows = candidates(index, part, threshold)
    left, right = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
    near = []
    for one, other in PAIRS:
        sides = sorted((rows[part[rows] == one], rows[part[rows] == other]), key=len, reverse=True)
        pairs = indexes.similar(index, index, threshold, *sides)
        apart = (index.keys[pairs.left] != index.keys[pairs.right]).any(axis=1)
        near.append(int(apart.sum()))
        left.append(pairs.left)
        right.append(pairs.right)
    exact = shared(index.exact(), part)
    grouped = [shared(np.unique(code, return_inverse=True)[1], np.where(code >= 0, part, NOWHERE)) for code in groups]
    in_time = [0] * len(PAIRS) if time is None else late(part, time)
    by_group = [sum(found) for found in zip([0] * len(PAIRS), *grouped, strict=True)]
    return Proof(exact, near, by_group, in_time, np.concatenate(left), np.concatenate(right))


def shared(name: Array, part: Array) -> list[int]:
    """For each pair of parts: how many names (0 to n - 1, one a row) are in both."""
    there = np.zeros((len(PARTS), int(name.max(initial=-1)) + 1), dtype=bool)
    placed = part != NOWHERE
    there[part[placed], name[placed]] = True
    return [int((there[one] & there[other]).sum()) for one, other in PAIRS]


def late(part: Array, time: split.Timed) -> list[int]:
    """For each pair of parts: the rows after the cut in a part that must lie before it, paired with the part of the newer rows.
    `later` may hold newer rows whatever the part is: nothing is learned from it."""
    counts = dict.fromkeys(PAIRS, 0)
    for side in {split.TRAIN, split.DEV, split.TEST} - {time.to}:
        pair = (min(side, time.to), max(side, time.to))
        counts[pair] = int((time.newer & (part == side)).sum())
    return list(counts.values())


def candidates(index: indexes.Index, part: Array, threshold: float) -> Array:
    """The rows, ascending, that may have a near copy in another part: at least `threshold` of their shingles are used there.

    The largest part is sieved first, so the table holds the others' shingles only. A table that is too full lets more rows through, never
    fewer."""
    able = np.flatnonzero((part != NOWHERE) & (index.sizes >= LEAST))
    sides = {side: able[part[able] == side] for side in range(len(PARTS))}
    left, before = len(able), float("inf")
    while 0 < left < ENOUGH * before:
        for side in sorted(sides, key=lambda one: -len(sides[one])):
            others = np.sort(np.concatenate([rows for other, rows in sides.items() if other != side]))
            sides[side] = _sieved(index, sides[side], others, threshold)
        left, before = sum(map(len, sides.values())), left
    return np.sort(np.concatenate(list(sides.values())))


def _sieved(index: indexes.Index, rows: Array, others: Array, threshold: float) -> Array:
    """The rows that have at least `threshold` of their shingles among those of `others`."""
    if not len(rows) or not len(others):
        return rows[:0]
    table = Bits(8 * int(index.sizes[others].sum()))
    for _, shingled in index.blocks(others):
        table.add(shingled.values)
    kept = []
    for block, shingled in index.blocks(rows):
        counts = np.add.reduceat(table.has(shingled.values).astype(np.int64), shingled.offsets[:-1])
        kept.append(block[counts >= threshold * shingled.sizes - 1e-9])
    return np.concatenate(kept)


class Bits:
    """A set of hashes that may say yes to one that it has not: one bit a slot, about `wanted` slots within the bounds of `SLOTS`."""

    def __init__(self, wanted: int) -> None:
        slots = min(SLOTS[1], max(SLOTS[0], 1 << wanted.bit_length()))
        self._bytes, self._mask = np.zeros(slots >> 3, dtype=np.uint8), np.uint64(slots - 1)

    def add(self, values: Array) -> None:
        slots = values & self._mask
        places, bits = (slots >> np.uint64(3)).astype(np.int64), (slots & np.uint64(7)).astype(np.uint8)
        for bit in range(8):  # within one bit it does no harm that a byte is written twice
            self._bytes[places[bits == bit]] |= np.uint8(1 << bit)

    def has(self, values: Array) -> Array:
        """bool a value."""
        slots = values & self._mask
        found: Array = (self._bytes[(slots >> np.uint64(3)).astype(np.int64)] >> (slots & np.uint64(7)).astype(np.uint8)) & 1 > 0
        return found
