"""What a model that compares texts must beat, without torch: random order, TF-IDF cosine, BM25, and the nearest example of the training rows.

Every function gives, for each query, a score of each of its candidates, the form in which the tasks `ranking` and `embedding` answer. Text is
read as units: one Chinese character, one run of other letters or digits; n-grams are of 1 and 2 units, so Chinese and English are alike.
Not covered: synonyms, and a search over the constants of BM25 (they are the usual ones).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from sapwood.metrics.classification import Floats
from sapwood.models.tasks import candidates
from sapwood.models.tasks.candidates import Choice
from sapwood.models.tasks.task import Row
from sapwood.text import units

K1, B = 1.2, 0.75
"""BM25's constants: how soon a repeated word counts no more, and how much a long text is marked down."""


def grams(text: str) -> list[str]:
    """Units and pairs of neighbouring units, folded for comparing."""
    found = units.units(units.normal_form(text))
    return found + [" ".join(pair) for pair in pairwise(found)]


def shuffled(train: Sequence[Row], rows: Sequence[Row], offered: Sequence[Choice]) -> list[Floats]:
    """Random order: what no knowledge at all gives. Always the same for the same rows."""
    chance = np.random.default_rng(0)
    return [chance.random(len(one.texts)) for one in offered]


def bm25(train: Sequence[Row], rows: Sequence[Row], offered: Sequence[Choice]) -> list[Floats]:
    """BM25 (Robertson and Zaragoza 2009). Rarity and mean length are of all candidates and of the training answers."""
    known = {text: Counter(grams(text)) for text in dict.fromkeys([*_answers(train), *(t for one in offered for t in one.texts)])}
    often = Counter(gram for counts in known.values() for gram in counts)
    rare = {gram: math.log(1 + (len(known) - n + 0.5) / (n + 0.5)) for gram, n in often.items()}
    mean = sum(counts.total() for counts in known.values()) / max(1, len(known)) or 1.0

    def score(query: set[str], counts: Counter[str]) -> float:
        flat = K1 * (1 - B + B * counts.total() / mean)
        return sum(rare[gram] * counts[gram] * (K1 + 1) / (counts[gram] + flat) for gram in query if gram in counts)

    asked = [set(grams(row["text"])) for row in rows]
    return [np.array([score(query, known[text]) for text in one.texts]) for query, one in zip(asked, offered, strict=True)]


def tfidf(train: Sequence[Row], rows: Sequence[Row], offered: Sequence[Choice]) -> list[Floats]:
    """Cosine of TF-IDF vectors of query and candidate, fitted on the training rows."""
    vectors, index = _vectors(train, rows, offered)
    asked = vectors.transform([row["text"] for row in rows])
    told = vectors.transform(list(index))
    return [_row(asked[i] @ told[[index[text] for text in one.texts]].T) for i, one in enumerate(offered)]


def nearest(train: Sequence[Row], rows: Sequence[Row], offered: Sequence[Choice]) -> list[Floats]:
    """A candidate is as good as the best training example that is like the query AND whose answer is like the candidate (the product of both
    cosines): an answer that was right for such a query before."""
    pairs = [(row["text"], answer) for row, answer in zip(train, _answers(train), strict=True) if answer]
    if not pairs:
        return [np.zeros(len(one.texts)) for one in offered]
    vectors, index = _vectors(train, rows, offered)
    known_queries, known_answers = (vectors.transform(side) for side in zip(*pairs, strict=True))
    near = (vectors.transform([row["text"] for row in rows]) @ known_queries.T).tocsr()
    told = (vectors.transform(list(index)) @ known_answers.T).tocsr()
    found = []
    for i, one in enumerate(offered):
        both = told[[index[text] for text in one.texts]].multiply(near[i])
        found.append(np.asarray(both.max(axis=1).todense(), dtype=np.float64).ravel())
    return found


def _vectors(train: Sequence[Row], rows: Sequence[Row], offered: Sequence[Choice]) -> tuple[Any, dict[str, int]]:
    """A fitted vectoriser, and the number of each different candidate. Without training rows it is fitted on what is asked."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    index = {text: number for number, text in enumerate(dict.fromkeys(text for one in offered for text in one.texts))}
    vectors = TfidfVectorizer(analyzer=grams, sublinear_tf=True)
    fitted_on = [row["text"] for row in train] + [text for text in _answers(train) if text]
    return vectors.fit(fitted_on or [*(row["text"] for row in rows), *index]), index


def _row(product: Any) -> Floats:
    return np.asarray(product.todense(), dtype=np.float64).ravel()


def _answers(train: Sequence[Row]) -> list[str]:
    """The right answer of each training row, "" where it names none: its positive, or its first right candidate."""
    found = []
    for row in train:
        text = row.get(candidates.POSITIVE, "")
        if not text and row.get(candidates.CANDIDATES):
            one = candidates.choice(row)
            text = one.texts[one.right[0]]
        found.append(text)
    return found


SYSTEMS: Mapping[str, Callable[[Sequence[Row], Sequence[Row], Sequence[Choice]], list[Floats]]] = {
    "random": shuffled,
    "tfidf-cosine": tfidf,
    "bm25": bm25,
    "nearest-example": nearest,
}


def beside(task: Any, train: Sequence[Row], rows: Sequence[Row]) -> dict[str, list[Floats]]:
    """The answers of every system to `rows`, which it may not learn from; `train` are the rows it may."""
    offered = candidates.choices(rows)
    return {name: system(train, rows, offered) for name, system in SYSTEMS.items()}
