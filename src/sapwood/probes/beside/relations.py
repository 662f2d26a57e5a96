"""Beside models that tell a relation: the most frequent one between the two types, and the words between the two spans."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from sapwood.metrics.classification import Floats
from sapwood.models.tasks.classification import numbers
from sapwood.models.tasks.task import Row
from sapwood.probes.beside import grams


def beside(task: Any, train: Sequence[Row], rows: Sequence[Row]) -> dict[str, Floats]:
    """(n, relations) probabilities, in the order of `task.labels(train)`."""
    labels = task.labels(train)
    truth = numbers(labels, [row[task.label] for row in train])
    share = np.bincount(truth, minlength=len(labels)) / len(truth)
    by_types: dict[tuple[str, str], Counter[int]] = defaultdict(Counter)
    for row, number in zip(train, truth.tolist(), strict=True):
        by_types[_types(task, row)][number] += 1
    usual = np.stack([_share(by_types.get(_types(task, row)), share) for row in rows])
    made = grams.vectors([_between(task, row) for row in train])
    known, asked = (made.transform([_between(task, row) for row in some]) for some in (train, rows))
    return {
        "majority": np.tile(share, (len(rows), 1)),
        "types": usual,
        "words-between": grams.logistic(known, truth, asked, len(labels)),
    }


def _types(task: Any, row: Row) -> tuple[str, str]:
    head, tail = task.pair(row)
    return head.label, tail.label


def _share(counts: Counter[int] | None, otherwise: Floats) -> Floats:
    if counts is None:
        return otherwise
    found = np.zeros(len(otherwise))
    found[list(counts)] = list(counts.values())
    return found / found.sum()


def _between(task: Any, row: Row) -> str:
    """The types, which comes first, and the text between the two spans."""
    head, tail = task.pair(row)
    first, last = sorted([head, tail])
    order = "headfirst" if head == first else "tailfirst"
    return f"{order} head{head.label} tail{tail.label} {row['text'][first.end : last.start]}"
