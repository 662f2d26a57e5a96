"""Scores of written text against a reference: chrF, ROUGE-1, ROUGE-2, ROUGE-L and exact match.

English is read in words, Chinese in characters. chrF (Popović 2015) is computed from sums over all texts, as sacrebleu 2.6 does by default
(character n-grams of 1 to 6 without spaces, recall weighs twice); ROUGE (Lin 2004) is a mean of F1 over texts, without stemming.
What they do NOT see: meaning. A right answer in other words scores low, and a wrong one in the same words high.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from sapwood.metrics.classification import Floats
from sapwood.metrics.measured import Measured, Score

ORDER = 6
BETA = 2
WORDS = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]|[^\W_]+(?:['’][^\W_]+)?")
COLUMNS = 3 * ORDER + 5
"""chrF's n-grams written, in the reference, and in both, of each order; then ROUGE-1, -2, -L, exact and 1."""


def counts(written: Sequence[str], references: Sequence[str]) -> Floats:
    """(n, `COLUMNS`): one row a text, whose sums make every score."""
    rows = [_chrf(a, b) + _rouge(a, b) + [float(a.strip() == b.strip()), 1.0] for a, b in zip(written, references, strict=True)]
    return np.asarray(rows, dtype=np.float64).reshape(-1, COLUMNS)


def measured(written: Sequence[str], references: Sequence[str]) -> Measured:
    """Texts against references: chrf, rouge1, rouge2, rougeL and exact, all from 0 to 1."""
    return Measured(counts(written, references), scores())


def scores(first: int = 0) -> dict[str, Score]:
    """The scores as functions of sums, where the columns of `counts` begin at `first`."""
    last = first + COLUMNS - 1
    named = {name: _mean(first + 3 * ORDER + i, last) for i, name in enumerate(("rouge1", "rouge2", "rougeL", "exact"))}
    return {"chrf": lambda sums: chrf(sums[..., first : first + 3 * ORDER]), **named}


def chrf(sums: Floats) -> Floats:
    """(..., 18) n-gram sums to the F-score of the mean precision and recall over the orders that the texts are long enough for."""
    made, true, both = sums[..., 0::3], sums[..., 1::3], sums[..., 2::3]
    used = (made > 0) & (true > 0)
    orders = np.maximum(used.sum(-1), 1)
    precision = np.where(used, both / np.maximum(made, 1), 0.0).sum(-1) / orders
    recall = np.where(used, both / np.maximum(true, 1), 0.0).sum(-1) / orders
    below = BETA**2 * precision + recall
    return np.where(below > 0, (1 + BETA**2) * precision * recall / np.where(below > 0, below, 1), 0.0)


def words(text: str) -> list[str]:
    """Words in small letters, and each Chinese character by itself."""
    return WORDS.findall(text.lower())


def _mean(column: int, ones: int) -> Score:
    return lambda sums: sums[..., column] / np.maximum(sums[..., ones], 1e-12)


def _chrf(written: str, reference: str) -> list[float]:
    a, b = "".join(written.split()), "".join(reference.split())
    found: list[float] = []
    for size in range(1, ORDER + 1):
        made, true = _grams(a, size), _grams(b, size)
        found += [float(made.total() if true else 0), float(true.total()), float((made & true).total())]
    return found


def _grams(items: Sequence[str], size: int) -> Counter[object]:
    return Counter(tuple(items[i : i + size]) for i in range(len(items) - size + 1))


def _rouge(written: str, reference: str) -> list[float]:
    a, b = words(written), words(reference)
    found = [_f1((_grams(a, n) & _grams(b, n)).total(), max(0, len(a) - n + 1), max(0, len(b) - n + 1)) for n in (1, 2)]
    return [*found, _f1(longest_common(a, b), len(a), len(b))]


def _f1(both: int, made: int, true: int) -> float:
    return 2 * both / (made + true) if made + true else 0.0


def longest_common(a: Sequence[str], b: Sequence[str]) -> int:
    """Length of the longest common subsequence, by bits (Hyyrö 2004): one integer of len(a) bits for each item of b."""
    places: dict[str, int] = {}
    for i, item in enumerate(a):
        places[item] = places.get(item, 0) | 1 << i
    full = row = (1 << len(a)) - 1
    for item in b:
        matched = row & places.get(item, 0)
        row = (row + matched | row - matched) & full
    return len(a) - row.bit_count()
