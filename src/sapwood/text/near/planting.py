"""Copies with a known similarity, planted into a team's own texts: what finding near-duplicates is measured with.

A copy is changed in one of four ways until its Jaccard similarity to the source is near a target: words or characters replaced here
and there, a part cut off, a foreign part put in, or only case, spacing and punctuation changed (then the similarity is 1). Targets
from 0.7 to 1 must be found; those below are hard negatives and must not. The similarity that counts is measured afterwards, with
Python's own sets over `units.units`, so that it shares no code with what is judged.

It does not plant paraphrase or translation, which no method over wording finds.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from sapwood.text import units

TARGETS = (1.0, 0.97, 0.92, 0.87, 0.82, 0.77, 0.73)
NEGATIVES = (0.35, 0.5, 0.6, 0.66)
NEGATIVE_SHARE = 0.08
LEAST_UNITS, MOST_CHARACTERS = 40, 20_000
"""Sources are texts of at least so many units and at most so many characters: shorter ones cannot be brought near a target, longer ones
only make it slow."""
K = 5


class Text(NamedTuple):
    id: str
    language: str
    text: str


class Planted(NamedTuple):
    """A copy, the id of its source and their Jaccard similarity."""

    id: str
    source: str
    jaccard: float
    language: str
    text: str


def plant(texts: Sequence[Text], count: int, seed: int) -> Iterator[Planted]:
    """At most `count` copies, as many in each language where there are texts; each source once. The same input gives the same copies."""
    chance = random.Random(seed)
    groups: dict[str, list[Text]] = {}
    for text in texts:
        groups.setdefault(text.language, []).append(text)
    made, left = 0, count
    for place, (_, group) in enumerate(sorted(groups.items(), key=lambda item: (len(item[1]), item[0]))):
        wanted = left // (len(groups) - place)
        able = _able(group, wanted, chance)
        foreign = [unit for text in able[:200] for unit in units.units(text.text)[:200]]
        for source in able:
            changed = _changed(source.text, _target(chance), foreign, chance)
            yield Planted(f"planted-{made}", source.id, jaccard(source.text, changed), source.language, changed)
            made += 1
        left = count - made


def _able(texts: Sequence[Text], wanted: int, chance: random.Random) -> list[Text]:
    """So many texts that are long enough, drawn by chance."""
    found: list[Text] = []
    for text in chance.sample(texts, len(texts)):
        if len(found) == wanted:
            break
        if len(units.units(text.text[:MOST_CHARACTERS])) >= LEAST_UNITS and len(text.text) <= MOST_CHARACTERS:
            found.append(text)
    return found


def _target(chance: random.Random) -> float:
    return chance.choice(NEGATIVES if chance.random() < NEGATIVE_SHARE else TARGETS)


def jaccard(one: str, other: str) -> float:
    """Exact, over the sets of runs of K units of the normal forms; 0 when either has fewer than K units."""
    a, b = runs(one), runs(other)
    return len(a & b) / len(a | b) if a and b else 0.0


def runs(text: str) -> set[tuple[str, ...]]:
    """Every K units in a row."""
    found = units.units(units.normal_form(text))
    return set(zip(*(found[place:] for place in range(K)), strict=False))


def _changed(text: str, target: float, foreign: Sequence[str], chance: random.Random) -> str:
    if target == 1.0:
        return _respaced(text, chance)
    spans = _spans(text)
    total = len(spans) - K + 1
    way = chance.choice(("replace", "cut", "insert"))
    if way == "cut":
        first = chance.randrange(2)  # the head or the tail stays
        keep = round(total * target) + K - 1
        return text[: spans[keep - 1][1]] if first else text[spans[len(spans) - keep][0] :]
    if way == "insert":
        added = max(1, round(total * (1 / target - 1)))
        at = spans[chance.randrange(len(spans))][0]
        broken = max(1, added - K + 1)
        gap = " " if any(unit.isascii() for unit in foreign[:20]) else ""
        return f"{text[:at]}{gap}{gap.join(chance.choice(foreign) for _ in range(broken))}{gap}{text[at:]}"
    edits = max(1, round(total * (1 - target) / (K * (1 + target))))
    step = len(spans) / edits
    places = [int(step * edit + chance.random() * max(0.0, step - K)) for edit in range(edits)]
    pieces, last = [], 0
    for place in places:
        start, end = spans[min(place, len(spans) - 1)]
        pieces += [text[last:start], chance.choice(foreign)]
        last = end
    return "".join([*pieces, text[last:]])


def _respaced(text: str, chance: random.Random) -> str:
    """Other case, spacing and punctuation; the same units."""
    text = text.upper() if chance.random() < 0.5 and text.isascii() else text
    return "  " + text.replace(" ", "  " if chance.random() < 0.5 else " , ").replace("，", " ！ ") + "\n…"


def _spans(text: str) -> list[tuple[int, int]]:
    """(start, end) of every unit, as written."""
    classes = np.append(units.class_table()[units.code_points(text)], units.SPACE)
    word = classes == units.WORD
    edges = np.diff(word, prepend=False)
    starts = np.flatnonzero(edges & word)
    ends = np.flatnonzero(edges & ~word)
    single = np.flatnonzero(classes == units.CHARACTER)
    return sorted([*zip(starts.tolist(), ends.tolist(), strict=True), *((at, at + 1) for at in single.tolist())])
