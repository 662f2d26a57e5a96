"""The contract of an objective: a function (model, batch) -> `Terms`.

A term is given as a SUM over its trained units (tokens or examples) and their count. The loop divides by the count of the
whole step, over all micro-batches and processes, and adds the terms, so that neither micro-batches nor padding change loss
or gradient. A wrapper (a penalty, a perturbation) adds what it has to the sum of a term of the objective that it wraps, in
the same unit, and tells its own part in `logs`; so it needs no count of its own.
What is NOT additive: objectives that compare the examples of a batch with one another (in-batch negatives). Their source
gives a whole step as one batch, and that size is a parameter, not a detail.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """`inputs` go to the model, `targets` to the objective. `trained` is the count that each term will have, known before the
    forward pass, because a step is normalised over all of its micro-batches."""

    inputs: Mapping[str, Tensor]
    targets: Mapping[str, Tensor]
    trained: Mapping[str, int]

    def to(self, device: torch.device) -> Batch:
        """The batch on that device; itself where it lies there."""
        if device.type == "cpu":
            return self
        moved = [{name: t.to(device, non_blocking=True) for name, t in part.items()} for part in (self.inputs, self.targets)]
        return Batch(moved[0], moved[1], self.trained)


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
