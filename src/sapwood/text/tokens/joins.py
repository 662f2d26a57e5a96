"""Which tokens belong to the word of the token before them, so that a word can be hidden whole.

Words are runs of letters and digits in spaced scripts, and jieba's words in runs of Han characters (package jieba, extra `chinese`); every
other unspaced character is a word. Masking whole words is from Cui et al. 2021 ("Pre-training with whole word masking for Chinese BERT").
A token that covers the end of one word and the start of the next counts as a start. It needs a tokenizer that tells offsets, and it
does NOT judge jieba's words: names it does not know are cut wrongly.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sapwood.errors import MissingExtra
from sapwood.text import units

Flags = NDArray[np.bool_]
EXTRA = "chinese"


def missing() -> bool:
    """Whether the package that cuts Chinese words is not installed."""
    return find_spec("jieba") is None


def begins(text: str) -> Flags:
    """bool [characters]: where a word begins, and every space and symbol. `MissingExtra` for Han text without jieba."""
    points = units.code_points(text)
    classes = units.class_table()[points]
    before = np.concatenate([[units.SPACE], classes[:-1]]) if len(classes) else classes
    found: Flags = (classes != units.WORD) | (before != units.WORD)
    han = units.script_table()[points] == units.NAMES.index("han")
    edges = np.flatnonzero(np.diff(np.concatenate([[False], han, [False]]).astype(np.int8)))
    for start, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        if end - start > 1:
            found[start:end] = False
            found[_starts(text[start:end], start)] = True
    return found


def _starts(run: str, at: int) -> list[int]:
    starts = []
    for word in _words(run):
        starts.append(at)
        at += len(word)
    return starts


def _words(run: str) -> Sequence[str]:
    """jieba's words of a run of Han characters, without its model for unknown words, so that only its dictionary decides."""
    try:
        import jieba
    except ImportError:
        raise MissingExtra("jieba", EXTRA, "masking whole Chinese words") from None
    jieba.setLogLevel(60)
    return jieba.lcut(run, HMM=False)


def joins(text: str, offsets: Sequence[tuple[int, int]] | NDArray[Any]) -> Flags:
    """bool [tokens]: True for a token in which no word begins. `offsets` are characters (start, end).

    Tokens of one character's bytes have the same offsets; all but the first join.
    """
    spans = np.asarray(offsets, dtype=np.int64).reshape(-1, 2)
    if not len(spans):
        return np.zeros(0, dtype=bool)
    before = np.concatenate([[0], np.cumsum(begins(text))])
    none = before[spans[:, 1]] == before[spans[:, 0]]
    same = np.concatenate([[False], (spans[1:, 0] == spans[:-1, 0]) & (spans[1:, 1] == spans[:-1, 1])])
    found: Flags = none | same
    found[0] = False
    return found
