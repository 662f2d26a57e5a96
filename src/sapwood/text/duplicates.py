"""Exact and near-duplicate texts: MinHash signatures, locality-sensitive bands, exact verification, clusters.

Method: 128 permutations (Broder 1997) as 32 bands of 4 rows find candidates; a pair counts only if the exact Jaccard similarity of
its shingle sets reaches the threshold, so precision is 1. A pair at 0.7 is missed with probability 1.5e-4, at 0.8 with 5e-8; what
must not be missed is checked by `overlaps`, which misses none. Texts with fewer than 5 shingles (9 words or characters) are compared
by exact key only: an empty set equals nothing. Memory: 8 bytes a shingle, 512 bytes of signature a document.

Signatures are numpy's: rensa's are 6 times faster to make but leave Rust as lists of lists, and the whole was slower (0.66 against
0.55 s for 18,000 documents); one method also gives the same clusters on every machine.

It sees wording only, not meaning: paraphrase, translation and traditional against simplified script are different texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from sapwood.text import overlaps
from sapwood.text.units import Shingles, shingle

Array = np.ndarray[Any, Any]
Texts = Sequence[str] | Shingles
"""Texts, or their shingles where they are at hand."""

BANDS, ROWS = 32, 4
SEED = 20_190_417  # of the permutations: a constant of the method
LEAST = 5
WINDOW = 64
"""In a band's bucket every pair is tried up to this many texts; past that each with the next 64 in order of key."""


class Match(NamedTuple):
    """Per row: the row of its best match on the other side or -1, and their Jaccard similarity (1 for an exact copy, 0 for none)."""

    row: Array
    jaccard: Array


def clusters(texts: Texts, threshold: float = 0.7) -> Array:
    """int64[n]: each row's cluster, named by the index of its first member. A lone text is its own cluster.

    Rows are linked when their keys are equal or their Jaccard similarity is at least `threshold`; links chain.
    The partition does not depend on the order of rows. `threshold=0` links exact copies only.
    """
    shingled = _shingled(texts)
    first = exact(shingled)
    if threshold <= 0:
        return first
    singles = np.flatnonzero(first == np.arange(len(first)))
    usable = singles[shingled.sizes[singles] >= LEAST]
    left, right = _candidates(shingled, usable)
    near = overlaps.jaccard(shingled, shingled, left, right) >= threshold - 1e-12
    return linked(len(first), np.concatenate([np.arange(len(first)), left[near]]), np.concatenate([first, right[near]]))


def exact(texts: Texts) -> Array:
    """int64[n]: the index of the first row with the same units in the same order."""
    seen: dict[bytes, int] = {}
    keys = _shingled(texts).keys
    return np.fromiter((seen.setdefault(key, row) if key else row for row, key in enumerate(keys)), dtype=np.int64, count=len(keys))


def matches(texts: Texts, against: Texts, threshold: float = 0.7) -> Match:
    """The best match of each text among `against`: an exact copy, else the highest Jaccard >= threshold (then the first).

    By prefix filter, not by MinHash: no match is missed."""
    left, right = _shingled(texts), _shingled(against)
    index, score = np.full(len(left.keys), -1, dtype=np.int64), np.zeros(len(left.keys))
    pairs = overlaps.similar_pairs(left, right, threshold, LEAST)
    best = np.lexsort((-pairs.right, pairs.score))  # later writes win: the highest score, then the lowest row
    index[pairs.left[best]], score[pairs.left[best]] = pairs.right[best], pairs.score[best]
    rows: dict[bytes, int] = {}
    for row, key in enumerate(right.keys):
        rows.setdefault(key, row)
    for row, key in enumerate(left.keys):
        if key and key in rows:
            index[row], score[row] = rows[key], 1.0
    return Match(index, score)


def keepers(texts: Sequence[str], cluster: Array, keep: Literal["first", "longest"] = "first") -> Array:
    """int64[n]: for each row the row of its cluster that is kept: the first, or the longest (then the first)."""
    if keep == "first":
        return cluster
    lengths = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
    order = np.lexsort((np.arange(len(cluster)), -lengths, cluster))
    leads = order[np.concatenate([[True], cluster[order][1:] != cluster[order][:-1]])] if len(order) else order
    kept = np.empty(len(cluster), dtype=np.int64)
    kept[cluster[leads]] = leads
    return kept[cluster]


def linked(count: int, left: Array, right: Array) -> Array:
    """int64[count]: connected components of the links, each named by its lowest row (union-find with path halving)."""
    parent = list(range(count))

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    for one, other in zip(left.tolist(), right.tolist(), strict=True):
        a, b = root(one), root(other)
        if a != b:
            parent[max(a, b)] = min(a, b)
    return np.fromiter((root(row) for row in range(count)), dtype=np.int64, count=count)


def signatures(shingled: Shingles, rows: Array) -> Array:
    """uint32[len(rows), 128]: the least value of each permutation over the row's shingles. Every row must have one."""
    chance = np.random.default_rng(SEED)
    factors = chance.integers(0, 1 << 32, BANDS * ROWS, dtype=np.uint32) | np.uint32(1)
    shifts = chance.integers(0, 1 << 32, BANDS * ROWS, dtype=np.uint32)
    made = np.empty((len(rows), BANDS * ROWS), dtype=np.uint32)
    values = (shingled.values >> np.uint64(20)).astype(np.uint32)
    for place, row in enumerate(rows.tolist()):
        hashed = values[shingled.offsets[row] : shingled.offsets[row + 1], None] * factors
        hashed += shifts
        hashed.min(axis=0, out=made[place])
    return made


def _shingled(texts: Texts) -> Shingles:
    return texts if isinstance(texts, Shingles) else shingle(texts)


def _candidates(shingled: Shingles, rows: Array) -> tuple[Array, Array]:
    """Distinct pairs of rows that share a band. `rows` have distinct keys, and key order makes big buckets independent of row order."""
    names = np.array([int.from_bytes(shingled.keys[row][:8], "big") for row in rows.tolist()], dtype=np.uint64)
    rows = rows[np.argsort(names, kind="stable")]
    bands = np.ascontiguousarray(signatures(shingled, rows)).view(np.dtype((np.void, 4 * ROWS))).reshape(len(rows), BANDS)
    found = [np.zeros(0, dtype=np.int64)]
    for band in range(BANDS):
        _, bucket = np.unique(bands[:, band], return_inverse=True)
        order = np.argsort(bucket, kind="stable")
        found += _neighbours(bucket[order], rows[order])
    pairs = overlaps.distinct(np.concatenate(found))
    return pairs >> 32, pairs & 0xFFFFFFFF


def _neighbours(buckets: Array, rows: Array) -> list[Array]:
    """Encoded pairs (low row << 32 | high row) inside each bucket, up to WINDOW places apart."""
    found = []
    for apart in range(1, min(WINDOW, len(rows) - 1) + 1):
        same = np.flatnonzero(buckets[apart:] == buckets[:-apart])
        if not len(same):
            break
        one, other = rows[same], rows[same + apart]
        found.append((np.minimum(one, other) << 32) | np.maximum(one, other))
    return found
