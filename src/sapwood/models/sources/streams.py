"""Packed documents for causal language models: a sequence holds several, and none sees another.

Attention is block-diagonal and positions restart with each document, so packed equals unpacked token by token. Sequences come from
documents, packed in memory, or from a `tokens` artifact of any size, memory-mapped; in both the order is that of `text.tokens.order`, so
the cursor is (seed, epoch, index), and no step reads what lies before it. A document's first token has nothing before it and is not
learned, unless a start token is packed with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import ClassVar, Protocol

import numpy as np
import torch
from tokenizers import Tokenizer

from sapwood.errors import InputError
from sapwood.models import pairs
from sapwood.models.objectives.terms import Batch
from sapwood.models.texts import Ids
from sapwood.text.tokens import order, packing
from sapwood.text.tokens.shards import SEGMENT, Stored

ASIDE = 0x9E3779B97F4A7C15
"""Key of the order by which documents of a tokens artifact are set aside."""


class Stream(Protocol):
    """Sequences by number. `text.tokens.shards.Packed` is one."""

    def __len__(self) -> int: ...
    def sequence(self, number: int) -> Stored: ...


@dataclass(frozen=True)
class Held:
    """Packed sequences in memory."""

    length: int
    sequences: Sequence[packing.Sequence]
    documents: int
    tokens: int

    def __len__(self) -> int:
        return len(self.sequences)

    def sequence(self, number: int) -> Stored:
        pieces = self.sequences[number]
        segments = np.zeros(len(pieces), dtype=SEGMENT)
        tokens, learned = np.zeros(self.length, dtype=np.int64), np.zeros(self.length, dtype=bool)
        at = 0
        for i, piece in enumerate(pieces):
            end = at + len(piece.ids)
            tokens[at:end], learned[at:end] = piece.ids, True if piece.learned is None else piece.learned
            segments[i] = (piece.document, at, end - at, piece.offset)
            at = end
        return Stored(number, tokens, learned, segments)


def held(documents: Iterable[Ids], length: int) -> Held:
    """Pack documents, best fit. `InputError` when there is none with two tokens."""
    pieces = [packing.Piece(number, 0, ids, None) for number, ids in enumerate(documents) if len(ids) > 1]
    if not pieces:
        raise InputError("no document has two tokens", "give documents with text")
    sequences = list(packing.best_fit(pieces, length, 1 << 22))
    return Held(length, sequences, len(pieces), sum(len(piece.ids) for piece in pieces))


def encoded(tokenizer: Tokenizer, texts: Iterable[str], before: Sequence[int], after: Sequence[int]) -> Iterable[Ids]:
    """Each text's ids between the separators."""
    waiting = iter(texts)
    while some := list(islice(waiting, 512)):
        for row in pairs.coded(tokenizer, some, words=False):
            yield np.concatenate([before, row >> 1, after]).astype(np.int64)


@dataclass(frozen=True)
class Kept:
    """A tokens artifact without the documents that are held out: `share` of them, drawn by their number. `numbers` are the sequences
    in which something is left to learn; finding them reads each sequence once."""

    stream: Stream
    share: float

    def __len__(self) -> int:
        return len(self.numbers)

    @cached_property
    def numbers(self) -> list[int]:
        found = [number for number in range(len(self.stream)) if _asked(self._left(number)).any()]
        if not found:
            raise InputError("every document of the tokens is held out", "lower held_out, or pack more documents")
        return found

    def sequence(self, number: int) -> Stored:
        return self._left(self.numbers[number])

    def _left(self, number: int) -> Stored:
        found = self.stream.sequence(number)
        aside = set_aside(found.segments["document"], self.share)
        if not aside.any():
            return found
        learned = found.learned.copy()
        for segment in found.segments[aside]:
            learned[segment["at"] : segment["at"] + segment["length"]] = False
        return found._replace(learned=learned)


def _asked(found: Stored) -> np.ndarray:
    """bool (length - 1,): the places whose next token is learned and of the same document."""
    blocks = found.blocks()
    return found.learned[1:] & (blocks[1:] == blocks[:-1]) & (blocks[1:] >= 0)


