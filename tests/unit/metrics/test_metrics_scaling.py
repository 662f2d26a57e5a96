"""The fit finds planted laws, its intervals hold them, and what it says of budgets is the optimum."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sapwood.metrics import scaling
from sapwood.metrics.scaling import Law

CHINCHILLA = Law(1.69, 406.4, 410.7, 0.34, 0.28)
SMALL = Law(2.5, 60.0, 900.0, 0.35, 0.40)


def ladder(sizes, amounts):
    n, d = np.meshgrid(sizes, amounts)
    return n.ravel(), d.ravel()


LARGE_LADDER = ladder([1e7, 3e7, 1e8, 3e8], [2e8, 6e8, 2e9, 6e9])
SMALL_LADDER = ladder([2e5, 6e5, 2e6], [2e5, 6e5, 2e6])


@pytest.mark.parametrize(("law", "rungs"), [(CHINCHILLA, LARGE_LADDER), (SMALL, SMALL_LADDER)])
def test_a_planted_law_is_found_again_to_six_digits(law, rungs):
    n, d = rungs
    assert scaling.fit(n, d, law.loss(n, d)) == pytest.approx(law, rel=1e-6)


@settings(max_examples=10, deadline=None)
@given(st.floats(1e-3, 1e3), st.floats(1e-3, 1e3))
def test_the_powers_do_not_change_with_the_units_of_parameters_and_tokens(thousands, millions):
    n, d = SMALL_LADDER
    loss = SMALL.loss(n, d)
    found = scaling.fit(n * thousands, d * millions, loss)
    assert (found.e, found.alpha, found.beta) == pytest.approx((SMALL.e, SMALL.alpha, SMALL.beta), rel=1e-4)


def test_of_noisy_rungs_the_larger_ones_are_foretold_better_than_by_the_nearest_rung():
    n, d = LARGE_LADDER
    true = CHINCHILLA.loss(n, d)
    order = np.argsort(n * d)
    known, hidden = order[:-2], order[-2:]
    ours, nearest = [], []
    for seed in range(6):
        loss = true * np.exp(np.random.default_rng(seed).normal(0, 0.003, len(n)))
        law = scaling.fit(n[known], d[known], loss[known])
        ours.append(np.abs(law.loss(n[hidden], d[hidden]) / true[hidden] - 1).mean())
        nearest.append(np.abs(loss[known[-1]] / true[hidden] - 1).mean())
    assert np.median(ours) < 0.006
    assert np.median(ours) < np.median(nearest) / 4


def test_one_wild_rung_hardly_moves_the_fit():
    n, d = LARGE_LADDER
    loss = CHINCHILLA.loss(n, d)
    loss[5] *= 1.5
    found = scaling.fit(n, d, loss)
    assert np.abs(found.loss(n, d) / CHINCHILLA.loss(n, d) - 1).max() < 0.03


def test_intervals_hold_the_planted_losses_about_as_often_as_they_say():
    n, d = LARGE_LADDER
    held = []
    for seed in range(5):
        loss = CHINCHILLA.loss(n, d) * np.exp(np.random.default_rng(seed).normal(0, 0.005, len(n)))
        law = scaling.fit(n, d, loss)
        spread = scaling.draws(law, n, d, loss, resamples=40)
        low, high = scaling.interval([float(one.loss(1e9, 2e10)) for one in spread])
        held.append(low <= float(CHINCHILLA.loss(1e9, 2e10)) <= high)
    assert sum(held) >= 4


def test_the_same_seed_draws_the_same_laws():
    n, d = SMALL_LADDER
    loss = SMALL.loss(n, d) * np.exp(np.random.default_rng(3).normal(0, 0.005, len(n)))
    law = scaling.fit(n, d, loss)
    assert scaling.draws(law, n, d, loss, 5, seed=4) == scaling.draws(law, n, d, loss, 5, seed=4)


@settings(max_examples=20, deadline=None)
@given(st.floats(10, 24))
def test_no_other_split_of_a_budget_is_better(power):
    flops = 10.0**power
    n, d, loss = CHINCHILLA.best(flops)
    assert 6 * n * d == pytest.approx(flops)
    for share in (0.5, 0.9, 1.1, 2.0):
        assert float(CHINCHILLA.loss(n * share, d / share)) > loss


def test_a_power_of_nothing_has_no_optimum():
    assert all(math.isnan(value) for value in Law(1.0, 1.0, 1.0, 0.0, 0.5).best(1e12))
    assert scaling.interval([math.nan, 1.0, 2.0]) == (-math.inf, math.inf)


def test_five_rungs_are_refused():
    n = np.array([1e5, 2e5, 3e5, 4e5, 5e5])
    with pytest.raises(ValueError, match="5 rungs are too few"):
        scaling.fit(n, n, n)


def test_speed_and_start_are_told_apart():
    start, speed = scaling.speed(np.array([1e9, 1e10, 1e11]), np.array([5.1, 6.0, 15.0]))
    assert (start, speed) == pytest.approx((5.0, 1e10))
    assert scaling.speed(np.array([1e9, 1e10]), np.array([2.0, 2.0]))[0] == pytest.approx(2.0, rel=0.2)
