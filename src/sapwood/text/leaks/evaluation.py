"""The evaluation side of decontamination, in memory: its items, and which of them a document may hold.

An item that is held to at least `low` shares one of its `size - ceil(low * size) + 1` rarest windows with the document (prefix filter, as
in `overlaps`), so only those are looked up, and each pair that meets there is counted exactly: none is missed. A window is five words
or characters; an item of fewer than five units has none and is found as a whole text only.

Memory: 100 bytes a window while it is built and 30 afterwards, beside the items' texts, so `MOST_WINDOWS` hold it under 800 MB; more is a
`ResourceError`. That is 8 million Chinese characters or some 45 MB of English.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from sapwood.errors import ResourceError
from sapwood.text import units
from sapwood.text.leaks import spans
from sapwood.text.near import overlaps
from sapwood.text.near.signatures import LEAST
from sapwood.text.units import Shingles

Array = np.ndarray[Any, Any]

MOST_WINDOWS = 8_000_000
MOST = 64
"""Items that one document is compared with in detail, the best covered ones."""
FILTER = 1 << 24


class Item(NamedTuple):
    """An evaluation text, and the artifact that it is from (a place in `Items.sources`)."""

    id: str
    text: str
    source: int


class Met(NamedTuple):
    """Pairs of (document row, item) with the windows they share as a share of the item's, their Jaccard similarity, and whether the
    texts are equal."""

    row: Array
    item: Array
    coverage: Array
    jaccard: Array
    same: Array


class Items:
    """The items of all evaluation artifacts, in their order. `frequency` counts, for each window, the documents met so far that have it."""

    def __init__(self, sources: Sequence[tuple[str, Sequence[tuple[str, str]]]], low: float) -> None:
        self.sources = [name for name, _ in sources]
        self.all = [Item(name, text, place) for place, (_, texts) in enumerate(sources) for name, text in texts]
        self._shingled = units.shingle([item.text for item in self.all])
        self.sizes = self._shingled.sizes
        if len(self._shingled.values) > MOST_WINDOWS:
            characters = sum(len(item.text) for item in self.all)
            raise ResourceError(
                f"the evaluation texts have {characters:,} characters, {len(self._shingled.values):,} windows of five words or characters; "
                f"{MOST_WINDOWS:,} fit in memory",
                "give fewer artifacts at a time, and the kept rows of one decontaminate step to the next",
            )
        self._whole: dict[bytes, list[int]] = {}
        for number, key in enumerate(self._shingled.keys):
            if key:
                self._whole.setdefault(key, []).append(number)
        self.vocabulary, self._first, self._prefix = _prefixes(self._shingled, low)
        self.frequency = np.zeros(len(self.vocabulary), dtype=np.int32)
        self._perhaps = np.zeros(FILTER, dtype=bool)
        self._perhaps[self.vocabulary & np.uint64(FILTER - 1)] = True
        self.low = low
        self.judged = lru_cache(4096)(self._judged)

    def meet(self, texts: Sequence[str]) -> Met:
        """The pairs of these documents with items that they equal, or hold to at least `low`; in the order of (row, item)."""
        shingled = units.shingle(texts)
        known = self._known(shingled)
        np.add.at(self.frequency, np.searchsorted(self.vocabulary, known.values), 1)
        equal = [(row, item) for row, key in enumerate(shingled.keys) for item in self._whole.get(key, [])[:MOST]]
        copies = np.array([row << 32 | item for row, item in equal], dtype=np.int64)
        pairs = overlaps.distinct(np.concatenate([self._pairs(known), copies]))
        row, item = pairs >> 32, pairs & 0xFFFFFFFF
        coverage, same = overlaps.covered(known, self._shingled, row, item), np.isin(pairs, copies)
        both, mine, theirs = coverage * self.sizes[item], shingled.sizes[row], self.sizes[item]
        jaccard = np.where((mine >= LEAST) & (theirs >= LEAST), both / np.maximum(mine + theirs - both, 1), 0.0)
        keep = same | (coverage >= np.where(theirs < LEAST, 1.0, self.low) - 1e-12)
        met = Met(row, item, np.where(same, 1.0, coverage), np.where(same, 1.0, jaccard), same)
        return Met(*(column[keep] for column in met))

    def first(self, number: int) -> int:
        """The first item with the same units: what is found out about one holds for all."""
        return self._whole.get(self._shingled.keys[number], [number])[0]

    def _known(self, shingled: Shingles) -> Shingles:
        """The documents' windows that some item has, in a fifth of the time that it takes to look up all."""
        some = self._perhaps[shingled.values & np.uint64(FILTER - 1)]
        values, row = shingled.values[some], np.repeat(np.arange(len(shingled.keys)), shingled.sizes)[some]
        place = np.searchsorted(self.vocabulary, values)
        known = np.concatenate([self.vocabulary, [np.uint64(2**64 - 1)]])[place] == values if len(values) else np.zeros(0, dtype=bool)
        offsets = np.concatenate([[0], np.cumsum(np.bincount(row[known], minlength=len(shingled.keys)))]).astype(np.int64)
        return shingled._replace(values=values[known], offsets=offsets)

    def _pairs(self, known: Shingles) -> Array:
        """int64: row << 32 | item of the pairs that share one of the item's rare windows, each once."""
        place, row = np.searchsorted(self.vocabulary, known.values), np.repeat(np.arange(len(known.keys)), known.sizes)
        counts = self._first[place + 1] - self._first[place]
        found = [np.zeros(0, dtype=np.int64)]
        for start, stop in overlaps.pieces(counts, overlaps.MOST_PAIRS):
            some = counts[start:stop]
            at = np.repeat(self._first[place[start:stop]] - (np.cumsum(some) - some), some) + np.arange(int(some.sum()))
            found.append(overlaps.distinct((np.repeat(row[start:stop], some) << 32) | self._prefix[at]))
        return overlaps.distinct(np.concatenate(found))

    def _judged(self, number: int) -> tuple[dict[str, int], frozenset[str], int]:
        """(document frequency of each distinct window of the item, the windows, its units). Right only when every document was met."""
        where = spans.placed(self.all[number].text)
        windows = sorted(set(where.windows()))
        places = np.searchsorted(self.vocabulary, units.shingle(windows).values)
        return dict(zip(windows, self.frequency[places].tolist(), strict=True)), frozenset(windows), len(where.names)


def _prefixes(shingled: Shingles, low: float) -> tuple[Array, Array, Array]:
    """(distinct windows ascending, int64 where each one's items begin and end, int32 the items that have it among their rarest)."""
    order = np.argsort(shingled.values, kind="stable")
    ranked = shingled.values[order]
    new = np.concatenate([[True], ranked[1:] != ranked[:-1]]) if len(ranked) else np.zeros(0, dtype=bool)
    vocabulary = ranked[new]
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.cumsum(new) - 1
    items = np.repeat(np.arange(len(shingled.keys)), shingled.sizes)
    rarity = np.bincount(place, minlength=len(vocabulary))[place]
    by_rarity = np.lexsort((place, rarity, items))
    within = np.arange(len(items)) - np.repeat(shingled.offsets[:-1], shingled.sizes)
    need = np.where(shingled.sizes < LEAST, shingled.sizes, np.ceil(low * shingled.sizes - 1e-9).astype(np.int64))
    kept = by_rarity[within < np.repeat(shingled.sizes - need + 1, shingled.sizes)]
    kept = kept[np.argsort(place[kept], kind="stable")]
    first = np.searchsorted(place[kept], np.arange(len(vocabulary) + 1))
    return vocabulary, first, items[kept].astype(np.int32)
