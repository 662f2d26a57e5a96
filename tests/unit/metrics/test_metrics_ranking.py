"""Scores of rankings: known values, and ties that count what a random order would give."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sapwood.metrics import ranking


def test_a_ranking_without_ties_has_the_textbook_scores() -> None:
    scores = [np.array([0.9, 0.5, 0.1]), np.array([0.1, 0.9, 0.5])]
    found = ranking.ranked([(0,), (0,)], scores).values()
    assert found["mrr"] == pytest.approx((1 + 1 / 3) / 2)
    assert found["accuracy@1"] == 0.5
    assert found["recall@10"] == 1.0
    assert found["ndcg@10"] == pytest.approx((1 + 1 / 2) / 2)


def test_equal_scores_are_neither_perfect_nor_useless() -> None:
    found = ranking.ranked([(0,)], [np.zeros(4)]).values()
    assert found["accuracy@1"] == pytest.approx(0.25)
    assert found["mrr"] == pytest.approx((1 + 1 / 2 + 1 / 3 + 1 / 4) / 4)


def brute(right: set[int], values: np.ndarray, draws: int = 2000) -> tuple[float, ...]:
    chance = np.random.default_rng(1)
    total = np.zeros(4)
    ideal = sum(1 / np.log2(1 + rank) for rank in range(1, min(len(right), 10) + 1))
    for _ in range(draws):
        order = np.lexsort((chance.random(len(values)), -values))
        ranks = [rank for rank, place in enumerate(order, 1) if int(place) in right]
        near = [rank for rank in ranks if rank <= 10]
        total += [1 / ranks[0], float(ranks[0] == 1), len(near) / len(right), sum(1 / np.log2(1 + rank) for rank in near) / ideal]
    return tuple(total / draws)


@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_ties_count_what_random_orders_give_on_average(data: st.DataObject) -> None:
    n = data.draw(st.integers(2, 14))
    values = np.array(data.draw(st.lists(st.integers(0, 3), min_size=n, max_size=n)), dtype=float)
    right = data.draw(st.sets(st.integers(0, n - 1), min_size=1, max_size=3))
    found = ranking.ranked([sorted(right)], [values]).counts[0, :4]
    assert np.allclose(found, brute(right, values), atol=0.05)
