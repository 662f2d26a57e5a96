"""Paired tests: known tables, the right level when nothing differs, power when something does."""

import numpy as np
import pytest
from scipy.stats import binomtest

from sapwood.metrics.classification import macro_f1, tally
from sapwood.metrics.paired import difference, mcnemar, mcnemar_of


@pytest.mark.parametrize(("only_a", "only_b"), [(0, 5), (10, 2), (25, 25), (121, 59), (1, 0)])
def test_mcnemar_is_the_exact_binomial_test(only_a, only_b):
    found = mcnemar(only_a, only_b)
    assert found.p == pytest.approx(binomtest(only_a, only_a + only_b).pvalue)
    assert found.p_better == pytest.approx(binomtest(only_a, only_a + only_b, alternative="greater").pvalue)


def test_mcnemar_of_a_known_table():
    assert mcnemar(12, 2).p == pytest.approx(0.01293945)
    assert mcnemar(0, 0).p == mcnemar(0, 0).p_better == 1
    truth, a, b = np.array([0, 0, 1, 1]), np.array([0, 0, 0, 1]), np.array([1, 0, 1, 1])
    assert mcnemar_of(truth, a, b)[:2] == (1, 1)


def answers(rng, n, right):
    truth = rng.integers(0, 2, n)
    return truth, *(np.where(rng.random(n) < share, truth, 1 - truth) for share in right)


def test_a_system_does_not_differ_from_itself():
    truth, a, _ = answers(np.random.default_rng(0), 100, (0.8, 0.8))
    assert difference(truth, a, a, 2) == (0.0, 0.0, 0.0, 1.0, 1.0)


def test_equal_systems_are_told_apart_as_often_as_the_level_says():
    rng = np.random.default_rng(1)
    ps = [difference(*answers(rng, 150, (0.8, 0.8)), 2, swaps=300).p for _ in range(200)]
    assert np.mean(np.array(ps) < 0.05) <= 0.09


def test_a_clearly_better_system_is_found_and_the_sides_mirror():
    truth, a, b = answers(np.random.default_rng(2), 600, (0.9, 0.8))
    ahead, behind = difference(truth, a, b, 2), difference(truth, b, a, 2)
    assert ahead.value == pytest.approx(float(macro_f1(tally(truth, a, 2)) - macro_f1(tally(truth, b, 2))))
    assert ahead.low > 0
    assert ahead.p_better < 0.01
    assert behind.value == pytest.approx(-ahead.value)
    assert behind.p_better > 0.99


def test_the_order_of_rows_does_not_matter():
    rng = np.random.default_rng(3)
    truth, a, b = answers(rng, 200, (0.9, 0.8))
    order = rng.permutation(200)
    assert difference(truth, a, b, 2) == difference(truth[order], a[order], b[order], 2)
