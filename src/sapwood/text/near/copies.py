"""Which of several alike rows stays, which go and why. Arrays over rows; the text is in an index and not here.

A row's reason: "exact duplicate" or "near duplicate" of the kept row of its cluster, or "conflicting label": rows of one cluster with
different labels all go, since nobody can say which label is right. Memory: 12 bytes a row for its language, source and label, 8 more
where length or time decides, 33 for the decisions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from sapwood.errors import InputError
from sapwood.text import fields
from sapwood.text.near import duplicates
from sapwood.text.near.index import Index
from sapwood.text.parts import moments

Array = np.ndarray[Any, Any]

STAYS, EXACT, NEAR, CONFLICT = range(4)
REASONS = ("", "exact duplicate", "near duplicate", "conflicting label")
ALARM_ROWS = 20
"""A language or source with fewer rows raises no alarm."""
MOST_LABELS = 5
"""Labels named for a conflict."""


class Names:
    """Strings as numbers, in the order in which they first came."""

    def __init__(self) -> None:
        self.names: dict[str, int] = {}
        self._parts: list[Array] = []

    def add(self, values: Sequence[str]) -> None:
        self._parts.append(np.fromiter((self.names.setdefault(v, len(self.names)) for v in values), dtype=np.int32, count=len(values)))

    @property
    def codes(self) -> Array:
        """int32[n]: the number of each row's name."""
        return np.concatenate([np.zeros(0, dtype=np.int32), *self._parts])


class Traits:
    """What is kept of each row beside its text: language, source, label, and what the policy compares (`longest`, `newest`)."""

    def __init__(self, schema: pa.Schema, keep: str) -> None:
        self.language, self.source, self.label = Names(), Names(), Names()
        self.keep = keep
        self._label = "label" if "label" in schema.names else "meta.label"
        self._ranks: list[Array] = []
        wanted = ["text", "language", "source", self._label, *(["collected_at"] if keep == "newest" else [])]
        self.columns = fields.columns_for(wanted, schema)

    def add(self, batch: pa.RecordBatch) -> list[str]:
        """Note a batch; its texts."""
        texts = fields.texts(batch)
        self.language.add(fields.values(batch, "language"))
        self.source.add(fields.values(batch, "source"))
        self.label.add(fields.values(batch, self._label))
        if self.keep == "longest":
            self._ranks.append(-np.fromiter(map(len, texts), dtype=np.int64, count=len(texts)))
        elif self.keep == "newest":
            self._ranks.append(-np.maximum(moments.moments(fields.values(batch, "collected_at")), 1 - (1 << 62)))
        return texts

    def ranks(self, prefer: Sequence[str]) -> list[Array]:
        """What decides in a cluster: the least first. Sources that `prefer` does not name come after those that it does."""
        if self.keep == "source":
            places = {name: place for place, name in enumerate(prefer)}
            order = np.array([places.get(name, len(places)) for name in self.source.names], dtype=np.int64)
            return [order[self.source.codes]]
        return [np.concatenate([np.zeros(0, dtype=np.int64), *self._ranks])] if self._ranks else []


class Decisions(NamedTuple):
    """Per row: its cluster (its lowest row), the kept row, the reason (a place in REASONS), and the Jaccard similarity to the kept row of
    a near duplicate. `conflicts`: cluster -> its labels."""

    cluster: Array
    kept: Array
    reason: Array
    similarity: Array
    conflicts: Mapping[int, str]


def decide(index: Index, cluster: Array, traits: Traits, prefer: Sequence[str]) -> Decisions:
    """One row of each cluster stays, by the policy and then by order; none of a cluster with two labels does."""
    kept = duplicates.chosen(cluster, traits.ranks(prefer))
    first = index.exact()
    rows = np.arange(len(cluster))
    reason = np.where(kept == rows, STAYS, np.where(first == first[kept], EXACT, NEAR)).astype(np.int8)
    conflicts = _conflicts(cluster, traits.label)
    if conflicts:
        reason[np.isin(cluster, np.fromiter(conflicts, dtype=np.int64))] = CONFLICT
    similarity = np.zeros(len(cluster), dtype=np.float32)
    near = np.flatnonzero(reason == NEAR)
    similarity[near] = index.jaccards(near, kept[near])
    return Decisions(cluster, kept, reason, similarity, conflicts)


def refuse(decisions: Decisions, traits: Traits, max_share: float) -> None:
    """Raise `InputError` when more than `max_share` of a language or source would go; the message says whether one cluster does it."""
    gone = decisions.reason != STAYS
    for kind, names in (("language", traits.language), ("source", traits.source)):
        codes = names.codes
        total = np.bincount(codes, minlength=len(names.names))
        removed = np.bincount(codes[gone], minlength=len(names.names))
        for name, code in sorted(names.names.items()):
            if total[code] >= ALARM_ROWS and removed[code] > max_share * total[code]:
                largest = int(np.bincount(np.unique(decisions.cluster[gone & (codes == code)], return_inverse=True)[1]).max())
                raise InputError(
                    f"{removed[code]} of {total[code]} rows of the {kind} {name or '(none)'!r} would go, more than max_share {max_share:g};"
                    f" {largest} of them are in one cluster",
                    "look at these rows and mend the source, or raise near; to go on as it is, set force: true",
                )


def notes(decisions: Decisions, start: int, stop: int, ids: Mapping[int, str], near: float) -> list[dict[str, str]]:
    """What `meta` says of each row from `start` to `stop`: nothing for a row that stays."""
    found: list[dict[str, str]] = []
    for row in range(start, stop):
        reason = int(decisions.reason[row])
        if reason == STAYS:
            found.append({})
        elif reason == CONFLICT:
            found.append({"dropped": REASONS[reason], "value": decisions.conflicts[int(decisions.cluster[row])], "limit": "1 label"})
        else:
            told = {"dropped": REASONS[reason], "value": ids[int(decisions.kept[row])], "limit": "1" if reason == EXACT else f"{near:g}"}
            found.append({**told, "similarity": f"{decisions.similarity[row]:.4f}"} if reason == NEAR else told)
    return found


def _conflicts(cluster: Array, label: Names) -> dict[int, str]:
    """cluster -> its labels, for clusters with more than one; empty labels do not count."""
    codes, names = label.codes, list(label.names)
    named = np.flatnonzero(codes != label.names.get("", -1))
    pairs = np.unique(cluster[named] * len(names) + codes[named]) if len(named) else np.zeros(0, dtype=np.int64)
    clusters, labels = np.divmod(pairs, max(len(names), 1))
    several = np.concatenate([[False], clusters[1:] == clusters[:-1]]) if len(clusters) else np.zeros(0, dtype=bool)
    found: dict[int, str] = {}
    for one in np.unique(clusters[several]).tolist():
        mine = sorted(names[code] for code in labels[np.searchsorted(clusters, one) : np.searchsorted(clusters, one, "right")].tolist())
        found[one] = " | ".join(mine[:MOST_LABELS]) + (" | …" if len(mine) > MOST_LABELS else "")
    return found
