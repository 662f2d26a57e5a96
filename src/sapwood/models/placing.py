"""Where a model computes: on the CPU, or on a CUDA GPU of this machine while it trains.

Training moves the model there and brings it home again, so that all that reads or writes models knows one place only. What it is judged by
while it trains runs where it is.
What it does NOT do: choose a GPU by itself. It is asked for with `resources: {device: cuda}`, since this was tried on an emulated device
and on no real one: it finds a tensor that was left behind, and says nothing about speed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sapwood.errors import InputError
from sapwood.models import apart

CUDA = "cuda"
ON_CPU = frozenset({"eager", apart.NAME})
"""Attentions that are chosen for the CPU; a GPU has fused ones that are fast in bf16 too."""


def named(name: str) -> torch.device:
    """The device of that name; with several processes each has the GPU of its own number. `InputError` where this machine has none."""
    if name != CUDA:
        return torch.device(name)
    number = int(os.environ.get("LOCAL_RANK", "0"))
    if why := missing(name, number + 1):
        raise InputError(why, "leave resources.device out, or ask for as many processes as there are GPUs")
    return torch.device(CUDA, number)


def missing(name: str, processes: int = 1) -> str:
    """Why that many processes cannot train on the device; empty where they can."""
    if name != CUDA:
        return ""
    there = torch.cuda.device_count()
    if there:
        return "" if there >= processes else f"resources.processes is {processes}, and this machine has {there} CUDA GPU{'s' * (there > 1)}"
    build = "" if torch.version.cuda else f"; this torch ({torch.__version__}) is built without CUDA"
    return f"resources.device is cuda, and torch finds no CUDA GPU{build}"


@contextmanager
def placed(model: Any, device: torch.device) -> Iterator[None]:
    """Inside, the model lies on the device; after, on the CPU. Weights keep their identity, so optimisers follow."""
    if device.type == "cpu":
        yield
        return
    if device.type == CUDA:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it deterministic products are refused
        torch.cuda.set_device(device)
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    config, before = inner.config, inner.config._attn_implementation
    if before in ON_CPU and getattr(inner, "_supports_sdpa", False):
        config._attn_implementation = "sdpa"
    model.to(device)
    try:
        yield
    finally:
        model.to("cpu")
        config._attn_implementation = before


def of(model: Any) -> torch.device:
    """Where the model lies."""
    device: torch.device = next(model.parameters()).device
    return device


def arithmetic(model: Any, precision: str) -> Any:
    """Autocast to bf16 where the model lies; nothing with another precision."""
    return torch.autocast(of(model).type, dtype=torch.bfloat16, enabled=precision == "bf16")


def given(model: Any, *arrays: np.ndarray) -> tuple[Tensor, ...]:
    """The arrays as tensors that lie where the model does."""
    return tuple(torch.from_numpy(array).to(of(model)) for array in arrays)
