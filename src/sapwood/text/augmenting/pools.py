"""Possible partners for mixtures: of each label, language and licence the rows that a hash of (seed, id) puts first.

Memory: at most `BUDGET` characters of text, and one row of each (label, language, licence): where labels are many or texts long, the
pools become smaller, all alike. Which rows are drawn depends on the rows and their order only, not on batches.
"""

from __future__ import annotations

import heapq
from typing import NamedTuple

import xxhash

BUDGET = 32 << 20
LONGEST = 20_000
"""Texts of more characters are nobody's partner."""

Key = tuple[str, str, str]


class Drawn(NamedTuple):
    """A heap entry: `draw` is negative, so that the largest hash is on top."""

    draw: int
    id: str
    text: str


class Pools:
    """`size` rows of each key; 0 holds nothing."""

    def __init__(self, size: int, seed: int) -> None:
        self.size, self.seed = size, seed & 0xFFFFFFFFFFFFFFFF
        self._heaps: dict[Key, list[Drawn]] = {}
        self._ordered: dict[Key, list[Drawn]] = {}
        self._held = 0

    def add(self, key: Key, name: str, text: str) -> None:
        if not self.size or not text.strip() or len(text) > LONGEST:
            return
        heap = self._heaps.setdefault(key, [])
        entry = Drawn(-xxhash.xxh3_64_intdigest(name.encode("utf-8", "replace"), seed=self.seed), name, text)
        heapq.heappush(heap, entry)
        self._held += len(text)
        self._trim(heap)
        while self._held > BUDGET and self.size > 1:
            self.size //= 2
            for one in self._heaps.values():
                self._trim(one)

    def _trim(self, heap: list[Drawn]) -> None:
        while len(heap) > self.size:
            self._held -= len(heapq.heappop(heap).text)

    def partners(self, key: Key, but: str) -> list[Drawn]:
        """The pool of a key without one id, in the order of the draw. Asked for once all rows are added."""
        if key not in self._ordered:
            self._ordered[key] = sorted(self._heaps.get(key, ()), reverse=True)
        return [one for one in self._ordered[key] if one.id != but]
