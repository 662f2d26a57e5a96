"""Pairs of a text to read and a text to write, for encoder-decoders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
import torch

from sapwood.models.objectives.terms import Batch
from sapwood.models.sources.source import by_length
from sapwood.models.texts import Ids, batches, pad


@dataclass(frozen=True)
class Pairs:
    """`read` with the tokenizer's special tokens, `written` ending with the id that ends an answer. A step has `rows` pairs of like length.

    `start` is the id that the decoder begins from: it reads the written ids one place later.
    """

    ahead: ClassVar[bool] = True
    read: Sequence[Ids]
    written: Sequence[Ids]
    rows: int
    start: int
    fill: int = 0
    tokens_per_batch: int = 8192
    multiple: int = 8

    def steps(self, seed: int, epoch: int) -> int:
        return -(-len(self.read) // self.rows)

    def at(self, seed: int, epoch: int, index: int) -> list[Batch]:
        chosen = by_length(self.lengths, self.rows, seed, epoch)[index]
        return [self.batch(part) for part in batches(self.lengths, self.tokens_per_batch, chosen)]

    @cached_property
    def lengths(self) -> tuple[int, ...]:
        return tuple(len(a) + len(b) for a, b in zip(self.read, self.written, strict=True))

    def batch(self, part: Ids) -> Batch:
        ids, mask = pad([self.read[i] for i in part], self.fill, self.multiple)
        truth, real = pad([self.written[i] for i in part], self.fill, self.multiple)
        shifted = np.concatenate([np.full((len(part), 1), self.start), truth[:, :-1]], axis=1)
        at = np.flatnonzero(real.ravel())
        inputs = {"input_ids": ids, "attention_mask": mask, "decoder_input_ids": shifted}
        targets = {"positions": torch.from_numpy(at), "tokens": torch.from_numpy(truth.ravel()[at])}
        return Batch({name: torch.from_numpy(value) for name, value in inputs.items()}, targets, {"token": len(at)})
