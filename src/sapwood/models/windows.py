"""Texts as windows that fit a model: pieces between the tokenizer's own special tokens, cut between units where a text is too long."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np

from sapwood.errors import InputError
from sapwood.models.pieces import NO_UNIT, Pieces, pieces
from sapwood.models.texts import Ids, whole

OVERLAP = 64
"""Tokens that two neighbouring windows share where a question is asked of a long text."""
QUESTION = 64
"""Most tokens of a question."""


class Window(NamedTuple):
    """Of text `row`: `ids` (tokens,) with special tokens, and the `unit` of each, NO_UNIT where it has none."""

    row: int
    ids: Ids
    unit: Ids


def frame(tokenizer: Any, pair: bool = False) -> list[list[int]]:
    """The special tokens before, (between two texts,) and after: as the tokenizer's own template has them; empty where it has none."""
    encoded = tokenizer.encode("a", "a") if pair else tokenizer.encode("a")
    runs = [(special, [i for i, _ in run]) for special, run in groupby(zip(encoded.ids, encoded.special_tokens_mask, strict=True), _mark)]
    found: list[list[int]] = [[]]
    for special, ids in runs:
        if special:
            found[-1] = ids
        else:
            found.append([])
    return [*found, [], []][: 3 if pair else 2]


def _mark(one: tuple[int, int]) -> int:
    return one[1]


def tagged(tokenizer: Any, texts: Sequence[str], prefix: str, max_tokens: int) -> tuple[list[Window], list[Pieces]]:
    """Consecutive windows of every text. A span across the cut of two windows is lost."""
    front, back = frame(tokenizer)
    front = [*front, *_ids(tokenizer, prefix)]
    room = max_tokens - len(front) - len(back)
    if room < 1:
        raise InputError(f"max_tokens {max_tokens} leaves no room for text", f"set max_tokens to {max_tokens - room + 1} or more")
    found: list[Window] = []
    read = pieces(tokenizer, texts)
    for row, one in enumerate(read):
        start = 0
        while start < len(one.ids) or start == 0:
            stop = _before_unit(one.unit, start, min(start + room, len(one.ids)))
            found.append(_framed(row, one, start, stop, front, back))
            start = max(stop, 1)
    return found, read


def asked(tokenizer: Any, questions: Sequence[str], texts: Sequence[str], max_tokens: int, end: int) -> tuple[list[Window], list[Pieces]]:
    """Overlapping windows of every text, each after its row's question. The last token of a window stands for `no answer`: it is the
    tokenizer's own end, or `end` where it has none."""
    front, between, back = frame(tokenizer, pair=True)
    between, back = between or _ids(tokenizer, "\n"), back or [end]
    found: list[Window] = []
    read = pieces(tokenizer, texts)
    for row, (question, one) in enumerate(zip(questions, read, strict=True)):
        before = [*front, *_ids(tokenizer, question)[:QUESTION], *between]
        room = max_tokens - len(before) - len(back)
        if room < 2:
            raise InputError(f"max_tokens {max_tokens} leaves no room beside the question of {len(before)} tokens", "set it higher")
        start, step = 0, room - min(OVERLAP, room // 2)
        while start == 0 or start + room - step < len(one.ids):
            found.append(_framed(row, one, start, min(start + room, len(one.ids)), before, back))
            start += step
    return found, read


def _ids(tokenizer: Any, text: str) -> list[int]:
    found: list[int] = tokenizer.encode(whole([text.rstrip(" ")])[0], add_special_tokens=False).ids if text else []
    return found


def _before_unit(unit: Ids, start: int, stop: int) -> int:
    """The last place up to `stop` where a unit begins; `stop` itself at the end or inside a unit longer than the window."""
    if stop == len(unit):
        return stop
    at = stop
    while at > start and unit[at] != NO_UNIT and unit[at] == unit[at - 1]:
        at -= 1
    return at if at > start else stop


def _framed(row: int, one: Pieces, start: int, stop: int, front: Sequence[int], back: Sequence[int]) -> Window:
    ids = np.concatenate([front, one.ids[start:stop], back]).astype(np.int64)
    unit = np.concatenate([np.full(len(front), NO_UNIT), one.unit[start:stop], np.full(len(back), NO_UNIT)]).astype(np.int64)
    return Window(row, ids, unit)


def firsts(unit: Ids) -> Ids:
    """Places of the first token of each unit."""
    before = np.concatenate([[NO_UNIT], unit[:-1]])
    return np.flatnonzero((unit != NO_UNIT) & (unit != before))
