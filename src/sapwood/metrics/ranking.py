"""Scores of rankings: for each query the candidates have scores, and some of them are right.

Candidates with equal scores stand in no order, so each query counts what a random order among them would give on average
(McSherry and Najork 2008). Without that, a system that gives everything the same score would look perfect or useless by chance.
Not covered: degrees of relevance (a candidate is right or not), and candidates that nobody judged: they count as wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from math import comb

import numpy as np

from sapwood.metrics.classification import Floats
from sapwood.metrics.measured import Measured, Score

CUT = 10
"""How far down nDCG and the deeper recall look."""


def ranked(right: Sequence[Sequence[int]], scores: Sequence[Floats]) -> Measured:
    """`right[i]` are the places of the right ones among the candidates of query i, whose scores are `scores[i]`.

    Scores, all means over queries: mrr (1 / rank of the first right one), accuracy@1, recall@10, ndcg@10.
    """
    counts = np.array([(*_query(places, one), 1.0) for places, one in zip(right, scores, strict=True)], dtype=np.float64)
    names = ("mrr", "accuracy@1", f"recall@{CUT}", f"ndcg@{CUT}")
    return Measured(counts.reshape(-1, len(names) + 1), {name: _mean(place) for place, name in enumerate(names)})


def _mean(place: int) -> Score:
    return lambda sums: sums[..., place] / sums[..., -1]


def _query(right: Sequence[int], scores: Floats) -> tuple[float, float, float, float]:
    """(reciprocal rank, accuracy at 1, recall, nDCG) expected over random orders of equal scores."""
    values = np.asarray(scores, dtype=np.float64)
    hit = np.zeros(len(values), dtype=bool)
    hit[list(right)] = True
    levels, group = np.unique(-values, return_inverse=True)
    sizes, hits = np.bincount(group, minlength=len(levels)), np.bincount(group, weights=hit, minlength=len(levels)).astype(int)
    before = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    first = int(np.flatnonzero(hits)[0])
    reciprocal = sum(p / (before[first] + place) for place, p in enumerate(_first_right(int(sizes[first]), int(hits[first])), 1))
    share = hits / sizes
    top = share * np.clip(CUT - before, 0, sizes)
    gain = sum(share[i] * (_discounts(before[i] + sizes[i]) - _discounts(before[i])) for i in np.flatnonzero(hits))
    return reciprocal, float(share[0]), float(top.sum()) / hit.sum(), gain / _discounts(int(hit.sum()))


@cache
def _first_right(size: int, right: int) -> tuple[float, ...]:
    """The chance that the first right one of `right` among `size` in random order stands at place 1, 2, ..."""
    whole = comb(size, right)
    return tuple(comb(size - place, right - 1) / whole for place in range(1, size - right + 2))


@cache
def _discounts(ranks: int) -> float:
    """The sum of 1 / log2(1 + rank) over the first `ranks`, at most `CUT`."""
    return float(sum(1 / np.log2(1 + rank) for rank in range(1, min(ranks, CUT) + 1)))
