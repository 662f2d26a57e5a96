"""Paragraphs that the corpus repeats: each is kept where it comes first and taken out everywhere else.

A paragraph is what stands between blank lines; in a text without blank lines each line is one. Two are the same when their units are
(case, width, spacing and punctuation aside), and only those of at least `least` units count, so that headings and short answers stay.
Memory: 16 bytes a paragraph, and 60 while the first ones are found. It finds no near copies of paragraphs.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import xxhash

from sapwood.text.near import clustering, shingling

Array = np.ndarray[Any, Any]

BLANK = re.compile(r"\n[^\S\n]*\n\s*")
LINE = re.compile(r"\n\s*")


class Thinned(NamedTuple):
    """`text` without what was repeated; `characters` and `paragraphs` taken out."""

    text: str
    characters: int
    paragraphs: int


class Paragraphs:
    """Texts are added once in their order, then thinned in the same order."""

    def __init__(self, least: int) -> None:
        self.least = least
        self._keys: list[Array] = []
        self._first: Array | None = None
        self._at = 0

    def add(self, texts: Sequence[str]) -> None:
        self._keys.append(self._keys_of([text for whole in texts for text, _ in split(whole)]))

    def thin(self, texts: Sequence[str]) -> list[Thinned]:
        """The same texts again: each without the paragraphs that came before."""
        if self._first is None:
            keys = np.concatenate([np.zeros((0, 2), dtype=np.uint64), *self._keys])
            self._keys = []
            self._first = clustering.first_of(keys) == np.arange(len(keys))
        found = []
        for text in texts:
            parts = split(text)
            stays = self._first[self._at : self._at + len(parts)].tolist()
            self._at += len(parts)
            found.append(Thinned(text, 0, 0) if all(stays) else _thinned(text, parts, stays))
        return found

    def _keys_of(self, paragraphs: Sequence[str]) -> Array:
        """uint64[n, 2]; zero, which equals nothing, for a paragraph with too few units."""
        hashes, counts = shingling.hashes(paragraphs)
        view, start, keys = hashes.data.cast("B"), 0, []
        for count in counts.tolist():
            keys.append(xxhash.xxh3_128_digest(view[8 * start : 8 * (start + count)]) if count >= self.least else bytes(16))
            start += count
        return np.frombuffer(b"".join(keys), dtype="<u8").reshape(-1, 2)


def split(text: str) -> list[tuple[str, str]]:
    """(paragraph, what stands between it and the next); joined they are the text."""
    pattern = BLANK if BLANK.search(text) else LINE
    parts, start = [], 0
    for gap in pattern.finditer(text):
        parts.append((text[start : gap.start()], gap.group()))
        start = gap.end()
    return [*parts, (text[start:], "")]


def _thinned(text: str, parts: list[tuple[str, str]], stays: list[bool]) -> Thinned:
    left = "".join(paragraph + gap for (paragraph, gap), stay in zip(parts, stays, strict=True) if stay)
    left = left.rstrip() if not stays[-1] else left
    return Thinned(left, len(text) - len(left), stays.count(False))
