"""Quality rules as data: what is measured of a text, and the limits a language sets on it.

The defaults are gentle on purpose. Published filters destroy good text (Gopher's keep 31.5 % of English manuals and 5.6 % of
Chinese ones): short shop dialogues, lists and tables are legitimate. Measures are taken once; limits are judged over them.

It does not measure fluency, truth, toxicity or usefulness, and knows no list of stop words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from sapwood.text import units

JUDGED_WINDOWS = 20
"""Fewer shingles than this say nothing about repetition."""


class Limits(BaseModel):
    """Limits of one language. A measure equal to its limit is kept."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_chars: int = Field(2, ge=0, description="Shortest text to keep, in characters.")
    max_chars: int = Field(1_000_000, ge=1, description="Longest text to keep, in characters.")
    max_symbols: float = Field(0.8, ge=0, le=1, description="Largest share of punctuation, symbols and emoji in what is visible.")
    max_repetition: float = Field(0.8, ge=0, le=1, description="Largest share of shingles (5 words or characters) that were there before.")


class Measures(NamedTuple):
    """Per text: characters, share of symbols among visible characters, share of repeated shingles (0 under 20 shingles)."""

    characters: int
    symbols: float
    repetition: float


class Failure(NamedTuple):
    """A rule that a text breaks: its reason, what was measured and the limit."""

    reason: str
    value: float
    limit: float


def measure(texts: Sequence[str], shingled: units.Shingles | None = None) -> list[Measures]:
    """The measures of each text. `shingled`: the same texts' shingles, where they are at hand."""
    shingled = units.shingle(texts) if shingled is None else shingled
    symbols = [share for start, end in units.chunks(texts) for share in _symbol_shares(texts[start:end])]
    repeated = np.where(shingled.windows >= JUDGED_WINDOWS, 1 - shingled.sizes / np.maximum(shingled.windows, 1), 0.0).tolist()
    return [Measures(len(text), round(s, 4), round(r, 4)) for text, s, r in zip(texts, symbols, repeated, strict=True)]


def judge(measures: Measures, limits: Limits) -> Failure | None:
    """The first rule broken, or None."""
    for reason, value, limit, sign in _rules(measures, limits):
        if sign * value > sign * limit:
            return Failure(reason, value, limit)
    return None


def margin(measures: Measures, limits: Limits) -> Failure | None:
    """The rule a kept text comes nearest to breaking; its `value` is the distance as a share of the limit."""
    distances = [
        Failure(reason, round(abs(value - limit) / max(abs(limit), 1e-9), 4), limit) for reason, value, limit, _ in _rules(measures, limits)
    ]
    return min(distances, key=lambda distance: distance.value, default=None)


def limits_for(language: str, default: Limits, by_language: Mapping[str, Limits]) -> Limits:
    return by_language.get(language, default)


def _rules(measures: Measures, limits: Limits) -> tuple[tuple[str, float, float, int], ...]:
    """(reason, value, limit, +1 for an upper and -1 for a lower limit), in the order they are judged."""
    return (
        ("too short", measures.characters, limits.min_chars, -1),
        ("too long", measures.characters, limits.max_chars, 1),
        ("too many symbols", measures.symbols, limits.max_symbols, 1),
        ("too repetitive", measures.repetition, limits.max_repetition, 1),
    )


def _symbol_shares(texts: Sequence[str]) -> list[float]:
    classes, rows = units.classes_of(texts)
    symbols = np.bincount(rows[classes == units.SYMBOL], minlength=len(texts))
    visible = np.bincount(rows[classes != units.SPACE], minlength=len(texts))
    shares: list[float] = (symbols / np.maximum(visible, 1)).tolist()
    return shares
