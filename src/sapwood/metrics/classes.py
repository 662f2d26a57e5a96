"""Scores of classifiers as functions of sums over texts."""

from __future__ import annotations

import numpy as np

from sapwood.metrics.classification import Floats, Ints, log_losses
from sapwood.metrics.measured import Measured, Score
from sapwood.metrics.spans import f1, share


def single(truth: Ints, probs: Floats) -> Measured:
    """One class a text. `truth` (n,), `probs` (n, classes). Scores: accuracy, macro_f1 (over the classes that occur), log_loss."""
    classes, said = probs.shape[1], probs.argmax(1)
    eye = np.eye(classes)
    hit = eye[truth] * (truth == said)[:, None]
    counts = np.concatenate([hit, eye[truth], eye[said], log_losses(truth, probs)[:, None], np.ones((len(truth), 1))], axis=1)

    def macro_f1(sums: Floats) -> Floats:
        hits, true, told = (sums[..., i * classes : (i + 1) * classes] for i in range(3))
        both = true + told
        f1 = np.divide(2 * hits, both, out=np.zeros_like(both), where=both > 0)
        return f1.sum(-1) / np.maximum((both > 0).sum(-1), 1)

    scores = {
        "accuracy": lambda sums: sums[..., :classes].sum(-1) / sums[..., -1],
        "macro_f1": macro_f1,
        "log_loss": lambda sums: sums[..., -2] / sums[..., -1],
    }
    return Measured(counts, scores, frozenset({"log_loss"}))


def several(truth: Floats, probs: Floats) -> Measured:
    """Any number of classes a text. `truth` (n, classes) of 0 and 1, `probs` (n, classes); a class is told where its probability is .5 or
    more. Scores: micro_f1, macro_f1 (over the classes that occur), exact_match (the whole set is right), log_loss (mean over texts and
    classes)."""
    classes, said = probs.shape[1], (probs >= 0.5).astype(np.float64)
    clipped = np.clip(probs, 1e-15, 1 - 1e-15)
    losses = -(truth * np.log(clipped) + (1 - truth) * np.log1p(-clipped)).mean(1)
    whole = (truth == said).all(1)
    counts = np.concatenate([truth * said, truth, said, whole[:, None], losses[:, None], np.ones((len(truth), 1))], axis=1)

    def parts(sums: Floats) -> tuple[Floats, Floats]:
        hits, true, told = (sums[..., i * classes : (i + 1) * classes] for i in range(3))
        return 2 * hits, true + told

    def macro_f1(sums: Floats) -> Floats:
        hits, both = parts(sums)
        f1 = np.divide(hits, both, out=np.zeros_like(both), where=both > 0)
        return f1.sum(-1) / np.maximum((both > 0).sum(-1), 1)

    def micro_f1(sums: Floats) -> Floats:
        hits, both = (part.sum(-1) for part in parts(sums))
        return np.divide(hits, both, out=np.zeros_like(both), where=both > 0)

    scores = {
        "micro_f1": micro_f1,
        "macro_f1": macro_f1,
        "exact_match": lambda sums: sums[..., -3] / sums[..., -1],
        "log_loss": lambda sums: sums[..., -2] / sums[..., -1],
    }
    return Measured(counts, scores, frozenset({"log_loss"}))


def related(truth: Ints, probs: Floats, none: int | None) -> Measured:
    """One relation a pair. As `single`, and f1, precision and recall over the relations other than `none`, the number of the class that
    says there is no relation (Zhang et al. 2017, TACRED)."""
    plain, said = single(truth, probs), probs.argmax(1)
    real, told = truth != none, said != none
    counts = np.concatenate([plain.counts, np.stack([(truth == said) & real, real, told], axis=1).astype(np.float64)], axis=1)
    inner = {name: _without_three(score) for name, score in plain.scores.items()}
    scores = {"f1": f1([-3], [-2], [-1]), "precision": share([-3], [-1]), "recall": share([-3], [-2]), **inner}
    return Measured(counts, scores, plain.losses)


def _without_three(score: Score) -> Score:
    return lambda sums: score(sums[..., :-3])
