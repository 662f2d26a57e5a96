"""Averages of the weights over training, which are judged and kept in place of the last ones. Extras of the loop."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor


class Average:
    """mean <- mean + share (w - mean) after each step from `start` on, where `share` is a function of the number of steps averaged so far,
    this one counted (from 1). The mean is in fp32 and part of each checkpoint."""

    def __init__(self, kind: str, decay: float, start: int) -> None:
        """`ema`: share 1 - min(decay, (1 + n) / (10 + n)), so that a short training is not held by its first weights. `tail`: share 1 / n,
        the plain mean (Izmailov et al. 2018)."""
        self.kind, self.decay, self.start = kind, decay, start
        self.mean: dict[str, Tensor] = {}
        self.count = 0

    @torch.no_grad()
    def moved(self, model: Any, step: int) -> None:
        if step < self.start:
            return
        self.count += 1
        n = self.count
        share = 1 / n if self.kind == "tail" or n == 1 else 1 - min(self.decay, (1 + n) / (10 + n))
        for name, p in _trained(model):
            if name in self.mean:
                self.mean[name] += share * (p.float() - self.mean[name])
            else:
                self.mean[name] = p.detach().float().clone()

    @contextmanager
    def judged(self, model: Any) -> Iterator[None]:
        own = {name: p.detach().clone() for name, p in _trained(model)} if self.mean else {}
        self._put(model, self.mean)
        try:
            yield
        finally:
            self._put(model, own)

    @torch.no_grad()
    def _put(self, model: Any, weights: Mapping[str, Tensor]) -> None:
        if weights:
            for name, p in _trained(model):
                p.copy_(weights[name])

    def state(self) -> dict[str, Tensor]:
        return {"count": torch.tensor(self.count), **{f"mean|{name}": t for name, t in self.mean.items()}}

    def load(self, state: Mapping[str, Tensor]) -> None:
        self.count = int(state["count"])
        self.mean = {name.removeprefix("mean|"): t.clone() for name, t in state.items() if name != "count"}


def _trained(model: Any) -> list[tuple[str, Any]]:
    return [(name, p) for name, p in model.named_parameters() if p.requires_grad]
