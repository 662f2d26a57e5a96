"""Scores of predicted numbers as functions of sums over texts.

Not covered: rank correlation, which is no function of sums.
"""

from __future__ import annotations

import numpy as np

from sapwood.metrics.classification import Floats
from sapwood.metrics.measured import Measured

TINY = 1e-12


def predicted(truth: Floats, said: Floats) -> Measured:
    """`truth` and `said` (n,). Scores: mse, mae, r2 (share of the variance of the truth that is explained; below 0 is worse than its
    mean), pearson (0 where either does not vary). Sums are taken around the mean of the truth, so that large numbers keep their digits."""
    centre = truth.mean() if len(truth) else 0.0
    y, p = truth - centre, said - centre
    counts = np.stack([np.ones_like(y), y, p, y * y, p * p, y * p, (y - p) ** 2, np.abs(y - p)], axis=1)

    def spread(sums: Floats, one: int, square: int) -> Floats:
        return np.maximum(sums[..., square] - sums[..., one] ** 2 / sums[..., 0], 0.0)

    def pearson(sums: Floats) -> Floats:
        together = sums[..., 5] - sums[..., 1] * sums[..., 2] / sums[..., 0]
        both = np.sqrt(spread(sums, 1, 3) * spread(sums, 2, 4))
        return np.divide(together, both, out=np.zeros_like(both), where=both > TINY)

    def r2(sums: Floats) -> Floats:
        varies = spread(sums, 1, 3)
        return 1 - np.divide(sums[..., 6], varies, out=np.ones_like(varies), where=varies > TINY)

    scores = {
        "mse": lambda sums: sums[..., 6] / sums[..., 0],
        "mae": lambda sums: sums[..., 7] / sums[..., 0],
        "r2": r2,
        "pearson": pearson,
    }
    return Measured(counts, scores, frozenset({"mse", "mae"}))
