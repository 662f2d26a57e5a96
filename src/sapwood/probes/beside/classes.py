"""Beside classifiers of texts: the majority, and TF-IDF with logistic regression. Without torch's help; the network of the stage
`baselines` is not among them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sapwood.metrics.classification import Floats
from sapwood.models.tasks.multilabel import Multilabel
from sapwood.models.tasks.task import Row
from sapwood.probes.beside import grams


def beside(task: Any, train: Sequence[Row], rows: Sequence[Row]) -> dict[str, Floats]:
    """(n, classes) probabilities, classes in the order of `task.labels(train)`."""
    labels = task.labels(train)
    made = grams.vectors([row["text"] for row in train])
    known, asked = (made.transform([row["text"] for row in some]) for some in (train, rows))
    if isinstance(task, Multilabel):
        truth = task.truth(train, labels).astype(np.int64)
        share = truth.mean(0)
        fitted = np.stack([grams.logistic(known, truth[:, i], asked, 2)[:, 1] for i in range(len(labels))], axis=1)
    else:
        from sapwood.models.tasks.classification import numbers

        truth = numbers(labels, [row[task.label] for row in train])
        share = np.bincount(truth, minlength=len(labels)) / len(truth)
        fitted = grams.logistic(known, truth, asked, len(labels))
    return {"majority": np.tile(share, (len(rows), 1)), "tfidf-logreg": fitted}
