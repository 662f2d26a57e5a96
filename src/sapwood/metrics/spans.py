"""Scores of found spans: entities by exact match, and answers to questions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from sapwood.metrics.classification import Floats
from sapwood.metrics.measured import Measured, Score
from sapwood.text.spans import Span, units

Found = Sequence[Sequence[Span]]
"""The spans of each text."""


def entities(truth: Found, said: Found, labels: Sequence[str]) -> Measured:
    """Spans that are right in start, end and label (CoNLL-2003). Scores: f1, precision, recall over all labels, `f1_LABEL` of each."""
    width = len(labels)
    number = {label: i for i, label in enumerate(labels)}
    counts = np.zeros((len(truth), 3 * width))
    for row, (true, told) in enumerate(zip(truth, said, strict=True)):
        both = set(true) & set(told)
        for block, spans in enumerate((both, set(true), set(told))):
            for span in spans:
                counts[row, block * width + number[span.label]] += 1
    hit, right, found = ([block * width + i for i in range(width)] for block in range(3))
    scores = {"f1": f1(hit, right, found), "precision": share(hit, found), "recall": share(hit, right)}
    each = {f"f1_{label}": f1([i], [width + i], [2 * width + i]) for label, i in number.items()}
    return Measured(counts, scores | each)


def share(hit: Sequence[int], of: Sequence[int]) -> Score:
    """Sum of the columns `hit` over the sum of the columns `of`; 0 where there is nothing."""
    return lambda sums: _ratio(sums[..., list(hit)].sum(-1), sums[..., list(of)].sum(-1))


def f1(hit: Sequence[int], true: Sequence[int], told: Sequence[int]) -> Score:
    """2 hit / (true + told), from the sums of these columns; 0 where there is nothing."""
    return lambda sums: _ratio(2 * sums[..., list(hit)].sum(-1), sums[..., [*true, *told]].sum(-1))


def _ratio(above: Floats, below: Floats) -> Floats:
    return np.divide(above, below, out=np.zeros_like(np.asarray(below)), where=np.asarray(below) > 0)


def answers(texts: Sequence[str], truth: Found, said: Sequence[Span | None]) -> Measured:
    """Stretches of a text that answer a question, after SQuAD 2 (Rajpurkar et al. 2018): of several right answers the best counts, and
    a text without one is answered rightly by none. Both scores look at units (characters of Chinese, words of English, without case
    and marks). Scores: f1, exact_match, f1_answerable, no_answer_accuracy."""
    counts = np.zeros((len(texts), 6))
    for row, (text, true, told) in enumerate(zip(texts, truth, said, strict=True)):
        given = _words(text, told)
        right = [_words(text, one) for one in true] or [[]]
        overlap, exact = _best(_overlap, right, given), _best(lambda a, b: float(a == b), right, given)
        counts[row] = (overlap, exact, overlap * bool(true), float(bool(true)), overlap * (not true), 1.0)
    scores: dict[str, Score] = {
        "f1": share([0], [5]),
        "exact_match": share([1], [5]),
        "f1_answerable": share([2], [3]),
        "no_answer_accuracy": lambda sums: _ratio(sums[..., 4], sums[..., 5] - sums[..., 3]),
    }
    return Measured(counts, scores)


def _words(text: str, span: Span | None) -> list[str]:
    if span is None:
        return []
    found = text[span.start : span.end].casefold()
    return [found[start:end] for start, end in units(found) if found[start:end].isalnum()]


def _best(score: Callable[[list[str], list[str]], float], right: list[list[str]], given: list[str]) -> float:
    return max(score(one, given) for one in right)


def _overlap(right: list[str], given: list[str]) -> float:
    if not right or not given:
        return float(right == given)
    common = (Counter(right) & Counter(given)).total()
    return 2 * common / (len(right) + len(given))
