"""Beside models that answer questions with a span: no answer at all, and the window that shares most units with the question
(Richardson et al. 2013), as long as answers usually are."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from sapwood.models.tasks.task import Row
from sapwood.text import spans
from sapwood.text.spans import Span

REACH = 6
"""Units on either side of a window that are compared with the question."""


def beside(task: Any, train: Sequence[Row], rows: Sequence[Row]) -> dict[str, list[Span | None]]:
    """A span or nothing for each row."""
    lengths = sorted(
        len(spans.units(row["text"][one.start : one.end])) for row, right in zip(train, task.right(train), strict=True) for one in right
    )
    usual = lengths[len(lengths) // 2] if lengths else 1
    often = Counter(unit for row in [*train, *rows] for unit in set(_folded(row["text"])))
    rare = {unit: math.log(1 + (len(train) + len(rows)) / count) for unit, count in often.items()}
    found = [_window(row["text"], set(_folded(row[task.question])), rare, usual) for row in rows]
    return {"no answer": [None] * len(rows), "sliding-window": found}


def _folded(text: str) -> list[str]:
    return [text[start:end].casefold() for start, end in spans.units(text)]


def _window(text: str, asked: set[str], rare: dict[str, float], length: int) -> Span | None:
    """The first window of `length` units with most of the question around it and none of it inside."""
    places = spans.units(text)
    if not places:
        return None
    weight = [rare.get(word, 0.0) if word in asked else 0.0 for word in _folded(text)]
    scores = [
        sum(weight[max(0, at - REACH) : at + length + REACH]) - 2 * sum(weight[at : at + length])
        for at in range(max(1, len(places) - length + 1))
    ]
    best = max(range(len(scores)), key=lambda at: (scores[at], -at))
    return Span(places[best][0], places[min(best + length, len(places)) - 1][1])
