"""Token rows of which a part is to be written, for decoders: several in one row of a batch, or each in its own.

Packed rows leave positions that begin again at 0 with each example; transformers takes that, where no mask and no cache is given, for a
mask in blocks, so that no example sees another. Padding is a block of its own. Packed equals unpacked, token by token.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
import torch

from sapwood.models.objectives.terms import Batch
from sapwood.models.sources.source import by_length, shuffled
from sapwood.models.texts import Ids, batches, pad

WIDTH = 1024
"""Tokens of a packed row, unless one example is longer."""
Example = tuple[Ids, np.ndarray]
"""(ids, which of them are to be written). The first is never written, since nothing foretells it."""


@dataclass(frozen=True)
class Packed:
    """A step has `rows` examples. With `packed` they fill rows of at most `width` tokens, else each has a padded row of its own."""

    ahead: ClassVar[bool] = True
    examples: Sequence[Example]
    rows: int
    fill: int = 0
    packed: bool = True
    width: int = WIDTH
    tokens_per_batch: int = 4096

    def steps(self, seed: int, epoch: int) -> int:
        return -(-len(self.examples) // self.rows)

    def at(self, seed: int, epoch: int, index: int) -> list[Batch]:
        return [batch for batch, _ in self.cut(self._chosen(seed, epoch, index))]

    def cut(self, chosen: Ids) -> list[tuple[Batch, list[int]]]:
        """Batches of these examples, each with the numbers of its examples in the order of their trained tokens."""
        if not self.packed:
            return [(self._padded(part), [int(i) for i in part]) for part in batches(self.lengths, self.tokens_per_batch, chosen)]
        bins = pack([int(i) for i in chosen], self.lengths, self.width)
        sizes = [sum(self.lengths[i] for i in one) for one in bins]
        parts = [[bins[j] for j in part] for part in batches(sizes, max(self.tokens_per_batch, self.width))]
        return [(self._packed(part), [i for one in part for i in one]) for part in parts]

    def _chosen(self, seed: int, epoch: int, index: int) -> Ids:
        if not self.packed:
            return by_length(self.lengths, self.rows, seed, epoch)[index]
        return shuffled(len(self.examples), seed, epoch)[index * self.rows : (index + 1) * self.rows]

    @cached_property
    def lengths(self) -> tuple[int, ...]:
        return tuple(len(ids) for ids, _ in self.examples)

    def _packed(self, part: Sequence[Sequence[int]]) -> Batch:
        rows = [np.concatenate([self.examples[i][0] for i in one]) for one in part]
        marks = [np.concatenate([_written(self.examples[i]) for i in one]) for one in part]
        places = [np.concatenate([np.arange(self.lengths[i]) for i in one]) for one in part]
        ids, mask = pad(rows, self.fill)
        positions = np.zeros_like(ids)
        for number, place in enumerate(places):
            positions[number, : len(place)] = place
            positions[number, len(place) :] = np.arange(ids.shape[1] - len(place))
        return _batch({"input_ids": ids, "position_ids": positions}, ids, pad(marks)[0] * mask)

    def _padded(self, part: Ids) -> Batch:
        ids, mask = pad([self.examples[i][0] for i in part], self.fill)
        marks, _ = pad([_written(self.examples[i]) for i in part])
        return _batch({"input_ids": ids, "attention_mask": mask}, ids, marks)


def pack(chosen: Sequence[int], lengths: Sequence[int], width: int) -> list[list[int]]:
    """Rows of at most `width` tokens: the longest first, each into the first row with room. An example longer than that is alone."""
    bins: list[list[int]] = []
    room: list[int] = []
    for i in sorted(chosen, key=lambda i: (-lengths[i], i)):
        place = next((j for j, left in enumerate(room) if left >= lengths[i]), -1)
        if place < 0:
            bins.append([i])
            room.append(width - lengths[i])
        else:
            bins[place].append(i)
            room[place] -= lengths[i]
    return bins


def _written(example: Example) -> Ids:
    marks = example[1].astype(np.int64)
    marks[:1] = 0
    return marks


def _batch(inputs: dict[str, Ids], ids: Ids, marks: Ids) -> Batch:
    """The state before each written token foretells it."""
    at = np.flatnonzero(marks.ravel())
    targets = {"positions": torch.from_numpy(at - 1), "tokens": torch.from_numpy(ids.ravel()[at])}
    given = {name: torch.from_numpy(value) for name, value in inputs.items()}
    return Batch(given, targets, {"token": len(at)})
