"""What was measured on each example, and the scores that are functions of its sums.

Most scores of language tasks are not means over examples (entity F1, chrF, a corpus' error rate), but functions of sums over them.
So each example is kept as a row of counts, and a score is a function of the rows' sum. Then one bootstrap serves them all.

Not covered: scores that are no function of sums (a median, a rank correlation), and dependent examples.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from sapwood.metrics.classification import Floats
from sapwood.metrics.intervals import Interval, bootstrap, pieces

Score = Callable[[Floats], Floats]
"""(..., k) sums of counts to (...) scores."""
SWAPS = 2_000


@dataclass(frozen=True)
class Measured:
    """`counts` (n, k): one row an example. `scores` by name; in all of them higher is better, but for those in `losses`."""

    counts: Floats
    scores: Mapping[str, Score]
    losses: frozenset[str] = frozenset()

    def values(self) -> dict[str, float]:
        """Every score of all examples."""
        total = self.counts.sum(0)
        return {name: float(score(total)) for name, score in self.scores.items()}

    def interval(self, name: str, seed: int = 0) -> Interval:
        """95 % by the bias-corrected bootstrap over examples."""
        ones = np.ones(len(self.counts), dtype=np.int64)
        return bootstrap(lambda weights: self.scores[name](weights @ self.counts), ones, seed=seed, method="bc")[0]


class Gap(NamedTuple):
    """score(a) - score(b), its interval, and p of no difference (two-sided)."""

    value: float
    low: float
    high: float
    p: float


def gap(a: Measured, b: Measured, name: str, seed: int = 0) -> Gap:
    """Two systems on the same examples. The interval is the paired bootstrap's (Koehn 2004), p approximate randomisation's
    (Noreen 1989), which swaps the two systems' counts of each example by a coin."""
    assert a.counts.shape == b.counts.shape, "the systems were not measured on the same examples"
    score, ones = a.scores[name], np.ones(len(a.counts), dtype=np.int64)
    [found] = bootstrap(lambda w: score(w @ a.counts) - score(w @ b.counts), ones, seed=seed, method="bc")
    total, between = a.counts.sum(0) + b.counts.sum(0), a.counts - b.counts
    rng, further = np.random.default_rng(seed), 0
    for size in pieces(SWAPS, len(a.counts)):
        signs = rng.integers(0, 2, size=(size, len(a.counts))) * 2.0 - 1
        swapped = signs @ between
        further += int((np.abs(score((total + swapped) / 2) - score((total - swapped) / 2)) >= abs(found.value) - 1e-12).sum())
    return Gap(found.value, found.low, found.high, (further + 1) / (SWAPS + 1))
