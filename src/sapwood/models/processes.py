"""One training in several processes: who reads which micro-batch, and how gradients and counts are added.

Every process makes the same micro-batches, since they are f(seed, epoch, index), and takes its share of them; gradients are ADDED, not
averaged, because the loop has divided by the units of the whole step. So the number of processes changes neither loss nor
gradient, but for the order in which numbers are added.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import distributed

from sapwood.models.objectives.terms import Batch


@dataclass(frozen=True)
class Team:
    """This process is number `rank` of `size`. With `size` 1 nothing is sent."""

    rank: int = 0
    size: int = 1

    def share(self, micro: list[Batch]) -> list[Batch]:
        """The micro-batches of this process."""
        return micro[self.rank :: self.size]

    def reduce(self, model: Any) -> None:
        """Add the gradients of all processes, in one message. A weight that no process used keeps no gradient."""
        if self.size == 1:
            return
        trained = [p for p in model.parameters() if p.requires_grad]
        flat = torch.cat([(p.grad if p.grad is not None else torch.zeros_like(p)).flatten() for p in trained])
        distributed.all_reduce(flat)
        for p, part in zip(trained, flat.split([p.numel() for p in trained]), strict=True):
            p.grad = part.view_as(p)

    def added(self, sums: dict[str, list[Any]]) -> dict[str, list[float]]:
        """(value, units) added over all processes; `loss` is one step's, however many took part."""
        if self.size == 1:
            return sums
        gathered: list[Any] = [None] * self.size
        distributed.all_gather_object(gathered, sums)
        whole: dict[str, list[float]] = {}
        for part in gathered:
            for name, (value, units) in part.items():
                kept = whole.setdefault(name, [0.0, 0.0])
                kept[0], kept[1] = kept[0] + value, kept[1] + units
        return {**whole, "loss": [whole["loss"][0], 1.0]}

    def clip(self, parameters: Sequence[Any], largest: float) -> float:
        """Scale the gradients to a norm of at most `largest`; the norm before."""
        return float(torch.nn.utils.clip_grad_norm_(parameters, largest))


ALONE = Team()
