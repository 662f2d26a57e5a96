"""Precision, recall and speed of near-duplicates on texts with planted copies. Judged with Python's own sets, not with the index."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sapwood.text.near import clustering, planting
from sapwood.text.near.index import Index
from sapwood.text.near.overlaps import Pairs

Array = np.ndarray[Any, Any]

THRESHOLD = 0.7
JUDGED_LINKS = 5000
"""Links whose similarity is measured again; of more, so many are drawn."""
BATCH = 4096


class Truth(NamedTuple):
    """A planted copy: rows of the copy and of its source, and their similarity."""

    copy: int
    source: int
    jaccard: float


class Found(NamedTuple):
    """What was found: links between rows and the CPU seconds that it took."""

    links: Pairs
    cpu_s: float


class Score(NamedTuple):
    """Of one language: copies planted with similarity >= THRESHOLD, the share of them found; hard negatives, how many were taken."""

    planted: int
    recall: float
    negatives: int
    taken: int


def find(texts: Sequence[str], scratch: Path, threshold: float = THRESHOLD) -> Found:
    """Index the texts and link what is alike. CPU seconds are those of this process with all its threads."""
    began = time.process_time()
    with Index(scratch) as index:
        for start in range(0, len(texts), BATCH):
            index.add(texts[start : start + BATCH])
        links = index.links(threshold)
    return Found(links, time.process_time() - began)


def recall(links: Pairs, truth: Iterable[Truth], languages: Sequence[str]) -> dict[str, Score]:
    """By language. A copy is found when it is in one cluster with its source; a negative is taken when it is linked to it directly."""
    cluster = clustering.linked(np.arange(len(languages)), links.left, links.right)
    direct = {(int(a), int(b)) for pair in zip(links.left, links.right, strict=True) for a, b in (pair, pair[::-1])}
    counts: dict[str, list[int]] = {}
    for planted in truth:
        count = counts.setdefault(languages[planted.copy], [0, 0, 0, 0])
        if planted.jaccard >= THRESHOLD:
            count[0] += 1
            count[1] += int(cluster[planted.copy] == cluster[planted.source])
        else:
            count[2] += 1
            count[3] += int((planted.copy, planted.source) in direct)
    return {name: Score(n, hit / n if n else 0.0, negatives, taken) for name, (n, hit, negatives, taken) in sorted(counts.items())}


def precision(links: Pairs, texts: Sequence[str], seed: int = 0) -> float:
    """The share of links (drawn, where there are many) whose texts are equal in their units or have similarity >= THRESHOLD."""
    if not len(links.left):
        return 1.0
    chosen = sorted(random.Random(seed).sample(range(len(links.left)), min(JUDGED_LINKS, len(links.left))))
    right = sum(alike(texts[links.left[at]], texts[links.right[at]]) for at in chosen)
    return right / len(chosen)


def alike(one: str, other: str) -> bool:
    from sapwood.text import units

    if planting.jaccard(one, other) >= THRESHOLD - clustering.SLACK:
        return True
    mine, theirs = (units.units(units.normal_form(text)) for text in (one, other))
    return mine == theirs and (bool(mine) or "".join(one.split()) == "".join(other.split()))


def truth_of(planted: Iterable[tuple[str, str, float]], ids: Sequence[str]) -> list[Truth]:
    """(id of the copy, id of the source, similarity) as rows."""
    rows: Mapping[str, int] = {name: row for row, name in enumerate(ids)}
    return [Truth(rows[copy], rows[source], similarity) for copy, source, similarity in planted]
