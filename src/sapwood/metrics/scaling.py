"""The scaling law L(N, D) = E + A / N^alpha + B / D^beta (Hoffmann et al. 2022): fit, interval, prediction, and what a budget buys.

N is parameters, D tokens, L a loss in nats. The fit minimises Huber's loss of the difference of logarithms from many starts; its
intervals come from a bootstrap of the residuals, widened for the five numbers fitted (few rungs: drawing rungs anew would
leave too few different ones). A budget is C = 6 N D operations.

Not covered: whether the law holds past the rungs (look at the held-out ones), tokens seen twice, and a schedule that suits another
length. A ladder of one size or one amount cannot tell its term from E; the intervals show that.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import nnls

from sapwood.metrics.classification import Floats

DELTA = 1e-2
"""Where Huber's loss turns from squares to absolute values, in log loss: about the spread between seeds. The paper takes 1e-3 with 400
runs. On a planted law with 0.3 % noise and seven rungs fitted, the error on two larger rungs was 0.37 % with 1e-2 and 0.55 % with 1e-3
(median of 8 draws)."""
NUMBERS = 5
LARGEST_POWER = 3.0
RESAMPLES = 200
STEPS = 200
"""Steps of a descent; a flat valley is not worth more."""
OPERATIONS = 6
"""Floating-point operations for each parameter and token: two forward, four backward."""


class Law(NamedTuple):
    """The five numbers of L(N, D) = E + A / N^alpha + B / D^beta."""

    e: float
    a: float
    b: float
    alpha: float
    beta: float

    def loss(self, n: Floats | float, d: Floats | float) -> Floats:
        """Loss at N parameters and D tokens."""
        found: Floats = self.e + self.a * np.power(n, -self.alpha) + self.b * np.power(d, -self.beta)
        return found

    def best(self, flops: float) -> tuple[float, float, float]:
        """(N, D, loss) that a budget of `flops` buys at best: the minimum over 6 N D = flops, in closed form. NaN where a power is 0."""
        both = self.alpha + self.beta
        if min(self.alpha, self.beta) < 1e-3 or min(self.a, self.b) <= 0:
            return math.nan, math.nan, math.nan
        log_g = math.log(self.alpha * self.a / (self.beta * self.b)) / both
        n = math.exp(log_g + self.beta / both * math.log(flops / OPERATIONS))
        d = flops / OPERATIONS / n
        return n, d, float(self.loss(n, d))


def fit(n: Floats, d: Floats, loss: Floats, delta: float = DELTA) -> Law:
    """The law that fits best from 54 starts. Arrays of equal length, all positive. Raises `ValueError` with fewer than six rungs."""
    if len(loss) <= NUMBERS:
        raise ValueError(f"{len(loss)} rungs are too few to fit {NUMBERS} numbers")
    starts = [
        [math.log(share * loss.min()), math.log(side * rest), math.log((1 - side) * rest), alpha, beta]
        for share in (0.2, 0.5, 0.8)
        for rest in [float(np.median(loss)) - share * loss.min()]
        for side in (0.3, 0.7)
        for alpha in (0.2, 0.5, 1.0)
        for beta in (0.2, 0.5, 1.0)
    ]
    logs = _Logs(n, d)
    found, cost = _descend(np.array(starts), np.tile(np.log(loss), (len(starts), 1)), logs, delta)
    return logs.law(found[cost.argmin()])


def draws(law: Law, n: Floats, d: Floats, loss: Floats, resamples: int = RESAMPLES, seed: int = 0) -> list[Law]:
    """Laws fitted to the fitted losses with residuals drawn anew: the spread of the fit. Each starts at `law` and at two places beside it."""
    rng = np.random.default_rng(seed)
    logs = _Logs(n, d)
    fitted = np.log(law.loss(n, d))
    rest = (np.log(loss) - fitted) * math.sqrt(len(loss) / (len(loss) - NUMBERS))
    again = np.repeat(fitted + rng.choice(rest, (resamples, len(rest))), 3, axis=0)
    beside = np.tile([[0.0, 0, 0, 0, 0], [0.0, 0, 0, 0.2, -0.2], [0.0, 0, 0, -0.2, 0.2]], (resamples, 1))
    found, cost = _descend(logs.theta(law) + beside, again, logs, DELTA)
    best = cost.reshape(resamples, 3).argmin(1) + 3 * np.arange(resamples)
    return [logs.law(found[place]) for place in best]


def interval(values: Sequence[float], level: float = 0.95) -> tuple[float, float]:
    """The middle share of drawn values. (-inf, inf) when one in twenty or more is no number."""
    kept = [value for value in values if math.isfinite(value)]
    if len(kept) <= 0.95 * len(values):
        return -math.inf, math.inf
    low, high = np.quantile(kept, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def speed(flops: Floats, seconds: Floats) -> tuple[float, float]:
    """(seconds before the first step, operations a second), fitted with equal weight to relative errors and never negative."""
    design = np.stack([1 / seconds, flops / seconds], axis=1)
    scale = design.max(0)
    found, _ = nnls(design / scale, np.ones(len(seconds)))
    start, each = found / scale
    return float(start), math.inf if each == 0 else float(1 / each)


class _Logs:
    """Logarithms around the centre of the rungs. theta is (log E, log of either term at the centre, alpha, beta)."""

    def __init__(self, n: Floats, d: Floats) -> None:
        self.centre = float(np.log(n).mean()), float(np.log(d).mean())
        self.n, self.d = np.log(n) - self.centre[0], np.log(d) - self.centre[1]

    def law(self, theta: Floats) -> Law:
        e, a, b, alpha, beta = (float(value) for value in theta)
        return Law(math.exp(e), math.exp(a + alpha * self.centre[0]), math.exp(b + beta * self.centre[1]), alpha, beta)

    def theta(self, law: Law) -> Floats:
        a, b = math.log(law.a) - law.alpha * self.centre[0], math.log(law.b) - law.beta * self.centre[1]
        return np.array([math.log(law.e), a, b, law.alpha, law.beta])

    def terms(self, theta: Floats) -> Floats:
        """(starts, rungs, 3): logarithms of the three terms."""
        first = np.repeat(theta[:, :1], len(self.n), 1)
        return np.stack([first, theta[:, 1:2] - theta[:, 3:4] * self.n, theta[:, 2:3] - theta[:, 4:5] * self.d], axis=2)


def _descend(theta: Floats, targets: Floats, logs: _Logs, delta: float) -> tuple[Floats, Floats]:
    """Levenberg-Marquardt with Huber's weights, every start at once: theta (s, 5) and its cost (s,). `targets` (s, rungs) are log losses."""
    low = np.array([targets.min() - 12] * 3 + [0.0, 0.0])
    high = np.array([targets.max() + 3] * 3 + [LARGEST_POWER] * 2)
    theta, damping = np.clip(theta, low, high), np.full((len(theta), 1, 1), 1e-2)
    terms = logs.terms(theta)
    cost, idle = _cost(terms, targets, delta), 0
    for _ in range(STEPS):
        total = np.logaddexp.reduce(terms, axis=2)
        rest, share = total - targets, np.exp(terms - total[:, :, None])
        slope = np.concatenate([share, -share[:, :, 1:2] * logs.n[None, :, None], -share[:, :, 2:] * logs.d[None, :, None]], axis=2)
        weighed = slope * np.minimum(1, delta / np.maximum(np.abs(rest), 1e-300))[:, :, None]
        square = weighed.transpose(0, 2, 1) @ slope
        ridge = damping * (square * np.eye(NUMBERS) + 1e-9 * np.eye(NUMBERS))
        step = np.linalg.solve(square + ridge, weighed.transpose(0, 2, 1) @ rest[:, :, None])[:, :, 0]
        tried = np.clip(theta - step, low, high)
        tried_terms = logs.terms(tried)
        tried_cost = _cost(tried_terms, targets, delta)
        better = tried_cost < cost
        idle = 0 if (cost - tried_cost > 1e-5 * cost).any() else idle + 1
        if idle > 8:  # the damping has grown 65,000 times meanwhile, and no start has moved
            break
        theta, cost = np.where(better[:, None], tried, theta), np.where(better, tried_cost, cost)
        terms = np.where(better[:, None, None], tried_terms, terms)
        damping = np.clip(np.where(better[:, None, None], damping / 4, damping * 4), 1e-9, 1e9)
    return theta, cost


def _cost(terms: Floats, targets: Floats, delta: float) -> Floats:
    size = np.abs(np.logaddexp.reduce(terms, axis=2) - targets)
    found: Floats = np.where(size <= delta, size**2 / 2, delta * (size - delta / 2)).sum(1)
    return found
