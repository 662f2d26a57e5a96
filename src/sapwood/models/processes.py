"""One training in several processes: who reads which micro-batch, and how gradients and counts are added.

Three ways: `copies`, where each process has the whole model; `shards` and `tensor`, where each has a part of it (`spreading`).
Every process makes the same micro-batches, since they are f(seed, epoch, index), and takes its share of them; gradients are ADDED, not
averaged, because the loop has divided by the units of the whole step. So the number of processes changes neither loss nor
gradient, but for the order in which numbers are added. What dropout draws does change with it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import distributed

from sapwood.models.objectives.terms import Batch

Way = Literal["copies", "shards", "tensor"]


@dataclass(frozen=True)
class Team:
    """This process is number `rank` of `size`. With `size` 1 nothing is sent."""

    rank: int = 0
    size: int = 1
    way: Way = "copies"

    def share(self, micro: list[Batch]) -> list[tuple[Batch, bool]]:
        """The micro-batches of this process, and whether they count. Shards need one another in each pass, so there a process that
        has none left takes one that does not count; tensor parallel processes compute each batch together. Of a batch whose examples
        are compared with one another each copy takes a part, if there is one for each."""
        if self.way == "tensor":
            return [(batch, True) for batch in micro]
        if self.way == "copies" and all(batch.part and min(batch.trained.values()) >= self.size for batch in micro):
            return [(batch.parted(self.rank, self.size), True) for batch in micro]
        mine = [(batch, True) for batch in micro[self.rank :: self.size]]
        if self.way == "shards":
            mine += [(micro[0], False)] * (-(-len(micro) // self.size) - len(mine))
        return mine

    def reduce(self, model: Any) -> None:
        """Add the gradients of all processes, in one message. A weight that no process used keeps no gradient. A model that is spread
        has done so on its way back."""
        if self.size == 1 or self.way != "copies":
            return
        trained = [p for p in model.parameters() if p.requires_grad]
        used = torch.tensor([p.grad is not None for p in trained], dtype=torch.uint8)
        distributed.all_reduce(used, distributed.ReduceOp.MAX)
        moved = [p for p, by_any in zip(trained, used.tolist(), strict=True) if by_any]
        flat = torch.cat([(p.grad if p.grad is not None else torch.zeros_like(p)).flatten() for p in moved])
        distributed.all_reduce(flat)
        for p, part in zip(moved, flat.split([p.numel() for p in moved]), strict=True):
            p.grad = part.view_as(p)

    def together(self, own: Any) -> Any:
        """Rows that each process made some of, the others 0, added over all processes."""
        whole = own.detach().clone()
        distributed.all_reduce(whole)
        return whole

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
        than the step. Tensor parallel processes share their batch, and so what is dropped of it."""
        if self.size > 1:
            rank = 0 if self.way == "tensor" else self.rank
            torch.manual_seed(int(np.random.SeedSequence([seed, step, rank]).generate_state(1, np.uint64)[0] >> np.uint64(1)))

    def added(self, sums: dict[str, list[Any]]) -> dict[str, list[float]]:
        """(value, units) added over all processes; `loss` is one step's, however many took part."""
        if self.size == 1 or self.way == "tensor":
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
        """Scale the gradients to a norm of at most `largest`; the norm before. Those that are spread and those that are whole are two
        groups: torch takes no list of both."""
        groups = [[p for p in parameters if _spread(p) == spread] for spread in (False, True)]
        norms = [_plain(torch.nn.utils.get_total_norm([p.grad for p in group])) for group in groups if group]
        norm = norms[0] if len(norms) == 1 else torch.stack(norms).norm()
        if norm > largest:  # else every gradient would be read and written once more, to be multiplied with 1
            for group in groups:
                torch.nn.utils.clip_grads_with_norm_(group, largest, norm)
        return float(norm)


def _spread(p: Any) -> bool:
    return hasattr(p, "full_tensor")


def _plain(norm: Any) -> Any:
    return norm.full_tensor() if _spread(norm) else norm


ALONE = Team()
_joined: ContextVar[Team] = ContextVar("team", default=ALONE)


def present() -> Team:
    """The team that this process has joined; `ALONE` otherwise."""
    return _joined.get()


@contextmanager
def joined(way: Way = "copies", device: str = "cpu") -> Iterator[Team]:
    """The team that torch's launcher made (`python -m torch.distributed.run --nproc-per-node 2 ...`), over gloo, and between GPUs over nccl;
    `ALONE` without it."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield ALONE
        return
    distributed.init_process_group("gloo" if device == "cpu" else "cpu:gloo,cuda:nccl")
    token = _joined.set(Team(distributed.get_rank(), distributed.get_world_size(), way))
    try:
        yield _joined.get()
    finally:
        _joined.reset(token)
        distributed.destroy_process_group()
