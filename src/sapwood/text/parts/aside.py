"""Texts to learn from, and texts set aside to measure on, for stages that read plain documents whole into memory.

A document goes to a side by the hash of its text, so a repeated one stays on one side, and the same share sets the same ones aside
whatever else is read. It does NOT look for near copies, which would stand on both sides: `dedup` takes them out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from sapwood.errors import InputError
from sapwood.text import rows

CHARACTERS = 4
"""Characters of a token, for what is enough: a generous guess, so that text does not run out."""


class Divided(NamedTuple):
    """`share` of the documents, drawn by their hash too, were enough."""

    taught: list[str]
    aside: list[str]
    share: float


def divided(folders: Sequence[Path], held_out: float, tokens: float) -> Divided:
    """The texts of these payloads. No more are taken than `tokens` need: reading all of 57,000 documents for half a million tokens took
    longer than the first hundred steps. `InputError` where fewer than two are set aside."""
    size = sum(len(text) for _, text in _texts(folders))
    share = min(1.0, CHARACTERS * tokens / max(1, size))
    taught: list[str] = []
    aside: list[str] = []
    for digest, text in _texts(folders):
        if int(digest[8:16], 16) < share * 2**32:
            (aside if int(digest[:8], 16) < held_out * 2**32 else taught).append(text)
    if len(aside) < 2:
        raise InputError(f"{len(aside)} of {len(taught) + len(aside)} documents are held out, two are needed", "raise held_out")
    return Divided(taught, aside, share)


def _texts(folders: Sequence[Path]) -> Iterator[tuple[str, str]]:
    """(digest of the text, text) of every document."""
    for folder in folders:
        for batch in rows.batches(folder, ["text"]):
            for text in batch.column("text").to_pylist():
                yield rows.text_digest(str(text)), str(text)
