"""How far two sets of rows are apart in length, language, label and source: a distance, a test, and how to read them.

The distance of a field is the total variation: the share of rows that would have to move to another value for both to have the same
mix. Of lengths it is the Kolmogorov-Smirnov distance D, the largest gap between the two cumulative curves, with the population
stability index (PSI) over the tenths of the left side beside it. Tests: chi-square with rare values joined (expected count 5,
Cochran 1954), and the asymptotic Kolmogorov-Smirnov test.

The tests take both sides for independent samples. Two versions that share rows are not: then a real shift is even surer than p says.
With many rows every shift is significant, with few rows any distance may be chance: so the reading looks at both.
It compares what the rows carry; it does not see a change of subject or of style within the same language and length.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

import numpy as np

from sapwood.text.versions.profile import FIELDS, Profile

Array = np.ndarray[Any, Any]

SMALL, CLEAR = 0.02, 0.1
"""Distances below are `negligible`, between them `small`, from the second on `clear`."""
LEVEL = 0.01
RARE = 5.0
READING = (
    f"negligible: distance below {SMALL}; small: below {CLEAR}; clear: {CLEAR} or more; "
    f"not shown: p above {LEVEL}, chance alone may do this. PSI: below 0.1 stable, from 0.25 shifted."
)


class Drift(NamedTuple):
    """One field of two sides. `distance` in [0, 1]; `p` is None where there is nothing to test; `psi` only for lengths."""

    field: str
    distance: float
    p: float | None
    psi: float | None
    reading: str


def compare(left: Profile, right: Profile) -> list[Drift]:
    """The drift of length and of every field that either side has."""
    names = [name for name in FIELDS if name in left.counts or name in right.counts]
    return [
        of_lengths(left, right),
        *(of_field(name, left.counts.get(name, Counter()), right.counts.get(name, Counter())) for name in names),
    ]


def of_field(name: str, left: Counter[str], right: Counter[str]) -> Drift:
    values = sorted({*left, *right})
    table = np.array([[side[value] for value in values] for side in (left, right)], dtype=float)
    if not table.sum(axis=1).all():
        return Drift(name, 0.0, None, None, "one side is empty")
    shares = table / table.sum(axis=1, keepdims=True)
    distance = float(np.abs(shares[0] - shares[1]).sum() / 2)
    return _read(name, distance, _chi_square(table))


def of_lengths(left: Profile, right: Profile) -> Drift:
    if not left.rows or not right.rows:
        return Drift("length", 0.0, None, None, "one side is empty")
    one, two = (np.cumsum(side.lengths) / side.rows for side in (left, right))
    distance = float(np.abs(one - two).max())
    return _read("length", distance, _kolmogorov(distance, left.rows, right.rows), psi(left.lengths, right.lengths))


def psi(left: Array, right: Array) -> float:
    """Population stability index over the tenths of the left side; half a row is added to each bin, so that an empty one is finite."""
    total = np.cumsum(left)
    edges = np.unique(np.searchsorted(total, np.arange(1, 10) / 10 * total[-1]))
    one, two = (np.array([part.sum() for part in np.split(side, edges + 1)]) + 0.5 for side in (left, right))
    one, two = one / one.sum(), two / two.sum()
    return float(((two - one) * np.log(two / one)).sum())


def _read(name: str, distance: float, p: float | None, stability: float | None = None) -> Drift:
    if p is not None and p > LEVEL:
        reading = "not shown"
    else:
        reading = "negligible" if distance < SMALL else "small" if distance < CLEAR else "clear"
    return Drift(name, distance, p, stability, reading)


def _chi_square(table: Array) -> float | None:
    """p of a 2 x k table; columns with an expected count under `RARE` are joined. None when one column is left."""
    from scipy.stats import chi2_contingency

    smallest = table.sum(axis=1).min() / table.sum()
    order = np.argsort(table.sum(axis=0), kind="stable")
    rare = order[table.sum(axis=0)[order] * smallest < RARE]
    common = np.setdiff1d(np.arange(table.shape[1]), rare)
    joined = np.column_stack([table[:, common], table[:, rare].sum(axis=1)]) if len(rare) else table[:, common]
    joined = joined[:, joined.sum(axis=0) > 0]
    return float(chi2_contingency(joined, correction=False).pvalue) if joined.shape[1] > 1 else None


def _kolmogorov(distance: float, left: int, right: int) -> float:
    from scipy.stats import kstwobign

    return float(kstwobign.sf(distance * np.sqrt(left * right / (left + right))))
