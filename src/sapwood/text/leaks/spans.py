"""Where one text stands inside another: units with their places in the original, and the stretch in which most of an item is found.

Shingles (`units.shingle`) say how much two texts share; this module says where, so that a person can read the evidence and a span
can be cut out. The units are those of the shingles: words in their normal form, or single characters of an unspaced script.

A stretch is at most `SLACK` times as long as the item: what lies scattered over a whole manual is not an item that is in it.
It takes about a microsecond a character in Python, so it is for the few documents that shingles have pointed at.
"""

from __future__ import annotations

import itertools
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from sapwood.text import units

Array = np.ndarray[Any, Any]

K = 5
"""Units a window, as in `units.shingle`."""
SLACK = 2
JAMO = (0x1160, 0x1200)
"""Hangul vowels and finals join with what stands before them although they are no marks."""


class Placed(NamedTuple):
    """A text's units in normal form; unit i was written at `starts[i]:ends[i]` of the original, in characters."""

    names: list[str]
    starts: list[int]
    ends: list[int]

    def windows(self) -> list[str]:
        """The K units from each place on, as one string; the text's shingles are these, hashed."""
        return [" ".join(self.names[start : start + K]) for start in range(max(0, len(self.names) - K + 1))]


class Stretch(NamedTuple):
    """Characters `start:end` of the document hold `coverage` (0 to 1) of the item's distinct windows, which are `found`."""

    start: int
    end: int
    coverage: float
    found: frozenset[str]


def placed(text: str) -> Placed:
    """The units of a text and where they stand in it."""
    form, origin = _folded(text)
    plain = units.code_points(form)
    points = units.folded_table()[plain]
    classes = units.class_table()[np.where(points == units.HARD, plain, points)]
    before = np.concatenate([[units.SPACE], classes[:-1]]) if len(classes) else classes
    firsts = np.flatnonzero((classes == units.CHARACTER) | ((classes == units.WORD) & (before != units.WORD)))
    if not len(firsts):
        return Placed([], [], [])
    stops = np.append(np.flatnonzero(classes < units.WORD), len(form))
    lasts = np.minimum(np.append(firsts[1:], len(form)), stops[np.searchsorted(stops, firsts)])  # up to the next unit or what is in none
    names = [form[first:last] for first, last in zip(firsts.tolist(), lasts.tolist(), strict=True)]
    return Placed(names, origin[firsts].tolist(), _after(origin, lasts, len(text)))


def where(document: Placed) -> dict[str, list[int]]:
    """The places of each window, ascending."""
    places: dict[str, list[int]] = {}
    for place, window in enumerate(document.windows()):
        places.setdefault(window, []).append(place)
    return places


def stretches(document: Placed, places: Mapping[str, Sequence[int]], item: frozenset[str], item_units: int) -> Iterator[Stretch]:
    """The stretch of at most `SLACK * item_units` units with the most of the item's windows (the shortest, then the first of equals); then
    the best of what that leaves of the document, and so on. `places` are the document's `where`."""
    left = sorted((place, window) for window in item for place in places.get(window, ()))
    while left:
        first, last = _best(left, max(1, SLACK * item_units - K + 1))
        held = frozenset(window for _, window in left[first : last + 1])
        begin, end = left[first][0], left[last][0]
        yield Stretch(document.starts[begin], document.ends[end + K - 1], len(held) / len(item), held)
        left = [one for one in left if not begin - K < one[0] < end + K]


def _best(left: Sequence[tuple[int, str]], reach: int) -> tuple[int, int]:
    """(first, last) of the entries within `reach` places that have the most distinct windows; the shortest, then the first of equals."""
    inside: Counter[str] = Counter()
    first, top = 0, (0, 0, 0, 0)  # distinct windows, -length, -first, last
    for last, (place, window) in enumerate(left):
        inside[window] += 1
        while place - left[first][0] >= reach or inside[left[first][1]] > 1:
            inside[left[first][1]] -= 1
            if not inside[left[first][1]]:
                del inside[left[first][1]]
            first += 1
        top = max(top, (len(inside), left[first][0] - place, -first, last))
    return -top[2], top[3]


def merged(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The spans in order, those that touch or overlap joined."""
    joined: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def paragraphs(text: str, spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Every whole line, with its line end, that a span touches."""
    found = []
    for start, end in spans:
        after = text.find("\n", max(start, end - 1))
        found.append((text.rfind("\n", 0, start) + 1, len(text) if after < 0 else after + 1))
    return merged(found)


def without(text: str, spans: Sequence[tuple[int, int]]) -> str:
    """The text with the spans taken out, and white space at its ends."""
    parts, at = [], 0
    for start, end in merged(spans):
        parts.append(text[at:start])
        at = end
    return "".join([*parts, text[at:]]).strip()


def _folded(text: str) -> tuple[str, Array]:
    """(normal form, the place in `text` that each of its characters comes from). By table where every letter stays one letter, else letter
    by letter, marks with the letter before them (30 times slower)."""
    points = units.folded_table()[units.code_points(text)]
    if not (points == units.HARD).any():
        return points.astype("<u4").tobytes().decode("utf-32-le", "surrogatepass"), np.arange(len(text))
    starts = [place for place, letter in enumerate(text) if not _joins(letter)]
    starts = starts if starts[:1] == [0] else [0, *starts]
    known: dict[str, str] = {}
    forms, lengths = [], []
    for start, end in itertools.pairwise([*starts, len(text)]):
        piece = text[start:end]
        form = known.get(piece)
        if form is None:
            form = known[piece] = units.normal_form(piece)
        forms.append(form)
        lengths.append(len(form))
    return "".join(forms), np.repeat(np.array(starts), lengths)


def _joins(letter: str) -> bool:
    return letter > "\u02ff" and (unicodedata.category(letter)[0] == "M" or JAMO[0] <= ord(letter) < JAMO[1] or letter in "\uff9e\uff9f")


def _after(origin: Array, lasts: Array, length: int) -> list[int]:
    """The end in the original of each unit: where the next character of the normal form comes from, if that is not the same letter."""
    ends: list[int] = np.maximum(np.append(origin, length)[lasts], origin[lasts - 1] + 1).tolist()
    return ends
