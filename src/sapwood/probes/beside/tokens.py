"""Beside models that mark entities: a list of the entities of the training rows, and logistic regression over windows of units.

Not covered: a sequence model that knows which tag follows which (a conditional random field).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from sapwood.models.tasks.task import Row
from sapwood.text import spans
from sapwood.text.spans import Span

SURE = 0.5
"""Share of its occurrences in training that must be entities, for an entry to stay in the list."""
WIDTH = 2
EPOCHS = 8


def beside(task: Any, train: Sequence[Row], rows: Sequence[Row]) -> dict[str, list[list[Span]]]:
    """The spans of each row."""
    truth = task.entities(train)
    known = gazetteer([row["text"] for row in train], truth)
    return {
        "gazetteer": [spans.looked_up(row["text"], known) for row in rows],
        "window-logreg": windowed([row["text"] for row in train], truth, [row["text"] for row in rows]),
    }


def gazetteer(texts: Sequence[str], truth: Sequence[Sequence[Span]]) -> dict[str, str]:
    """Surface -> its most frequent label, for surfaces that are entities more often than not where the training texts have them."""
    labels: dict[str, Counter[str]] = {}
    for text, found in zip(texts, truth, strict=True):
        for span in found:
            labels.setdefault(text[span.start : span.end], Counter())[span.label] += 1
    known = {surface: min(counts, key=lambda one: (-counts[one], one)) for surface, counts in labels.items()}
    seen, right = Counter[str](), Counter[str]()
    for text, found in zip(texts, truth, strict=True):
        true = set(found)
        for span in spans.looked_up(text, known):
            seen[text[span.start : span.end]] += 1
            right[text[span.start : span.end]] += span in true
    return {surface: label for surface, label in known.items() if right[surface] > SURE * seen[surface]}


def windowed(texts: Sequence[str], truth: Sequence[Sequence[Span]], asked: Sequence[str]) -> list[list[Span]]:
    """Each unit's tag by logistic regression on the units around it, fitted by stochastic gradient descent."""
    from sklearn.feature_extraction import FeatureHasher
    from sklearn.linear_model import SGDClassifier

    hashed = FeatureHasher(2**20, input_type="string")
    tags: list[str] = []
    features: list[list[str]] = []
    for text, found in zip(texts, truth, strict=True):
        places = spans.units(text)
        tags += spans.tags(places, found)
        features += _features(text, places)
    if len(set(tags)) < 2:
        return [[] for _ in asked]
    model = SGDClassifier(loss="log_loss", alpha=1e-6, max_iter=EPOCHS, tol=None, random_state=0)
    model.fit(hashed.transform(features), np.asarray(tags))
    said = []
    for text in asked:
        places = spans.units(text)
        given = model.predict(hashed.transform(_features(text, places))).tolist() if places else []
        said.append(spans.from_tags(places, given))
    return said


def _features(text: str, places: Sequence[tuple[int, int]]) -> list[list[str]]:
    """Units at -2 to 2, and neighbouring pairs of them."""
    edge = ["\n"] * WIDTH
    words = [*edge, *(text[start:end].casefold() for start, end in places), *edge]
    found = []
    for at in range(WIDTH, len(words) - WIDTH):
        near = words[at - WIDTH : at + WIDTH + 1]
        single = [f"{i}:{word}" for i, word in enumerate(near)]
        pairs = [f"{i}+:{near[i]}\t{near[i + 1]}" for i in range(len(near) - 1)]
        shape = text[places[at - WIDTH][0]]
        found.append([*single, *pairs, f"upper:{shape.isupper()}", f"digit:{shape.isdigit()}"])
    return found
