"""Exactness: deterministic algorithms, and every generator seeded and put back."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import numpy as np
import torch

CPU = torch.device("cpu")


def forked(device: torch.device) -> AbstractContextManager[None]:
    """The generators of torch, on the CPU and on the device, are put back after."""
    return torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])


@contextmanager
def deterministic(device: torch.device = CPU) -> Iterator[None]:
    """Deterministic algorithms inside; the generators of torch, Python and numpy are put back after. On a GPU torch warns where it has no
    such algorithm, instead of stopping."""
    python, numpy = random.getstate(), np.random.get_state()
    before, fill = torch.are_deterministic_algorithms_enabled(), torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    with forked(device):
        torch.use_deterministic_algorithms(True, warn_only=device.type != "cpu")
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)
            torch.use_deterministic_algorithms(before)
            torch.utils.deterministic.fill_uninitialized_memory = fill  # type: ignore[attr-defined]


def seed_all(seed: int) -> None:
    """Start the generators of torch, Python and numpy."""
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed % 2**32)
