"""The scores agree with scikit-learn's, and do not change with the order of rows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, log_loss, precision_recall_fscore_support

from sapwood.metrics import classification as cls

pairs = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=60)


@given(pairs)
@settings(max_examples=60, deadline=None)
def test_precision_recall_and_f1_are_those_of_scikit_learn(rows):
    truth, said = (np.array(column) for column in zip(*rows, strict=True))
    counted = cls.tally(truth, said, 4)
    expected = precision_recall_fscore_support(truth, said, labels=range(4), zero_division=0)
    for ours, theirs in zip((cls.precision(counted), cls.recall(counted), cls.f1(counted), counted.true), expected, strict=True):
        np.testing.assert_allclose(ours, theirs)
    assert cls.macro_f1(counted) == pytest.approx(f1_score(truth, said, average="macro", zero_division=0))
    assert cls.accuracy(counted) == pytest.approx(accuracy_score(truth, said))
    assert (cls.confusion(truth, said, 4) == confusion_matrix(truth, said, labels=range(4))).all()


def test_weights_count_a_row_as_often_as_they_say():
    truth, said, weights = np.array([0, 1, 1]), np.array([0, 0, 1]), np.array([[2.0, 0, 1], [1, 1, 1]])
    doubled = cls.tally(np.array([0, 0, 1]), np.array([0, 0, 1]), 2)
    counted = cls.tally(truth, said, 2, weights)
    assert cls.macro_f1(counted)[0] == cls.macro_f1(doubled)
    assert cls.macro_f1(counted)[1] == cls.macro_f1(cls.tally(truth, said, 2))


def test_log_loss_and_brier_score_are_the_textbook_ones():
    rng = np.random.default_rng(0)
    truth, probs = rng.integers(0, 3, 50), rng.dirichlet([1, 1, 1], 50)
    assert cls.log_loss(truth, probs) == pytest.approx(log_loss(truth, probs, labels=range(3)))
    assert cls.brier(np.array([0]), np.array([[1.0, 0.0]])) == 0
    assert cls.brier(np.array([1]), np.array([[1.0, 0.0]])) == 2
    assert np.isfinite(cls.log_loss(np.array([1]), np.array([[1.0, 0.0]])))


def test_calibration_error_is_the_gap_between_confidence_and_accuracy():
    confidence, right = np.full(100, 0.9), np.array([1.0] * 60 + [0.0] * 40)
    assert cls.ece(confidence, right) == pytest.approx(0.3)
    assert cls.ece(np.array([1.0]), np.array([1.0])) == 0
    rng = np.random.default_rng(1)
    sure = rng.uniform(0.5, 1, 200_000)
    assert cls.ece(sure, (rng.random(200_000) < sure).astype(float)) < 0.005
