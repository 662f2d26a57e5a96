"""Scores of single-label classification: arrays in, numbers out.

Everything that counts right and wrong answers goes through a `Tally`, which also takes weights of rows, so that a
thousand bootstrap resamples are three matrix products. A class that is neither true nor predicted in a sample has no
F1 and is left out of the macro mean, as scikit-learn's `f1_score(average="macro", zero_division=0)` does.

Not here: multi-label, ranking and threshold scores; the cost of a mistake (all mistakes weigh the same).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

ECE_BINS = 15
SMALLEST_PROBABILITY = 1e-7  # probabilities are kept as float32; a flat zero would make one row's loss infinite


class Tally(NamedTuple):
    """Counts per class, each (..., classes): right answers, rows of the class, predictions of the class."""

    hits: Floats
    true: Floats
    said: Floats


def tally(truth: Ints, predicted: Ints, classes: int, weights: Floats | None = None) -> Tally:
    """Count `truth` and `predicted`, both (n,) class numbers; `weights` (..., n) says how often each row counts."""
    identity = np.eye(classes)
    true, said = identity[truth], identity[predicted]
    weights = np.ones(len(truth)) if weights is None else weights
    return Tally(weights @ (true * said), weights @ true, weights @ said)


def confusion(truth: Ints, predicted: Ints, classes: int) -> Ints:
    """(classes, classes) counts: rows are the truth, columns the prediction."""
    return np.bincount(truth * classes + predicted, minlength=classes * classes).reshape(classes, classes)


def accuracy(counted: Tally) -> Floats:
    """Share of right answers, (...,)."""
    return _ratio(counted.hits.sum(-1), counted.true.sum(-1))


def precision(counted: Tally) -> Floats:
    """Per class, (..., classes); 0 where nothing was predicted."""
    return _ratio(counted.hits, counted.said)


def recall(counted: Tally) -> Floats:
    """Per class, (..., classes); 0 where the class does not occur."""
    return _ratio(counted.hits, counted.true)


def f1(counted: Tally) -> Floats:
    """Per class, (..., classes); 0 where it is neither true nor predicted."""
    return _ratio(2 * counted.hits, counted.true + counted.said)


def macro_f1(counted: Tally) -> Floats:
    """Mean F1 of the classes that are true or predicted at least once, (...,)."""
    present = (counted.true + counted.said) > 0
    return _ratio((f1(counted) * present).sum(-1), present.sum(-1))


def log_losses(truth: Ints, probs: Floats) -> Floats:
    """(n,) negative natural log of the probability given to the truth, which is clipped at 1e-7."""
    given = probs[np.arange(len(truth)), truth].astype(np.float64)
    losses: Floats = -np.log(np.clip(given, SMALLEST_PROBABILITY, 1.0))
    return losses


def brier_losses(truth: Ints, probs: Floats) -> Floats:
    """(n,) squared distance between the probabilities and the truth, from 0 to 2 (Brier 1950, all classes)."""
    losses: Floats = ((probs.astype(np.float64) - np.eye(probs.shape[1])[truth]) ** 2).sum(1)
    return losses


def log_loss(truth: Ints, probs: Floats) -> float:
    return float(log_losses(truth, probs).mean())


def brier(truth: Ints, probs: Floats) -> float:
    return float(brier_losses(truth, probs).mean())


def ece(confidence: Floats, right: Floats, weights: Floats | None = None, bins: int = ECE_BINS) -> Floats:
    """Expected calibration error of the top answer over `bins` bins of equal width on [0, 1] (Guo et al. 2017).

    `confidence` and `right` (0 or 1) are (n,), `weights` (..., n). The estimate is biased upward for small n: a
    perfectly calibrated system scores above 0. It says nothing about the probabilities of the other classes.
    """
    weights = np.ones(len(confidence)) if weights is None else weights
    bin_of = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    gap = np.eye(bins)[bin_of] * (confidence - right)[:, None]
    return _ratio(np.abs(weights @ gap).sum(-1), weights.sum(-1))


def _ratio(above: Floats, below: Floats) -> Floats:
    return np.divide(above, below, out=np.zeros(np.shape(above)), where=np.asarray(below) > 0)
