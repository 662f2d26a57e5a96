"""Evaluation texts inside training documents: what stands where, and a verdict for each, with the evidence to read.

| class | the document |
|---|---|
| exact | is the item: the same words or characters in the same order |
| near | is nearly the item: Jaccard similarity of their windows at or over `near` |
| contains | holds the item in one stretch: `coverage` of its windows or more |
| quotation | holds the item, and so do `common` documents or more: a proverb, a law, a licence, or an item that has leaked widely |
| partial | holds a part of the item in one stretch: from `partial` to `coverage` of its windows |
| boilerplate | shares with the item hardly more than windows that stand in `common` documents or more: a form, a heading, an instruction |
| short | holds an item of 5 to 8 words or characters, which may stand anywhere by chance |

A window is five words of a spaced script or five characters. A stretch is at most twice as long as the item: an item whose windows lie
scattered over a long document is not in it. Both joins behind this are exact, so nothing over the limits is missed; but it does not see
paraphrase, translation, or an answer that stands without its question, and items of fewer than 5 units are found as copies only.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from sapwood.text.leaks import spans
from sapwood.text.leaks.evaluation import MOST, Items, Met
from sapwood.text.near.signatures import LEAST

Array = np.ndarray[Any, Any]

CLASSES = ("exact", "near", "contains", "quotation", "partial", "boilerplate", "short")
"""From the strongest to the weakest: a document is told of by its strongest, then best covered, then first item."""


class Limits(NamedTuple):
    """Shares in (0, 1], and `common` in documents."""

    near: float
    coverage: float
    partial: float
    common: int

    @property
    def low(self) -> float:
        """The least share of an item's windows that any class asks for."""
        return min(self.near, self.coverage, self.partial)


class Pairs:
    """The pairs of all documents, gathered batch by batch: at most `MOST` a document, 32 bytes each."""

    def __init__(self) -> None:
        self._found: list[Met] = []
        self._rows = 0
        self.more: dict[int, int] = {}

    def add(self, met: Met, rows: int) -> None:
        """The pairs of the next `rows` documents. `more`: how many pairs a document has beyond `MOST`."""
        best = np.lexsort((met.item, -met.coverage, -met.jaccard, met.row))
        ranked = Met(*(column[best] for column in met))
        first = np.searchsorted(ranked.row, ranked.row)
        place = np.arange(len(first)) - first
        for row, count in zip(*np.unique(ranked.row[place >= MOST], return_counts=True), strict=True):
            self.more[self._rows + int(row)] = int(count)
        kept = Met(*(column[place < MOST] for column in ranked))
        self._found.append(kept._replace(row=kept.row + self._rows))
        self._rows += rows

    def of(self, first: int, rows: int) -> Iterator[tuple[int, Met]]:
        """(place, pairs) of each document with pairs among `rows` documents from `first` on; `place` counts from there."""
        every = self.all()
        start, stop = np.searchsorted(every.row, [first, first + rows])
        here = Met(*(column[start:stop] for column in every))
        edges = np.flatnonzero(np.diff(here.row, prepend=-1, append=-1)).tolist() if len(here.row) else []
        for start, stop in itertools.pairwise(edges):
            yield int(here.row[start]) - first, Met(*(column[start:stop] for column in here))

    def all(self) -> Met:
        """Every pair, in the order of documents."""
        if len(self._found) != 1:
            none = Met(*(np.zeros(0, dtype=kind) for kind in (np.int64, np.int64, float, float, bool)))
            self._found = [Met(*(np.concatenate(columns) for columns in zip(none, *self._found, strict=True)))]
        return self._found[0]


class Finding(NamedTuple):
    """Characters `start:end` of the document hold `coverage` (0 to 1) of item `item`."""

    verdict: str
    item: int
    coverage: float
    start: int
    end: int


class Outcome(NamedTuple):
    """What becomes of a document: `action` is drop, cut or keep; `text` is what stays of it; `cut` the characters taken out."""

    action: str
    text: str
    cut: list[tuple[int, int]]
    findings: list[Finding]


def findings(text: str, pairs: Met, items: Items, limits: Limits) -> list[Finding]:
    """The verdicts on one document's pairs, the strongest first; an item that stands in several places has a finding for each.
    Pairs whose windows lie scattered give none."""
    found = [Finding("exact", item, 1.0, 0, len(text)) for item in pairs.item[pairs.same].tolist()]
    others = list(zip(pairs.item[~pairs.same].tolist(), pairs.jaccard[~pairs.same].tolist(), strict=True))
    document = spans.placed(text if others else "")
    places, known = spans.where(document), dict[int, list[Finding]]()
    for item, jaccard in others:
        first = items.first(item)
        if first not in known:
            known[first] = _places(spans.stretches(document, places, *items.judged(first)[1:]), first, jaccard, items, limits)
        found += [one._replace(item=item) for one in known[first]]
    return sorted(found, key=lambda one: (CLASSES.index(one.verdict), -one.coverage, one.item, one.start))


def _places(stretches: Iterator[spans.Stretch], item: int, jaccard: float, items: Items, limits: Limits) -> list[Finding]:
    """A finding for each stretch, the best first, until one is too little for any class."""
    found = []
    for stretch in itertools.islice(stretches, MOST):
        verdict = _verdict(stretch, items.judged(item)[0], jaccard, limits)
        if not verdict:
            break
        found.append(Finding(verdict, item, round(stretch.coverage, 4), stretch.start, stretch.end))
    return found


def _verdict(stretch: spans.Stretch, frequency: Mapping[str, int], jaccard: float, limits: Limits) -> str:
    """The class of a stretch, or "". What is rare of the item must be found too: the form around it alone is boilerplate."""
    if jaccard >= limits.near - 1e-12:
        return "near"
    if len(frequency) < LEAST:
        return "short" if stretch.coverage == 1 else ""
    if stretch.coverage < limits.partial - 1e-12:
        return ""
    rare = {window for window, documents in frequency.items() if documents < limits.common}
    whole = stretch.coverage >= limits.coverage - 1e-12
    if whole and len(frequency) - len(rare) >= limits.coverage * len(frequency):
        return "quotation"
    own = len(rare & stretch.found) / len(rare) if rare else 0.0
    if own < limits.partial - 1e-12:
        return "boilerplate"
    return "contains" if whole and own >= limits.coverage - 1e-12 else "partial"


def outcome(text: str, found: Sequence[Finding], more: int, actions: Mapping[str, str]) -> Outcome:
    """Apply the action of each class: drop the document, cut the span or its paragraphs, or keep. What a cut leaves empty is dropped, and
    so is what would have to be cut, when there are more items or places in the document than were looked at (`more` pairs)."""
    wanted = [(actions[one.verdict], one) for one in found]
    doing = {action for action, _ in wanted} - {"keep"}
    most = max(Counter(one.item for one in found).values(), default=0)
    if "drop" in doing or (doing and (more or most >= MOST)):
        return Outcome("drop", text, [], list(found))
    if not doing:
        return Outcome("keep", text, [], list(found))
    cut = [(one.start, one.end) for action, one in wanted if action == "span"]
    cut += spans.paragraphs(text, [(one.start, one.end) for action, one in wanted if action == "paragraph"])
    left = spans.without(text, cut)
    return Outcome("cut" if left else "drop", left or text, spans.merged(cut), list(found))
