"""Texts with one blank each, and the class of each."""

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
class Blanks:
    """A step has `rows` texts of like length. `places` are where the blanks stand, `words` the token of each class."""

    ahead: ClassVar[bool] = True
    ids: Sequence[Ids]
    places: Ids
    labels: Ids
    words: Ids
    rows: int
    fill: int = 0
    tokens_per_batch: int = 8192

    def steps(self, seed: int, epoch: int) -> int:
        return -(-len(self.ids) // self.rows)

    def at(self, seed: int, epoch: int, index: int) -> list[Batch]:
        return [self.batch(part) for part in self.cut(by_length(self.lengths, self.rows, seed, epoch)[index])]

    def cut(self, rows: Ids | None = None) -> list[Ids]:
        """Rows (all of them by default) in batches of like length."""
        return batches(self.lengths, self.tokens_per_batch, rows)

    @cached_property
    def lengths(self) -> tuple[int, ...]:
        return tuple(len(row) for row in self.ids)

    def batch(self, part: Ids) -> Batch:
        ids, mask = pad([self.ids[i] for i in part], self.fill, 8)
        places = self.places[part] + np.arange(len(part)) * ids.shape[1]
        targets = {"places": places, "label": self.labels[part], "words": self.words}
        inputs = {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}
        return Batch(inputs, {name: torch.from_numpy(array) for name, array in targets.items()}, {"class": len(part)})
