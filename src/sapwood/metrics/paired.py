"""Is one system better than another on the same rows? Paired tests, so that hard and easy rows cancel out.

- `mcnemar`: exact test of the rows where exactly one system is right (McNemar 1947; the exact binomial form).
- `difference`: the interval is the paired bootstrap's (Efron and Tibshirani 1993; for language systems Koehn 2004), the p-value
  is approximate randomisation's, which swaps the two answers of each row by a coin (Noreen 1989; Yeh 2000).
  Swapping keeps its level for F1, where tests that assume independence of precision and recall do not.

Not covered: correction for many comparisons (p-values are as they are; a gate that asks for all of its bars at once needs
none), the spread of training seeds, and dependent rows.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from scipy.special import bdtr

from sapwood.metrics.classification import Floats, Ints, accuracy, macro_f1, tally
from sapwood.metrics.intervals import LEVEL, bootstrap, pieces

Metric = Literal["macro_f1", "accuracy"]
METRICS = {"macro_f1": macro_f1, "accuracy": accuracy}
RESAMPLES = 2_000
SWAPS = 10_000


class McNemar(NamedTuple):
    """Rows only `a` gets right, rows only `b` does, p of no difference, and one-sided p against `a is no better`."""

    only_a: int
    only_b: int
    p: float
    p_better: float


class Difference(NamedTuple):
    """score(a) - score(b) with its interval, p of no difference, and one-sided p against `a is no better`."""

    value: float
    low: float
    high: float
    p: float
    p_better: float


class _Cells(NamedTuple):
    """Distinct (truth, a, b) outcomes, each (m,), and how many rows each has."""

    truth: Ints
    a: Ints
    b: Ints
    counts: Ints


def mcnemar(only_a: int, only_b: int) -> McNemar:
    """The exact test from the two discordant counts. With none, p is 1."""
    n = only_a + only_b
    two_sided = min(1.0, 2 * float(bdtr(min(only_a, only_b), n, 0.5))) if n else 1.0
    return McNemar(only_a, only_b, two_sided, float(bdtr(only_b, n, 0.5)) if n else 1.0)


def mcnemar_of(truth: Ints, a: Ints, b: Ints) -> McNemar:
    """The exact test from answers, each (n,) class numbers."""
    right_a, right_b = a == truth, b == truth
    return mcnemar(int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum()))


def difference(
    truth: Ints, a: Ints, b: Ints, classes: int, *, metric: Metric = "macro_f1", swaps: int = SWAPS, level: float = LEVEL, seed: int = 0
) -> Difference:
    """How much better `a` is than `b`; all (n,) class numbers. The order of rows does not matter."""
    cells = _cells(truth, a, b, classes)

    def gap(weights: Floats) -> Floats:
        return _gap(cells, weights, classes, metric)

    [interval] = bootstrap(gap, cells.counts, resamples=RESAMPLES, level=level, seed=seed, method="percentile")
    swapped = _swapped(cells, classes, metric, swaps, seed)
    p = _share(np.abs(swapped) >= abs(interval.value) - 1e-12)
    return Difference(*interval, p=p, p_better=_share(swapped >= interval.value - 1e-12))


def _cells(truth: Ints, a: Ints, b: Ints, classes: int) -> _Cells:
    codes, counts = np.unique((truth * classes + a) * classes + b, return_counts=True)
    return _Cells(codes // classes**2, codes // classes % classes, codes % classes, counts.astype(np.int64))


def _gap(cells: _Cells, weights: Floats, classes: int, metric: Metric) -> Floats:
    score = METRICS[metric]
    return score(tally(cells.truth, cells.a, classes, weights)) - score(tally(cells.truth, cells.b, classes, weights))


def _swapped(cells: _Cells, classes: int, metric: Metric, rounds: int, seed: int) -> Floats:
    """(rounds,) differences after each row's two answers were swapped by a fair coin: of a cell of c rows, Binomial(c, 1/2) swap."""
    rng = np.random.default_rng([seed, 1])
    both = _Cells(np.tile(cells.truth, 2), np.concatenate([cells.a, cells.b]), np.concatenate([cells.b, cells.a]), np.tile(cells.counts, 2))
    values = []
    for size in pieces(rounds, len(both.counts)):
        turned = rng.binomial(cells.counts, 0.5, size=(size, len(cells.counts)))
        values.append(_gap(both, np.concatenate([cells.counts - turned, turned], axis=1).astype(np.float64), classes, metric))
    return np.concatenate(values)


def _share(hits: np.ndarray) -> float:
    """(1 + hits) / (1 + rounds): the observed assignment is one of the possible ones, so p is never 0."""
    return float((1 + hits.sum()) / (1 + len(hits)))
