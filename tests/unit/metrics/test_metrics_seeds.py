"""Intervals over seeds."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from sapwood.metrics import seeds

SCORES = st.lists(st.floats(-10, 10), min_size=2, max_size=8)


def test_the_interval_is_students_t():
    scores = [0.81, 0.84, 0.79, 0.83]
    low, high = stats.t.interval(0.95, 3, loc=sum(scores) / 4, scale=stats.sem(scores))
    assert seeds.mean(scores) == pytest.approx((sum(scores) / 4, low, high))


def test_one_seed_says_nothing_of_the_spread():
    assert seeds.mean([0.5]) == (0.5, -math.inf, math.inf)


@given(SCORES, st.floats(-5, 5))
def test_a_difference_does_not_change_with_what_both_share(scores, shift):
    """Seeds that are hard for both settings do not widen the interval of their difference."""
    ours = [score + 0.1 + shift for score in scores]
    assert seeds.difference(ours, scores) == pytest.approx((0.1 + shift,) * 3, abs=1e-9)


@given(SCORES)
def test_turning_the_sides_turns_the_interval(scores):
    other = list(reversed(scores))
    one, two = seeds.difference(scores, other), seeds.difference(other, scores)
    assert (one.value, one.low, one.high) == pytest.approx((-two.value, -two.high, -two.low), abs=1e-9)


def test_unequal_numbers_of_seeds_are_refused():
    with pytest.raises(ValueError, match="2 scores against 1"):
        seeds.difference([0.1, 0.2], [0.1])
