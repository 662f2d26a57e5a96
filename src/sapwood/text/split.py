"""A leak-proof split: clusters of copies stay whole, parts keep the strata's shares, and crossings are counted to prove it.

The order in which clusters are placed is a hash of (seed, id), so a row's part does not depend on the order of rows. A cluster
belongs to the stratum of its member with the lowest hash. It does not see leaks of meaning: one author, one event or one
translation on both sides is not a crossing here; hold such groups out by a field.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import xxhash

from sapwood.text import overlaps
from sapwood.text.duplicates import LEAST, exact, linked, matches
from sapwood.text.units import Shingles, shingle

Array = np.ndarray[Any, Any]

PARTS = ("train", "dev", "test", "later")
LATER = PARTS.index("later")
NOWHERE = -1


class Crossings(NamedTuple):
    """`exact`: distinct texts in more than one part; `near`: pairs of different texts in different parts at or over the threshold.
    `left`, `right` are the rows of all near pairs, also of those on one side."""

    exact: int
    near: int
    left: Array
    right: Array


def chances(ids: Sequence[str], seed: int) -> Array:
    """uint64 a row: the place in the draw, from (seed, id)."""
    return np.array([xxhash.xxh3_64_intdigest(name.encode(), seed=seed) for name in ids], dtype=np.uint64)


def split(
    ids: Sequence[str], cluster: Array, strata: Sequence[str], ratios: Mapping[str, float], seed: int, hold_out: Array | None = None
) -> Array:
    """int64[n]: the index in `PARTS` of each row. `ratios` are normalised; `hold_out` rows take their clusters to `later`."""
    draw = chances(ids, seed)
    order = np.lexsort((np.arange(len(ids)), draw))
    heads: dict[int, int] = {}
    members: dict[int, list[int]] = {}
    for row in order.tolist():
        name = int(cluster[row])
        heads.setdefault(name, row)
        members.setdefault(name, []).append(row)
    part = np.full(len(ids), LATER, dtype=np.int64)
    held = set() if hold_out is None else set(cluster[hold_out].tolist())
    by_stratum: dict[str, list[int]] = {}
    for name, head in heads.items():
        if name not in held:
            by_stratum.setdefault(strata[head], []).append(name)
    for stratum in sorted(by_stratum):
        _place([members[name] for name in by_stratum[stratum]], ratios, part)
    return part


def _place(groups: list[list[int]], ratios: Mapping[str, float], part: Array) -> None:
    """Largest clusters first, each to the part that lacks most of its share; single rows come in the order of the draw."""
    total, rows = sum(ratios.values()), sum(map(len, groups))
    lacks = [rows * ratios.get(name, 0.0) / total for name in PARTS]
    open_parts = [index for index, name in enumerate(PARTS) if ratios.get(name, 0.0) > 0]
    for group in sorted(groups, key=len, reverse=True):
        best = max(open_parts, key=lambda index: lacks[index])
        lacks[best] -= len(group)
        part[group] = best


def capped(part: Array, ids: Sequence[str], caps: Mapping[str, int], seed: int) -> Array:
    """The parts with the surplus over each cap taken out (`NOWHERE`): the rows drawn last."""
    part, draw = part.copy(), chances(ids, seed + 1)
    for name, most in sorted(caps.items()):
        mine = np.flatnonzero(part == PARTS.index(name))
        part[mine[np.argsort(draw[mine], kind="stable")][most:]] = NOWHERE
    return part


def crossings(shingled: Shingles, part: Array, threshold: float) -> Crossings:
    """Count what two parts share. Exact by prefix filter, and independent of the clusters that the split was made from."""
    same = exact(shingled)
    placed = part != NOWHERE
    sides: dict[int, set[int]] = {}
    for name, side in zip(same[placed].tolist(), part[placed].tolist(), strict=True):
        sides.setdefault(name, set()).add(side)
    firsts = np.flatnonzero((np.bincount(same[placed], minlength=len(same)) > 0) & (np.arange(len(same)) == same))
    side = np.array([min(sides[row]) for row in firsts.tolist()], dtype=np.int64)
    distinct = overlaps.subset(shingled, firsts)
    pairs = overlaps.similar_pairs(distinct, distinct, threshold, LEAST)
    once = pairs.left < pairs.right
    left, right = pairs.left[once], pairs.right[once]
    across = int((side[left] != side[right]).sum())
    return Crossings(sum(len(found) > 1 for found in sides.values()), across, firsts[left], firsts[right])


def rejoined(cluster: Array, found: Crossings) -> Array:
    """The clusters with every near pair linked: a split of these has no crossing."""
    rows = np.arange(len(cluster))
    return linked(len(cluster), np.concatenate([rows, found.left]), np.concatenate([cluster, found.right]))


def naive_leak(texts: Sequence[str], ratios: Mapping[str, float], seed: int, threshold: float) -> tuple[int, int, int]:
    """(test rows, of them with an exact copy in train, with an exact or near copy) under a plain random split of these rows."""
    draw = np.random.default_rng(seed).random(len(texts)) * sum(ratios.values())
    edges = np.cumsum([ratios.get(name, 0.0) for name in PARTS])
    part = np.searchsorted(edges, draw, side="right")
    shingled = shingle(texts)
    test, train = (overlaps.subset(shingled, np.flatnonzero(part == PARTS.index(name))) for name in ("test", "train"))
    known = set(train.keys) - {b""}
    found = matches(test, train, threshold)
    return len(test.keys), sum(key in known for key in test.keys), int((found.row >= 0).sum())
