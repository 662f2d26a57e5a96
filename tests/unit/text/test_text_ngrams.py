"""The n-gram baseline: probabilities add up to one, likelier text is likelier, and both sides are weighed as the formula says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sapwood.errors import InputError
from sapwood.text.ngrams import Ngrams


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 1000), order=st.integers(1, 3), vocab=st.integers(2, 12))
def test_probabilities_add_up_to_one_after_any_context(seed: int, order: int, vocab: int) -> None:
    chance = np.random.default_rng(seed)
    model = Ngrams([chance.integers(0, vocab, size=n) for n in chance.integers(1, 30, size=6)], vocab, order)
    for _ in range(5):
        context = chance.integers(0, vocab + 1, size=order - 1)
        nats = model.nats(np.tile(context, (vocab, 1)).reshape(vocab, order - 1), np.arange(vocab))
        assert np.exp(-nats).sum() == pytest.approx(1.0)


def test_what_was_seen_is_likelier_and_more_context_helps() -> None:
    line = np.asarray([1, 2, 3, 4] * 50)
    trigram, unigram = Ngrams([line], 6, 3), Ngrams([line], 6, 1)
    before = np.stack([line[:-2], line[1:-1]], axis=1)
    assert trigram.nats(before, line[2:]).mean() < 0.1 < unigram.nats(before[:, :0], line[2:]).mean()
    assert trigram.nats(np.asarray([[1, 2]]), np.asarray([3])) < trigram.nats(np.asarray([[1, 2]]), np.asarray([5]))


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 1000))
def test_both_neighbours_are_weighed_as_the_formula_says(seed: int) -> None:
    chance = np.random.default_rng(seed)
    vocab = 7
    model = Ngrams([chance.integers(0, vocab, size=40)], vocab, 2)
    left, right, truth = (chance.integers(0, top, size=15) for top in (vocab + 1, vocab + 1, vocab))
    found, likeliest = model.between(left, right, truth)
    every = np.arange(vocab)
    for i in range(15):
        ahead = model.alone if left[i] == vocab else np.exp(-model.nats(np.full((vocab, 1), left[i]), every))
        after = np.ones(vocab) if right[i] == vocab else np.exp(-model.nats(every[:, None], np.full(vocab, right[i])))
        weight = ahead * after
        assert found[i] == pytest.approx(-np.log(weight[truth[i]] / weight.sum()))
        assert likeliest[i] == (weight.argmax() == truth[i])


def test_nothing_to_count_and_too_large_a_vocabulary_are_told() -> None:
    with pytest.raises(InputError, match="no token"):
        Ngrams([], 10, 2)
    with pytest.raises(InputError, match="3-grams"):
        Ngrams([np.asarray([1])], 1 << 22, 3)
