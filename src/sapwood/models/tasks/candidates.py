"""What rows of tasks that compare say: a query, texts that answer it, and which of them are right. Loads no torch.

text              the query
meta.positive     a text that answers it
meta.negatives    JSON list of texts that do not
meta.candidates   JSON list of texts to put in order
meta.right        where the right ones stand among the candidates: a number, or a JSON list of numbers
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from sapwood.errors import InputError
from sapwood.models.tasks.task import Row, Told

POSITIVE, NEGATIVES, CANDIDATES, RIGHT = "meta.positive", "meta.negatives", "meta.candidates", "meta.right"


class Choice(NamedTuple):
    """Texts to put in order for one query, and the places of the right ones."""

    texts: tuple[str, ...]
    right: tuple[int, ...]


def texts_of(row: Row, name: str) -> tuple[str, ...]:
    """The JSON list of texts of a field; empty where the row has none. `InputError` names the row."""
    try:
        found = json.loads(row.get(name) or "[]")
    except ValueError:
        raise _wrong(row, name, "is no JSON") from None
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise _wrong(row, name, "is no JSON list of texts")
    return tuple(found)


def choice(row: Row) -> Choice:
    """The candidates of one row. `InputError` where it has none, or none of them is right."""
    texts = texts_of(row, CANDIDATES)
    if not texts:
        raise _wrong(row, CANDIDATES, "is empty")
    try:
        stated = json.loads(row.get(RIGHT) or "[]")
        right = tuple(sorted({int(place) for place in (stated if isinstance(stated, list) else [stated])}))
    except (ValueError, TypeError):
        raise _wrong(row, RIGHT, "is no number and no list of numbers") from None
    if not right or right[0] < 0 or right[-1] >= len(texts):
        raise _wrong(row, RIGHT, f"must name places from 0 to {len(texts) - 1}")
    return Choice(texts, right)


def choices(rows: Sequence[Row]) -> list[Choice]:
    """What each query has to choose from: its own candidates, or, where no row has any, every positive and negative of all rows;
    then the positives of all rows with the same query are right."""
    if any(row.get(CANDIDATES) for row in rows):
        return [choice(row) for row in rows]
    pool: dict[str, int] = {}
    answers: dict[str, set[int]] = {}
    for row in rows:
        for text in (positive(row), *texts_of(row, NEGATIVES)):
            pool.setdefault(text, len(pool))
        answers.setdefault(row["text"], set()).add(pool[positive(row)])
    texts = tuple(pool)
    return [Choice(texts, tuple(sorted(answers[row["text"]]))) for row in rows]


def told(row: Row, scores: Any) -> Told:
    """A row for people: its query, the right candidates, and the one with the highest score. Where the row has no candidates of its own,
    the numbers are the places among all."""
    texts = texts_of(row, CANDIDATES)
    best = int(scores.argmax())
    if not texts:
        return Told(row["text"], row.get(POSITIVE, ""), f"candidate {best} of all")
    return Told(row["text"], " / ".join(texts[place] for place in choice(row).right), texts[best])


def positive(row: Row) -> str:
    """The text that answers the row's query; `InputError` where there is none."""
    if not row.get(POSITIVE):
        raise _wrong(row, POSITIVE, "is empty")
    return row[POSITIVE]


def _wrong(row: Row, name: str, what: str) -> InputError:
    return InputError(
        f"example {row.get('id', '?')}: {name} {what}", "mend that row, or make the examples with the stages contrast and candidates"
    )
