"""What is in an artifact of rows: counts, lengths, languages, labels, sources and licences, in one stream over the rows.

Memory: 140 kB for the lengths, and a counter a field that holds at most `MOST_VALUES` values; what comes after those is counted
together as `OTHERS`. Lengths are in characters (code points): exact below 1,024, within 0.2 % above.

It does not look at what the text says. A language is the one that the row carries, not one that is found here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sapwood.text import rows

Array = np.ndarray[Any, Any]

FIELDS = ("language", "label", "source", "license")
MOST_VALUES = 10_000
OTHERS = "(others)"
EXACT = 1024
BUCKETS = EXACT + 31 * EXACT // 2  # up to 2 ** 41 characters


@dataclass
class Profile:
    """Counts over rows. `counts[field][value]` are rows; "" is a row without a value. `licences` is (source, license) -> rows."""

    rows: int = 0
    characters: int = 0
    bytes: int = 0
    blank: int = 0
    children: int = 0
    lengths: Array = field(default_factory=lambda: np.zeros(BUCKETS, dtype=np.int64))
    counts: dict[str, Counter[str]] = field(default_factory=dict)
    licences: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, batch: Any) -> None:
        """Count a record batch with the columns that `columns` names."""
        text = batch.column("text")
        lengths = pc.fill_null(pc.utf8_length(text), 0).to_numpy(zero_copy_only=False).astype(np.int64)
        self.rows += batch.num_rows
        self.characters += int(lengths.sum())
        self.bytes += pc.sum(pc.binary_length(text)).as_py() or 0
        self.blank += int((lengths == 0).sum())
        parents = pc.fill_null(pc.list_value_length(batch.column("parents")), 0).to_numpy(zero_copy_only=False)
        self.children += int((parents > 0).sum())
        self.lengths += np.bincount(buckets(lengths), minlength=BUCKETS)
        values = {name: batch.column(name).to_pylist() for name in FIELDS if name in batch.schema.names}
        for name, found in values.items():
            merge(self.counts.setdefault(name, Counter()), Counter(value or "" for value in found))
        merge(
            self.licences, Counter((s or "", li or "") for s, li in zip(values["source"], values["license"], strict=True)), (OTHERS, OTHERS)
        )

    def quantiles(self, shares: Iterable[float]) -> list[int]:
        """The length at or below which that share of the rows is."""
        total = np.cumsum(self.lengths)
        if not self.rows:
            return [0 for _ in shares]
        return [int(bucket_start(int(np.searchsorted(total, max(1, share * self.rows))))) for share in shares]


def columns(schema: pa.Schema) -> list[str]:
    """What `Profile.add` reads."""
    return ["text", "parents", *(name for name in FIELDS if name in schema.names)]


def profile(folder: Path) -> Profile:
    """The profile of a payload, read in batches."""
    found = Profile()
    for batch in rows.batches(folder, columns(rows.schema(folder))):
        found.add(batch)
    return found


def merge(into: Counter[Any], more: Counter[Any], others: Any = OTHERS) -> None:
    """Add counts; past `MOST_VALUES` values, new ones are counted as `others`."""
    for value, number in more.items():
        known = value in into or len(into) < MOST_VALUES
        into[value if known else others] += number


def buckets(lengths: Array) -> Array:
    """The bucket of each length: itself below `EXACT`, then 512 buckets for each doubling."""
    shift = np.maximum(np.frexp(lengths.astype(np.float64))[1] - 10, 0)
    return np.where(lengths < EXACT, lengths, EXACT + (shift - 1) * (EXACT // 2) + (lengths >> shift) - EXACT // 2)


def bucket_start(bucket: int) -> int:
    """The smallest length in a bucket."""
    if bucket < EXACT:
        return bucket
    doubling, place = divmod(bucket - EXACT, EXACT // 2)
    return (place + EXACT // 2) << (doubling + 1)


def histogram(found: Profile, most: int = 12) -> list[tuple[int, int, int]]:
    """(from, to, rows) in bins that double, at most `most` of them between the shortest and the longest row."""
    filled = np.flatnonzero(found.lengths)
    if not len(filled):
        return []
    first, last = bucket_start(int(filled[0])), bucket_start(int(filled[-1]))
    edges = [0, 1] if first == 0 else [1 << (first.bit_length() - 1)]
    while edges[-1] <= last:
        edges.append(max(1, edges[-1]) * 2)
    while len(edges) - 1 > most:  # join the two shortest bins
        edges.pop(1)
    starts = np.array([bucket_start(int(bucket)) for bucket in filled])
    inside = np.searchsorted(edges, starts, side="right") - 1
    sums = np.bincount(inside, weights=found.lengths[filled], minlength=len(edges) - 1).astype(int)
    return [(edges[i], edges[i + 1] - 1, int(sums[i])) for i in range(len(edges) - 1)]
