"""The contract of an objective: a function (model, batch) -> `Terms`.

A term is given as a SUM over its trained units (tokens or examples) and their count. The loop divides by the count of the
whole step, over all micro-batches and processes, and adds the terms, so that neither micro-batches nor padding change loss
or gradient. A wrapper (a penalty, a perturbation) adds what it has to the sum of a term of the objective that it wraps, in
the same unit, and tells its own part in `logs`; so it needs no count of its own.
What is NOT additive: objectives that compare the examples of a batch with one another (in-batch negatives). Their source
gives a whole step as one batch, and that size is a parameter, not a detail. Several processes take such a batch together, each a `part`
of its examples.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """`inputs` go to the model, `targets` to the objective. `trained` is the count that each term will have, known before the
    forward pass, because a step is normalised over all of its micro-batches.

    `part` is (0, 1) where examples are compared with one another, and (rank, processes) once each process has its part of them: every
    process-th from the rank-th. `trained` counts those. None: the examples have nothing to do with one another."""

    inputs: Mapping[str, Tensor]
    targets: Mapping[str, Tensor]
    trained: Mapping[str, int]
    part: tuple[int, int] | None = None

    def to(self, device: torch.device) -> Batch:
        """The batch on that device; itself where it lies there."""
        if device.type == "cpu":
            return self
        moved = [{name: t.to(device, non_blocking=True) for name, t in part.items()} for part in (self.inputs, self.targets)]
        return replace(self, inputs=moved[0], targets=moved[1])

    def parted(self, rank: int, size: int) -> Batch:
        """What process `rank` of `size` trains of a batch whose examples are compared with one another: the same tensors, its own counts."""
        return replace(self, trained={name: len(range(rank, count, size)) for name, count in self.trained.items()}, part=(rank, size))


@dataclass(frozen=True)
class Terms:
    """`sum` and `count` of each loss term by name; `logs` are sums over units of their own (such as how many were right)."""

    sum: Mapping[str, Tensor]
    count: Mapping[str, int]
    logs: Mapping[str, tuple[float, int]]


Objective = Callable[[Any, Batch], Terms]


def right(logits: Tensor, truth: Tensor) -> tuple[float, int]:
    """How many rows have their highest logit at the truth, and how many there are."""
    with torch.no_grad():
        return float((logits.argmax(-1) == truth).sum()), len(truth)
