"""Intervals hold the truth as often as they say, quickly, and whatever the order of rows."""

import time

import numpy as np
import pytest
from scipy.stats import binomtest

from sapwood.metrics import classification as cls
from sapwood.metrics.intervals import bootstrap, quantile_floor, wilson


@pytest.mark.parametrize(("successes", "n"), [(0, 10), (3, 10), (10, 10), (812, 1000)])
def test_wilson_is_scipys(successes, n):
    expected = binomtest(successes, n).proportion_ci(method="wilson")
    assert wilson(successes, n)[1:] == pytest.approx((expected.low, expected.high))


def test_wilson_knows_nothing_of_no_rows():
    assert wilson(0, 0) == (0.0, 0.0, 1.0)


def test_the_floor_of_a_quantile_is_exceeded_as_often_as_it_says_and_one_pause_does_not_move_it():
    rng, true_p95 = np.random.default_rng(3), -np.log(0.05)  # of the exponential distribution
    for n in (1, 4, 12, 60):
        below = sum(quantile_floor(rng.exponential(size=n), 0.95) <= true_p95 for _ in range(2000))
        assert below / 2000 >= 0.94
    calm = [5.0, 6.0, 5.5, 6.5]
    assert quantile_floor(np.array([*calm[:3], 400.0]), 0.95) == quantile_floor(np.array(calm), 0.95) == 6.0
    assert quantile_floor(np.array([300.0, 310.0, 5.5, 400.0]), 0.95) == 310.0


def macro_cells(truth, said, classes):
    codes, counts = np.unique(truth * classes + said, return_counts=True)
    return (lambda weights: cls.macro_f1(cls.tally(codes // classes, codes % classes, classes, weights))), counts


@pytest.mark.parametrize("method", ["percentile", "bc", "bca"])
def test_the_bootstrap_of_macro_f1_covers_the_true_score(method):
    rng = np.random.default_rng(7)
    population = np.array([[0.42, 0.08], [0.12, 0.38]])
    true_score = float(cls.macro_f1(cls.Tally(np.diag(population), population.sum(1), population.sum(0))))
    covered = 0
    for trial in range(200):
        counts = rng.multinomial(200, population.ravel())
        truth, said = np.repeat([0, 0, 1, 1], counts), np.repeat([0, 1, 0, 1], counts)
        [found] = bootstrap(*macro_cells(truth, said, 2), resamples=400, seed=trial, method=method)
        covered += found.low <= true_score <= found.high
    assert 0.90 <= covered / 200 <= 0.99


def test_the_cells_give_the_same_interval_as_drawing_rows_one_by_one():
    rng = np.random.default_rng(3)
    truth = rng.integers(0, 2, 300)
    said = np.where(rng.random(300) < 0.8, truth, 1 - truth)
    [found] = bootstrap(*macro_cells(truth, said, 2), resamples=4000, method="percentile")
    draws = rng.integers(0, 300, (4000, 300))
    slow = [float(cls.macro_f1(cls.tally(truth[d], said[d], 2))) for d in draws]
    assert (found.low, found.high) == pytest.approx(np.quantile(slow, [0.025, 0.975]), abs=0.006)


def test_the_order_of_rows_does_not_matter_and_the_seed_does():
    rng = np.random.default_rng(5)
    truth, said = rng.integers(0, 3, 200), rng.integers(0, 3, 200)
    order = rng.permutation(200)
    first = bootstrap(*macro_cells(truth, said, 3), seed=1)
    assert first == bootstrap(*macro_cells(truth[order], said[order], 3), seed=1)
    assert first != bootstrap(*macro_cells(truth, said, 3), seed=2)


def test_a_thousand_resamples_of_two_thousand_rows_take_under_a_second():
    rng = np.random.default_rng(6)
    truth, said = rng.integers(0, 10, 2000), rng.integers(0, 10, 2000)
    start = time.perf_counter()
    bootstrap(*macro_cells(truth, said, 10), resamples=1000)
    assert time.perf_counter() - start < 1


def test_a_system_without_a_mistake_has_no_width():
    [found] = bootstrap(*macro_cells(np.array([0, 1] * 20), np.array([0, 1] * 20), 2))
    assert found == (1.0, 1.0, 1.0)
