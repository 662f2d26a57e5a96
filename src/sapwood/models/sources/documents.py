"""Documents cut into windows, for encoders (masked words) and encoder-decoders (hidden spans).

A document is cut every so many tokens, and the rest is a window of its own; windows of like length share a micro-batch, so that short
documents cost little padding. Each example is f(seed, epoch, window). A window of one token teaches nothing and is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import ClassVar

import numpy as np
import torch
from tokenizers import Tokenizer

from sapwood.errors import InputError
from sapwood.models import masking, pairs
from sapwood.models.objectives.terms import Batch
from sapwood.models.sources.masked import SpecialTokens
from sapwood.models.sources.source import PADDING, mingled
from sapwood.models.texts import Ids, batches, pad
from sapwood.text.tokens.joins import Flags

SHORTEST = 2


@dataclass(frozen=True)
class Windows:
    """Window i is `ids[starts[i]:starts[i + 1]]`, int32, without special tokens; `joins` as in `pairs.Corpus`. `documents` counts
    the documents that gave a window, `left_out` those that gave none."""

    ids: np.ndarray
    starts: Ids
    documents: int
    left_out: int
    joins: Flags | None = None

    def __len__(self) -> int:
        return len(self.starts) - 1

    def row(self, number: int) -> Ids:
        return np.asarray(self.ids[self.starts[number] : self.starts[number + 1]], dtype=np.int64)

    def joined(self, number: int) -> Flags | None:
        return None if self.joins is None else self.joins[self.starts[number] : self.starts[number + 1]]

    @cached_property
    def lengths(self) -> tuple[int, ...]:
        return tuple(int(n) for n in np.diff(self.starts))


def windows(tokenizer: Tokenizer, texts: Iterable[str], room: int, words: bool = False) -> Windows:
    """Windows of at most `room` tokens. `words` fills `joins`. `InputError` when no document has two tokens."""
    pieces: list[Ids] = []
    used = left_out = 0
    waiting = iter(texts)
    while some := list(islice(waiting, 512)):
        for row in pairs.coded(tokenizer, some, words):
            found = [row[i : i + room] for i in range(0, len(row), room)]
            found = [piece for piece in found if len(piece) >= SHORTEST]
            pieces += found
            used, left_out = used + bool(found), left_out + (not found)
    if not pieces:
        raise InputError("no document has two tokens", "give documents with text")
    flat = np.concatenate(pieces)
    starts = np.concatenate([[0], np.cumsum([len(piece) for piece in pieces])])
    return Windows((flat >> 1).astype(np.int32), starts, used, left_out, (flat & 1).astype(bool) if words else None)


@dataclass(frozen=True)
class MaskedWindows:
    """[CLS] window [SEP] with masked tokens, for masked words alone. A step has `rows` windows."""

    ahead: ClassVar[bool] = True
    corpus: Windows
    special: SpecialTokens
    rows: int
    rate: float = 0.15
    tokens_per_batch: int = 8192
    multiple: int = 8

    def steps(self, seed: int, epoch: int) -> int:
        return -(-len(self.corpus) // self.rows)

    def at(self, seed: int, epoch: int, index: int) -> list[Batch]:
        made = [self.example(seed, epoch, int(i)) for i in mingled(self.corpus.lengths, self.rows, seed, epoch)[index]]
        return [self._batch([made[i] for i in part]) for part in batches([len(m[0]) for m in made], self.tokens_per_batch, padding=PADDING)]

    def example(self, seed: int, epoch: int, number: int) -> tuple[Ids, Ids, Ids]:
        """(corrupted ids, masked positions, true ids there)."""
        s, joins = self.special, self.corpus.joined(number)
        ids = np.concatenate([[s.cls], self.corpus.row(number), [s.sep]])
        joined = None if joins is None else np.concatenate([[False], joins, [False]])
        chance = masking.generator(seed, epoch, number)
        corrupted, chosen = masking.mask(ids, np.isin(ids, (s.cls, s.sep)), self.rate, s.mask, s.vocab, chance, joined)
        return corrupted, chosen, ids[chosen]

    def _batch(self, made: Sequence[tuple[Ids, Ids, Ids]]) -> Batch:
        ids, mask = pad([m[0] for m in made], self.special.pad, self.multiple)
        positions = np.concatenate([m[1] + row * ids.shape[1] for row, m in enumerate(made)])
        tokens = np.concatenate([m[2] for m in made])
        inputs = {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}
        return Batch(inputs, {"positions": torch.from_numpy(positions), "tokens": torch.from_numpy(tokens)}, {"mlm": len(tokens)})


@dataclass(frozen=True)
class Sentinels:
    """How an encoder-decoder's text is written: a window is `before` + window + `after`; hidden span i is the id `first` + i x `step` in
    its place; targets begin with `begin` (not learned) and end with `end`. There are `count` sentinels."""

    before: tuple[int, ...]
    after: tuple[int, ...]
    first: int
    count: int
    begin: int
    end: int
    pad: int
    step: int = 1


@dataclass(frozen=True)
class HiddenSpans:
    """Windows with hidden spans, and the spans to be written (Raffel et al. 2020). A step has `rows` windows.

    Batches have decoder inputs, and in targets the flat `positions` (m,) of what is learned and its `tokens` (m,); `hidden` (m,) is True
    for tokens of the text, False for sentinels and the end.
    """

    ahead: ClassVar[bool] = True
    corpus: Windows
    marks: Sentinels
    rows: int
    rate: float = 0.15
    mean: float = 3.0
    tokens_per_batch: int = 8192
    multiple: int = 8

    def steps(self, seed: int, epoch: int) -> int:
        return -(-len(self.corpus) // self.rows)

    def at(self, seed: int, epoch: int, index: int) -> list[Batch]:
        made = [self.example(seed, epoch, int(i)) for i in mingled(self.corpus.lengths, self.rows, seed, epoch)[index]]
        return [self._batch([made[i] for i in part]) for part in batches([len(m[0]) for m in made], self.tokens_per_batch, padding=PADDING)]

    def flags(self, seed: int, epoch: int, number: int) -> Flags:
        """The window's hidden tokens."""
        found = masking.spans(self.corpus.lengths[number], self.rate, self.mean, masking.generator(seed, epoch, number))
        begun = np.cumsum(found & ~np.concatenate([[False], found[:-1]]))
        return found & (begun <= self.marks.count)  # spans past the last sentinel stay in the text

    def example(self, seed: int, epoch: int, number: int) -> tuple[Ids, Ids]:
        """(ids to read, ids to write): each hidden run is one sentinel in the first, and follows its sentinel in the second."""
        row, hidden, m = self.corpus.row(number), self.flags(seed, epoch, number), self.marks
        begins = hidden & ~np.concatenate([[False], hidden[:-1]])
        sentinels = m.first + m.step * (np.cumsum(begins) - 1)
        read = np.where(begins, sentinels, row)[begins | ~hidden]
        where = np.flatnonzero(begins)
        written = np.insert(row, where, sentinels[where])[np.insert(hidden, where, True)]
        return np.concatenate([m.before, read, m.after]).astype(np.int64), np.concatenate([written, [m.end]]).astype(np.int64)

    def _batch(self, made: Sequence[tuple[Ids, Ids]]) -> Batch:
        m = self.marks
        ids, mask = pad([read for read, _ in made], m.pad, self.multiple)
        given, _ = pad([np.concatenate([[m.begin], written[:-1]]) for _, written in made], m.pad, self.multiple)
        positions = np.concatenate([np.arange(len(written)) + row * given.shape[1] for row, (_, written) in enumerate(made)])
        tokens = np.concatenate([written for _, written in made])
        last = m.first + m.step * (m.count - 1)
        hidden = (tokens < min(m.first, last)) | (tokens > max(m.first, last))
        hidden[np.cumsum([len(written) for _, written in made]) - 1] = False
        inputs = {"input_ids": ids, "attention_mask": mask, "decoder_input_ids": given}
        targets = {"positions": positions, "tokens": tokens, "hidden": hidden}
        return Batch(
            {k: torch.from_numpy(v) for k, v in inputs.items()},
            {k: torch.from_numpy(v) for k, v in targets.items()},
            {"tokens": len(tokens)},
        )
