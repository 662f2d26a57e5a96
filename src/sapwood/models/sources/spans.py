"""Windows of texts with a tag on tokens, or with the stretch that answers a question."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, NamedTuple

import numpy as np
import torch

from sapwood.models.objectives.terms import Batch
from sapwood.models.sources.source import by_length
from sapwood.models.texts import Ids, batches, pad


class Tagged(NamedTuple):
    """`ids` (tokens,); `places` (m,) tokens that teach, one at least, and the `tags` (m,) class number of each."""

    ids: Ids
    places: Ids
    tags: Ids


class Asked(NamedTuple):
    """`ids` (tokens,); `open` (tokens,) bool, where an answer may lie; `start` and `end` tokens of the answer, both included."""

    ids: Ids
    open: np.ndarray
    start: int
    end: int


class Taught(NamedTuple):
    """The targets of a batch, and its trained units by term."""

    targets: Mapping[str, np.ndarray]
    trained: Mapping[str, int]


@dataclass(frozen=True)
class Windows:
    """A step has `rows` windows of like length, in micro-batches of `tokens_per_batch` padded tokens. `teach(windows, width)` gives what
    a batch of these windows, padded to `width`, teaches."""

    ahead: ClassVar[bool] = True
    ids: Sequence[Ids]
    teach: Callable[[Ids, int], Taught]
    rows: int
    fill: int = 0
    tokens_per_batch: int = 8192
    multiple: int = 8

    def steps(self, seed: int, epoch: int) -> int:
        return -(-len(self.ids) // self.rows)

    def at(self, seed: int, epoch: int, index: int) -> list[Batch]:
        chosen = by_length(self.lengths, self.rows, seed, epoch)[index]
        return [self._batch(part) for part in batches(self.lengths, self.tokens_per_batch, chosen)]

    @cached_property
    def lengths(self) -> tuple[int, ...]:
        return tuple(len(one) for one in self.ids)

    def _batch(self, part: Ids) -> Batch:
        ids, mask = pad([self.ids[i] for i in part], self.fill, self.multiple)
        taught = self.teach(part, ids.shape[1])
        inputs = {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}
        return Batch(inputs, {name: torch.from_numpy(array) for name, array in taught.targets.items()}, taught.trained)


def tagged(windows: Sequence[Tagged], rows: int, fill: int) -> Windows:
    """Targets: `positions` (m,) flat indices into (rows x width), and their `tags` (m,)."""

    def teach(part: Ids, width: int) -> Taught:
        chosen = [windows[i] for i in part]
        positions = np.concatenate([one.places + row * width for row, one in enumerate(chosen)])
        return Taught({"positions": positions, "tags": np.concatenate([one.tags for one in chosen])}, {"tag": len(positions)})

    return Windows([one.ids for one in windows], teach, rows, fill)


def asked(windows: Sequence[Asked], rows: int, fill: int) -> Windows:
    """Targets: `open` (rows, width) bool, where an answer may lie, and `ends` (rows, 2), its first and last token."""

    def teach(part: Ids, width: int) -> Taught:
        chosen = [windows[i] for i in part]
        allowed = np.zeros((len(chosen), width), dtype=bool)
        for row, one in enumerate(chosen):
            allowed[row, : len(one.open)] = one.open
        ends = np.asarray([(one.start, one.end) for one in chosen], dtype=np.int64)
        return Taught({"open": allowed, "ends": ends}, {"span": len(chosen)})

    return Windows([one.ids for one in windows], teach, rows, fill)
