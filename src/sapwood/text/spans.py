"""Marked stretches of a text: (start, end, label) in characters, and the units over which models tag them.

A field with spans is a JSON list, `[[0, 3, "PER"], [7, 9, "LOC"]]`; ends are exclusive. A span may also tell its characters,
`[0, 3, "PER", "江泽民"]`: then a text that was rewritten after it was marked is found out. A unit is one character of a script without
spaces, one run of letters and digits of any other, or one mark: so Chinese is tagged by character and English by word.

What it does NOT do: spans inside other spans, and spans of several pieces. Where two overlap, `tags` keeps the longer one.
"""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from sapwood.errors import InputError

OUTSIDE = "O"
REWRITTEN = "spans count characters of the text as it was marked: no step in between may rewrite it"


class Span(NamedTuple):
    """Characters `start` up to `end` of a text, and what they are."""

    start: int
    end: int
    label: str = ""


def parsed(value: str, text: str, row: str) -> list[Span]:
    """The spans of a field, in the order of the text; empty for an empty field. `InputError` names the row."""
    try:
        given = [(Span(int(start), int(end), *map(str, more[:1])), more[1:]) for start, end, *more in json.loads(value or "[]")]
    except (ValueError, TypeError):
        raise InputError(
            f"row {row}: its spans are no JSON list of [start, end, label]", 'write them as [[0, 3, "PER"], [7, 9, "LOC"]]'
        ) from None
    for span, stated in given:
        if not 0 <= span.start < span.end <= len(text):
            raise InputError(f"row {row}: the span {span.start}-{span.end} is not inside its {len(text)} characters", REWRITTEN)
        if stated and stated[0] != text[span.start : span.end]:
            was = f"the span {span.start}-{span.end} was {stated[0]!r} and is {text[span.start : span.end]!r}"
            raise InputError(f"row {row}: {was}", REWRITTEN)
    return sorted(span for span, _ in given)


def written(found: Iterable[Span], text: str) -> str:
    """The spans as a field's value, with their characters."""
    return json.dumps([[*span, text[span.start : span.end]] for span in sorted(found)], ensure_ascii=False)


def units(text: str) -> list[tuple[int, int]]:
    """(start, end) of every unit of the text, marks included, spaces not."""
    import numpy as np

    from sapwood.text.units import SPACE, WORD, class_table, code_points

    classes = class_table()[code_points(text)]
    before = np.concatenate([[SPACE], classes[:-1]])
    starts = np.flatnonzero((classes != SPACE) & ~((classes == WORD) & (before == WORD)))
    after = np.append(classes[1:], SPACE)
    ends = np.flatnonzero((classes != SPACE) & ~((classes == WORD) & (after == WORD))) + 1
    return list(zip(starts.tolist(), ends.tolist(), strict=True))


def tags(places: Sequence[tuple[int, int]], spans: Sequence[Span]) -> list[str]:
    """One BIO tag a unit: `B-PER` where a span begins, `I-PER` inside, `O` elsewhere. A unit is inside when it overlaps the span."""
    found = [OUTSIDE] * len(places)
    starts, ends = [start for start, _ in places], [end for _, end in places]
    for span in sorted(spans, key=lambda one: (one.end - one.start, one)):  # the longest last, so that it stays
        first, last = bisect_right(ends, span.start), bisect_left(starts, span.end)
        for place in range(first, last):
            found[place] = f"{'I' if place > first else 'B'}-{span.label}"
    return found


def from_tags(places: Sequence[tuple[int, int]], given: Sequence[str]) -> list[Span]:
    """The spans that tags tell. An `I` after another label or after nothing begins a span, as in the CoNLL scorer."""
    found: list[Span] = []
    open_label = ""
    for (start, end), tag in zip(places, given, strict=True):
        mark, _, label = tag.partition("-")
        if mark == "I" and open_label == label:
            found[-1] = found[-1]._replace(end=end)
        elif mark in ("B", "I"):
            found.append(Span(start, end, label))
        open_label = label if mark in ("B", "I") else ""
    return found


def looked_up(text: str, known: Mapping[str, str], most_units: int = 12) -> list[Span]:
    """The names of `known` (name -> label) in a text, the longest first, from left to right; they begin and end where units do."""
    places = units(text)
    found: list[Span] = []
    at = 0
    while at < len(places):
        start = places[at][0]
        for last in range(min(at + most_units, len(places)) - 1, at - 1, -1):
            label = known.get(text[start : places[last][1]])
            if label is not None:
                found.append(Span(start, places[last][1], label))
                at = last
                break
        at += 1
    return found
