"""Exact and near-duplicate texts at hand, in memory: clusters, copies, best matches. `index` is the streaming form of all of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from sapwood.text.near import index
from sapwood.text.near.index import Index, Match
from sapwood.text.units import Shingles

Array = np.ndarray[Any, Any]
Texts = Sequence[str] | Shingles
"""Texts, or their shingles where they are at hand."""


def clusters(texts: Texts, threshold: float = 0.7) -> Array:
    """int64[n]: each row's cluster, named by the index of its first member. A lone text is its own cluster.

    Rows are linked when their keys are equal or their Jaccard similarity is at least `threshold`; links chain.
    The partition does not depend on the order of rows. `threshold=0` links exact copies only.
    """
    return indexed(texts).clusters(threshold)


def exact(texts: Texts) -> Array:
    """int64[n]: the index of the first row with the same units in the same order."""
    return indexed(texts).exact()


def matches(texts: Texts, against: Texts, threshold: float = 0.7) -> Match:
    """The best match of each text among `against`: an exact copy, else the highest Jaccard >= threshold (then the first). None is missed."""
    return index.best(indexed(texts), indexed(against), threshold)


def keepers(texts: Sequence[str], cluster: Array, keep: Literal["first", "longest"] = "first") -> Array:
    """int64[n]: for each row the row of its cluster that is kept: the first, or the longest (then the first)."""
    if keep == "first":
        return cluster
    lengths = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
    return chosen(cluster, [-lengths])


def chosen(cluster: Array, ranks: Sequence[Array]) -> Array:
    """int64[n]: for each row the row of its cluster with the least `ranks` (compared one after the other, then by row)."""
    order = np.lexsort((np.arange(len(cluster)), *reversed(ranks), cluster))
    leads = np.ones(len(order), dtype=bool)
    leads[1:] = cluster[order[1:]] != cluster[order[:-1]]
    kept = np.empty(len(cluster), dtype=np.int64)
    kept[cluster[order[leads]]] = order[leads]
    return kept[cluster]


def indexed(texts: Texts) -> Index:
    """An index of the texts that stays in memory."""
    made = Index()
    if isinstance(texts, Shingles):
        made.add_shingles(texts)
    else:
        made.add(texts)
    return made
