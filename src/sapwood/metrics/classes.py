"""Scores of classifiers as functions of sums over texts."""

from __future__ import annotations

import numpy as np

from sapwood.metrics.classification import Floats, Ints, log_losses
from sapwood.metrics.measured import Measured


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