def set_aside(documents: np.ndarray, share: float) -> np.ndarray:
    """bool: which document numbers are held out."""
    mixed = (documents.astype(np.uint64) + np.uint64(1)) * np.uint64(ASIDE)
    mixed = (mixed ^ (mixed >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)
    return (mixed >> np.uint64(32)).astype(np.float64) < share * 2**32


def aside(stream: Stream, share: float, tokens: int) -> Held:
    """The first documents set aside, at most about that many tokens; a document in two sequences comes in two pieces."""
    pieces: list[packing.Piece] = []
    size = number = 0
    while size < tokens and number < len(stream):
        found = stream.sequence(number)
        for segment in found.segments[set_aside(found.segments["document"], share)]:
            part = slice(int(segment["at"]), int(segment["at"]) + int(segment["length"]))
            if part.stop - part.start > 1:
                pieces.append(packing.Piece(int(segment["document"]), 0, found.tokens[part].astype(np.int64), found.learned[part]))
                size += part.stop - part.start
        number += 1
    if not pieces:
        raise InputError("no document of the tokens is held out", "raise held_out, or pack more documents")
    length = max(len(piece.ids) for piece in pieces)
    return Held(length, list(packing.best_fit(pieces, length, 1 << 22)), len(pieces), size)


@dataclass(frozen=True)
class Streams:
    """Batches of packed sequences. A step has `rows` sequences, in micro-batches of `tokens_per_batch` tokens.

    inputs: ids, and `position_ids` that restart; targets: `blocks` (rows, width) numbers each token's document, -1 on fill;
    `positions` (m,) flat places that are asked for what comes next, `tokens` (m,) what does, `segments` (m,) whose it is, in the batch.
    """

    ahead: ClassVar[bool] = True
    stream: Stream
    rows: int
    tokens_per_batch: int = 8192
    multiple: int = 8

    def steps(self, seed: int, epoch: int) -> int:
        return -(-len(self.stream) // self.rows)

    def at(self, seed: int, epoch: int, index: int) -> list[Batch]:
        start = index * self.rows
        numbers = order.places(len(self.stream), seed, epoch, start, min(start + self.rows, len(self.stream)))
        return self.of([int(number) for number in numbers])

    def of(self, numbers: Sequence[int]) -> list[Batch]:
        """Batches of these sequences."""
        found = [self.stream.sequence(number) for number in numbers]
        size = max(1, self.tokens_per_batch // max(1, max(sequence.used for sequence in found)))
        return [self._batch(found[i : i + size]) for i in range(0, len(found), size)]

    @cached_property
    def used(self) -> float:
        """Tokens of a sequence on average, over the first 256 of them."""
        return float(np.mean([self.stream.sequence(number).used for number in range(min(256, len(self.stream)))]))

    def _batch(self, found: Sequence[Stored]) -> Batch:
        width = -(-max(sequence.used for sequence in found) // self.multiple) * self.multiple
        ids, blocks = np.zeros((len(found), width), dtype=np.int64), np.full((len(found), width), -1, dtype=np.int64)
        starts, learned = np.zeros((len(found), width), dtype=np.int64), np.zeros((len(found), width), dtype=bool)
        for row, sequence in enumerate(found):
            n = min(width, len(sequence.tokens))
            ids[row, :n], blocks[row, :n], learned[row, :n] = sequence.tokens[:n], sequence.blocks()[:n], sequence.learned[:n]
            starts[row, sequence.used :] = sequence.used
            starts[row, : sequence.used] = np.repeat(sequence.segments["at"], sequence.segments["length"])
        asked = learned[:, 1:] & (blocks[:, 1:] == blocks[:, :-1]) & (blocks[:, 1:] >= 0)
        line, column = np.nonzero(asked)
        numbers = blocks + np.cumsum([0, *(len(sequence.segments) for sequence in found[:-1])])[:, None]
        inputs = {"input_ids": ids, "position_ids": np.arange(width) - starts}
        targets = {
            "blocks": blocks,
            "positions": line * width + column,
            "tokens": ids[line, column + 1],
            "segments": numbers[line, column + 1],
        }
        return Batch(
            {k: torch.from_numpy(v) for k, v in inputs.items()}, {k: torch.from_numpy(v) for k, v in targets.items()}, {"tokens": len(line)}
        )
