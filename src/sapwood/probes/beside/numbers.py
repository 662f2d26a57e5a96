"""Beside models that tell a number: the mean, and ridge regression over TF-IDF."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sapwood.metrics.classification import Floats
from sapwood.models.tasks.task import Row
from sapwood.probes.beside import grams

STRENGTH = 1.0
"""scikit-learn's default penalty; TF-IDF rows have length 1."""


def beside(task: Any, train: Sequence[Row], rows: Sequence[Row]) -> dict[str, Floats]:
    """(n,) numbers."""
    from sklearn.linear_model import Ridge

    truth = task.numbers(train)
    made = grams.vectors([row["text"] for row in train])
    fitted = Ridge(alpha=STRENGTH).fit(made.transform([row["text"] for row in train]), truth)
    said = fitted.predict(made.transform([row["text"] for row in rows]))
    return {"mean": np.full(len(rows), truth.mean()), "tfidf-ridge": np.asarray(said, dtype=np.float64)}
