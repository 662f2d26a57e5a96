"""Texts with one answer each: a class number, a row of classes, a number."""

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
class LabelledTexts:
    """Encoded texts with `labels` (n,) or (n, classes), whose loss term is called `term`. A step has `rows` texts of like length, in
    micro-batches of `tokens_per_batch` padded tokens."""

    ahead: ClassVar[bool] = True
    ids: Sequence[Ids]
    labels: np.ndarray
    rows: int
    fill: int = 0
    tokens_per_batch: int = 8192
    multiple: int = 8
    term: str = "class"

    def steps(self, seed: int, epoch: int) -> int:
        return -(-len(self.ids) // self.rows)

    def at(self, seed: int, epoch: int, index: int) -> list[Batch]:
        chosen = by_length(self.lengths, self.rows, seed, epoch)[index]
        return [self._batch(part) for part in batches(self.lengths, self.tokens_per_batch, chosen)]

    @cached_property
    def used(self) -> Ids:
        """Every token id that its batches can hold, padding too."""
        return np.unique(np.concatenate([*self.ids, np.asarray([self.fill], dtype=np.int64)]))

    @cached_property
    def lengths(self) -> tuple[int, ...]:
        return tuple(len(row) for row in self.ids)

    def _batch(self, part: Ids) -> Batch:
        ids, mask = pad([self.ids[i] for i in part], self.fill, self.multiple)
        inputs = {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}
        return Batch(inputs, {"label": torch.from_numpy(self.labels[part])}, {self.term: len(part)})
