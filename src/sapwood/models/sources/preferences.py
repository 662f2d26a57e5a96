"""Pairs of replies to one prompt, of which one is preferred, with what the model before thought of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
import torch

from sapwood.models import replies
from sapwood.models.objectives.terms import Batch
from sapwood.models.replies import Reply
from sapwood.models.sources.source import by_length
from sapwood.models.texts import Ids, batches


@dataclass(frozen=True)
class Preferences:
    """A step has `rows` pairs of like length. `before` (n, 2): log-probabilities of chosen and rejected under the model before."""

    ahead: ClassVar[bool] = True
    pairs: Sequence[tuple[Reply, Reply]]
    before: np.ndarray
    rows: int
    both: bool = False
    start: int = 0
    fill: int = 0
    tokens_per_batch: int = 4096

    def steps(self, seed: int, epoch: int) -> int:
        return -(-len(self.pairs) // self.rows)

    def at(self, seed: int, epoch: int, index: int) -> list[Batch]:
        chosen = by_length(self.lengths, self.rows, seed, epoch)[index]
        return [self._batch(part) for part in batches(self.lengths, self.tokens_per_batch, chosen)]

    @cached_property
    def lengths(self) -> tuple[int, ...]:
        """Tokens of both rows of a pair, were each as long as the longer one."""
        return tuple(2 * max(len(reply.read) + len(reply.written) for reply in pair) for pair in self.pairs)

    def _batch(self, part: Ids) -> Batch:
        inputs, targets = replies.batch([reply for i in part for reply in self.pairs[i]], self.both, self.start, self.fill)
        before = torch.from_numpy(self.before[part].astype(np.float32))
        return Batch(inputs, {**targets, "before": before}, {"pairs": len(part)})
