"""One training in several processes: who reads which micro-batch, and how gradients and counts are added.

Every process makes the same micro-batches, since they are f(seed, epoch, index), and takes its share of them; gradients are ADDED, not
averaged, because the loop has divided by the units of the whole step. So the number of processes changes neither loss nor
gradient, but for the order in which numbers are added. What dropout draws does change with it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
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
        used = torch.tensor([p.grad is not None for p in trained], dtype=torch.uint8)
        distributed.all_reduce(used, distributed.ReduceOp.MAX)
        moved = [p for p, by_any in zip(trained, used.tolist(), strict=True) if by_any]
        flat = torch.cat([(p.grad if p.grad is not None else torch.zeros_like(p)).flatten() for p in moved])
        distributed.all_reduce(flat)
        for p, part in zip(moved, flat.split([p.numel() for p in moved]), strict=True):
            p.grad = part.view_as(p)

    def agreed(self, wish: bool) -> bool:
        """Whether any process wishes it: all stop after the same step."""
        if self.size == 1:
            return wish
        said = torch.tensor([wish], dtype=torch.uint8)
        distributed.all_reduce(said, distributed.ReduceOp.MAX)
        return bool(said.item())

    def wait(self) -> None:
        """Until all are here: before one reads what the first has written."""
        if self.size > 1:
            distributed.barrier()

    def reseed(self, seed: int, step: int) -> None:
        """With several processes, each draws its dropout from (seed, step, rank): no two draw the same, and a resume needs no more
        than the step."""
        if self.size > 1:
            torch.manual_seed(int(np.random.SeedSequence([seed, step, self.rank]).generate_state(1, np.uint64)[0] >> np.uint64(1)))

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
        norm = torch.nn.utils.get_total_norm([p.grad for p in parameters])
        if norm > largest:  # else every gradient would be read and written once more, to be multiplied with 1
            torch.nn.utils.clip_grads_with_norm_(parameters, largest, norm)
        return float(norm)


ALONE = Team()


def present() -> Team:
    """The team that this process has joined; `ALONE` otherwise."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return ALONE
    return Team(distributed.get_rank(), distributed.get_world_size())


@contextmanager
def joined() -> Iterator[Team]:
    """The team that torch's launcher made (`python -m torch.distributed.run --nproc-per-node 2 ...`), over gloo; `ALONE` without it."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield ALONE
        return
    distributed.init_process_group("gloo")
    try:
        yield present()
    finally:
        distributed.destroy_process_group()
