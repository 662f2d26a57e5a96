"""A leak-proof split: which part each row goes to, when clusters of copies and groups must stay whole.

The order in which clusters are placed is a hash of (seed, id), so a row's part depends neither on the order of rows nor on batches.
In each stratum small clusters lie in that order, and the parts are consecutive stretches of it; clusters that are large against the
smallest part go first, each to the part that lacks most. So one more row moves only the few rows at the edges of the stretches.
What a stratum rounds off is carried to the next one, so many small strata keep the shares. A cluster belongs to the stratum of its
member with the lowest hash.

It does not see leaks of meaning: one author, one event or one translation on both sides is held apart by a group or a time only.
Memory: about 60 bytes a row, all in arrays.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import xxhash

from sapwood.text.near.clustering import linked
from sapwood.text.parts.moments import NEVER

Array = np.ndarray[Any, Any]

PARTS = ("train", "dev", "test", "later")
TRAIN, DEV, TEST, LATER = range(4)
NOWHERE = -1
LARGE = 0.25
"""A cluster of several rows is large past this share of the smallest part of its stratum."""


def draws(ids: Sequence[str], seed: int) -> Array:
    """uint64 a row: the place in the draw, from (seed, id)."""
    return np.fromiter((xxhash.xxh3_64_intdigest(name.encode("utf-8", "surrogatepass"), seed=seed) for name in ids), np.uint64, len(ids))


def joined(cluster: Array, codes: Sequence[Array], links: tuple[Array, Array] | None = None) -> Array:
    """int64[n]: clusters joined with all rows of one code (>= 0; below that a row has none) for each of several codings, and by links
    between two rows."""
    left, right = ([links[0]], [links[1]]) if links is not None else ([np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)])
    for code in codes:
        order = np.flatnonzero(code >= 0)
        order = order[np.argsort(code[order], kind="stable")]
        same = code[order][1:] == code[order][:-1]
        left.append(order[:-1][same])
        right.append(order[1:][same])
    return linked(cluster, np.concatenate(left), np.concatenate(right))


def place(draw: Array, cluster: Array, stratum: Array, shares: Sequence[float]) -> Array:
    """int64[n]: the bin of each row. `shares` a bin, of any sum; `stratum` is numbered in an order that rows do not change."""
    heads, sizes = _heads(draw, cluster)
    bins = np.full(len(draw), NOWHERE, dtype=np.int64)
    wanted = np.array(shares, dtype=np.float64) / max(sum(shares), 1e-300)
    carry = np.zeros(len(wanted))
    order = np.lexsort((draw[heads], stratum[heads]))
    heads, sizes = heads[order], sizes[order]
    edges = np.flatnonzero(np.diff(stratum[heads], prepend=-1, append=-1)) if len(heads) else np.zeros(0, dtype=np.int64)
    for first, last in itertools.pairwise(edges.tolist()):
        mine = sizes[first:last]
        quota = wanted * mine.sum() + carry
        chosen = _fill(mine, quota, wanted)
        carry = quota - np.bincount(chosen, weights=mine, minlength=len(wanted))
        bins[cluster[heads[first:last]]] = chosen
    return bins[cluster]


def _heads(draw: Array, cluster: Array) -> tuple[Array, Array]:
    """(the member with the lowest draw of each cluster, the cluster's size)."""
    order = np.argsort(draw, kind="stable")[::-1]
    head = np.full(len(draw), -1, dtype=np.int64)
    head[cluster[order]] = order  # later writes win: the lowest draw
    names = np.flatnonzero(head >= 0)
    return head[names], np.bincount(cluster, minlength=len(draw))[names]


def _fill(sizes: Array, quota: Array, wanted: Array) -> Array:
    """The bin of each cluster of one stratum, given in the order of the draw."""
    chosen = np.full(len(sizes), NOWHERE, dtype=np.int64)
    lacks = np.where(wanted > 0, quota, -np.inf)
    least = (wanted[wanted > 0] * sizes.sum()).min()
    large = np.flatnonzero((sizes > 1) & (sizes > LARGE * least))
    for one in large[np.argsort(-sizes[large], kind="stable")].tolist():
        chosen[one] = lacks.argmax()
        lacks[chosen[one]] -= sizes[one]
    small = np.flatnonzero(chosen == NOWHERE)
    if len(small):
        ends = np.cumsum(_whole(np.maximum(lacks, 0.0), int(sizes[small].sum()), wanted))
        middles = np.cumsum(sizes[small]) - sizes[small] / 2
        chosen[small] = np.searchsorted(ends, middles, side="right")
    return chosen


def _whole(lacks: Array, rows: int, wanted: Array) -> Array:
    """`rows` shared out in whole rows in proportion to `lacks`, by largest remainder (then the first bin)."""
    exact = rows * (lacks if lacks.sum() > 0 else wanted) / (lacks.sum() or 1.0)
    whole = np.floor(exact + 1e-9).astype(np.int64)
    short = rows - int(whole.sum())
    whole[np.argsort(whole - exact, kind="stable")[:short]] += 1
    return whole


class Timed(NamedTuple):
    """Where time is cut: `newer` rows lie after `cut` (microseconds); `to` is the index of their part."""

    cut: int
    newer: Array
    to: int


def cut_of(moment: Array, share: float) -> int:
    """The moment after which lie at most `share` of the rows that tell a time, and as many of them as ties allow."""
    told = np.sort(moment[moment != NEVER])
    return int(told[max(0, len(told) - int(np.floor(share * len(told) + 1e-9)) - 1)])


def by_ratio(
    draw: Array, cluster: Array, stratum: Array, ratios: Mapping[str, float], held: Array | None = None, time: Timed | None = None
) -> Array:
    """int64[n]: the index in `PARTS` of each row. `held` rows take their clusters to `later`, rows after the cut theirs to `time.to`;
    of the others the parts get their ratios, without the part that the newer rows fill."""
    part = np.full(len(draw), NOWHERE, dtype=np.int64)
    shares = np.array([ratios.get(name, 0.0) for name in PARTS])
    if time is not None:
        shares[time.to] = 0.0
        part[_touched(cluster, time.newer)] = time.to
    if held is not None:
        part[_touched(cluster, held)] = LATER
    rest = np.flatnonzero(part == NOWHERE)
    if len(rest):
        part[rest] = place(draw[rest], _renamed(cluster[rest]), stratum[rest], shares.tolist())
    return part


def by_fold(fold: Array, k: int, chosen: int, dev: bool) -> Array:
    """The parts of one fold of `k`: test is fold `chosen`, dev the next one (or none), train all others."""
    part = np.where(fold == chosen, TEST, TRAIN)
    return np.where(fold == (chosen + 1) % k, DEV, part) if dev else part


def _touched(cluster: Array, rows: Array) -> Array:
    """bool[n]: the rows whose cluster has one of `rows` (bool) in it."""
    names = np.zeros(len(cluster), dtype=bool)
    names[cluster[rows]] = True
    touched: Array = names[cluster]
    return touched


def _renamed(cluster: Array) -> Array:
    """The clusters of a subset of rows, named by rows of the subset."""
    order = np.argsort(cluster, kind="stable")
    ranked = cluster[order]
    first = np.concatenate([[True], ranked[1:] != ranked[:-1]])
    names = np.empty(len(cluster), dtype=np.int64)
    names[order] = order[np.flatnonzero(first)[np.cumsum(first) - 1]]
    return names


def capped(part: Array, draw: Array, caps: Mapping[str, int]) -> Array:
    """The parts with the surplus over each cap taken out (`NOWHERE`): the rows that come last in a second draw, made from the first."""
    part, second = part.copy(), _again(draw)
    for name, most in sorted(caps.items()):
        mine = np.flatnonzero(part == PARTS.index(name))
        part[mine[np.argsort(second[mine], kind="stable")][most:]] = NOWHERE
    return part


def _again(draw: Array) -> Array:
    """splitmix64's finaliser: where a row lies in its stratum says nothing about where it lies here."""
    mixed = (draw ^ (draw >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    again: Array = mixed ^ (mixed >> np.uint64(31))
    return again
