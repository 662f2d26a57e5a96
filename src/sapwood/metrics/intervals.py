"""Intervals for scores: Wilson's for a share, the bootstrap over rows for everything else.

The bootstrap works on distinct outcomes: n rows that fall into m distinct cells are resampled by one multinomial draw of
the m counts, which has the same distribution as drawing n rows with replacement (Efron 1979) and costs m, not n.

Not covered: how a score varies with the training seed or the choice of test set; rows are taken as independent (near
duplicates make intervals too narrow). A system without one mistake gets an interval of no width: read n beside it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

import numpy as np
from scipy.special import bdtr, ndtr, ndtri

from sapwood.metrics.classification import Floats, Ints

LEVEL = 0.95
RESAMPLES = 1000
CELLS_AT_ONCE = 2_000_000  # 16 MB of float64

Method = Literal["percentile", "bc", "bca"]
Statistic = Callable[[Floats], Floats]


class Interval(NamedTuple):
    value: float
    low: float
    high: float

    def as_dict(self) -> dict[str, float]:
        return {"value": self.value, "low": self.low, "high": self.high}


def wilson(successes: int, n: int, level: float = LEVEL) -> Interval:
    """The score interval of a share (Wilson 1927). With n = 0 it is (0, 0, 1): nothing is known."""
    if n == 0:
        return Interval(0.0, 0.0, 1.0)
    z = float(ndtri((1 + level) / 2))
    share, weight = successes / n, z * z / n
    centre = (share + weight / 2) / (1 + weight)
    half = z / (1 + weight) * math.sqrt(share * (1 - share) / n + weight / (4 * n))
    return Interval(share, max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half)))


def quantile_floor(values: Floats, q: float, level: float = LEVEL) -> float:
    """What the q-quantile exceeds with confidence `level`, whatever the distribution; minus infinity when n shows nothing.

    The largest order statistic x(k) with P[Binomial(n, q) >= k] >= level (Conover 1999, section 3.2). One outlier among few
    values does not move it: of 12 latencies the 95 % floor of the 95th percentile is the tenth.
    """
    n = len(values)
    k = max((k for k in range(1, n + 1) if 1 - bdtr(k - 1, n, q) >= level), default=0)
    return float(np.sort(values)[k - 1]) if k else -math.inf


def bootstrap(
    statistic: Statistic, counts: Ints, *, resamples: int = RESAMPLES, level: float = LEVEL, seed: int = 0, method: Method = "bca"
) -> list[Interval]:
    """Intervals of a statistic of rows.

    `counts` (m,) is how many rows each distinct outcome has (all ones: one cell a row). `statistic` maps weights (b, m)
    to (b,) or, for q numbers at once, (b, q); the answer has q intervals. `percentile`: quantiles of the resamples;
    `bc` shifts them for median bias; `bca` also for skewness, by the jackknife over cells (Efron 1987), at m more evaluations.
    """
    value = _columns(statistic(counts[None, :].astype(np.float64)))[0]
    drawn = np.concatenate([_columns(statistic(draw)) for draw in resampled(counts, resamples, np.random.default_rng(seed))])
    shift = np.zeros(len(value)) if method == "percentile" else _median_bias(drawn, value)
    skew = _acceleration(statistic, counts) if method == "bca" else np.zeros(len(value))
    ends = []
    for z in (float(ndtri((1 - level) / 2)), float(ndtri((1 + level) / 2))):
        share = ndtr(shift + (shift + z) / np.maximum(1 - skew * (shift + z), 1e-6))
        ends.append([float(np.quantile(drawn[:, q], share[q])) for q in range(len(value))])
    return [Interval(float(v), low, high) for v, low, high in zip(value, *ends, strict=True)]


def resampled(counts: Ints, resamples: int, rng: np.random.Generator) -> Iterator[Floats]:
    """Batches of weights (b, m): every row of them is one resample with replacement of all rows."""
    n = int(counts.sum())
    for size in pieces(resamples, len(counts)):
        yield rng.multinomial(n, counts / n, size=size).astype(np.float64)


def pieces(total: int, cells: int) -> Iterator[int]:
    """Sizes that add up to `total`, each small enough that size x cells fits into CELLS_AT_ONCE."""
    step = max(1, CELLS_AT_ONCE // max(cells, 1))
    for start in range(0, total, step):
        yield min(step, total - start)


def _columns(values: Floats) -> Floats:
    return values[:, None] if values.ndim == 1 else values


def _median_bias(drawn: Floats, value: Floats) -> Floats:
    """z0 of Efron 1987. Ties count half, because scores of few rows take few values."""
    share = (drawn < value - 1e-12).mean(0) + 0.5 * (np.abs(drawn - value) <= 1e-12).mean(0)
    edge = 1 / (len(drawn) + 1)
    bias: Floats = ndtri(np.clip(share, edge, 1 - edge))
    return bias


def _acceleration(statistic: Statistic, counts: Ints) -> Floats:
    """a of Efron 1987: the jackknife's skewness, leaving out one row of each cell in turn."""
    left_out = []
    start = 0
    for size in pieces(len(counts), len(counts)):
        weights = np.repeat(counts[None, :].astype(np.float64), size, axis=0)
        weights[np.arange(size), np.arange(start, start + size)] -= 1
        left_out.append(_columns(statistic(weights)))
        start += size
    values, times = np.concatenate(left_out), counts[:, None]
    gap = (values * times).sum(0) / times.sum() - values
    spread = (times * gap**2).sum(0)
    skew: Floats = np.divide((times * gap**3).sum(0), 6 * spread**1.5, out=np.zeros(len(spread)), where=spread > 1e-18)
    return skew
