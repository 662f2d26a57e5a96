"""Baselines learn what there is to learn in both languages, give probabilities, and repeat themselves."""

import numpy as np
import pytest

from sapwood.metrics.classification import accuracy, tally
from sapwood.probes.baselines import BASELINES, UNITS, Labelled
from sapwood.testing.tiny import LABELS, tiny_examples

ORDER = np.random.default_rng(0).permutation(72)
TRAIN, DEV = ([tiny_examples()[i] for i in part] for part in (ORDER[:52], ORDER[52:]))


def labelled(rows):
    return Labelled([row["text"] for row in rows], np.array([LABELS.index(row["label"]) for row in rows]))


def fitted(name, seed=1, train=TRAIN, classes=2):
    return BASELINES[name](labelled(train), labelled(DEV), classes, seed, lambda: None)


def test_units_are_characters_of_chinese_and_words_of_english():
    assert UNITS.findall("这部 iPhone15 很好!") == ["这", "部", "iPhone15", "很", "好", "!"]
    assert UNITS.findall("naïve café — ok") == ["naïve", "café", "—", "ok"]
    assert UNITS.findall("ความสุข")[:2] == ["ค", "ว"]


@pytest.mark.parametrize("name", ["tfidf-logreg", "cnn-lstm"])
def test_it_learns_praise_and_blame_in_both_languages(name):
    held_out = labelled(DEV)
    probs = fitted(name, train=TRAIN * 8)(held_out.texts)
    np.testing.assert_allclose(probs.sum(1), 1, atol=1e-6)
    assert accuracy(tally(held_out.labels, probs.argmax(1), 2)) > 0.9


@pytest.mark.parametrize("name", list(BASELINES))
def test_it_repeats_itself_and_answers_in_any_order(name):
    texts = [row["text"] for row in DEV]
    first = fitted(name)(texts)
    np.testing.assert_array_equal(first, fitted(name)(texts))
    np.testing.assert_allclose(first[::-1], fitted(name)(texts[::-1]), atol=1e-6)


@pytest.mark.parametrize("name", list(BASELINES))
def test_a_class_without_rows_and_an_empty_text_are_no_fault(name):
    probs = fitted(name, classes=3)(["", "好"])
    assert probs.shape == (2, 3)
    assert (probs[:, 2] < 0.5).all()


@pytest.mark.parametrize("name", list(BASELINES))
def test_one_class_only_is_no_fault(name):
    probs = fitted(name, train=[row for row in TRAIN if row["label"] == LABELS[1]])(["好", "bad"])
    assert (probs.argmax(1) == 1).all()


def test_the_majority_answers_with_the_shares_of_train():
    uneven = [row for row in TRAIN if row["label"] == LABELS[0]] + [row for row in TRAIN if row["label"] == LABELS[1]][:9]
    share = 9 / len(uneven)
    np.testing.assert_allclose(fitted("majority", train=uneven)(["x"]), [[1 - share, share]])


def test_the_network_stops_when_asked():
    def stop():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        BASELINES["cnn-lstm"](labelled(TRAIN), labelled(DEV), 2, 1, stop)
