"""Settle what `auto` and 0 mean on this machine, once. The precision is measured the first time and remembered by the store,
per processor, so that a resumed run computes as it began."""

from __future__ import annotations

import json
import os
from pathlib import Path

from sapwood.recipe import Recipe
from sapwood.runs.machine import cores, cpu_model
from sapwood.stage import Action, Resources, Stage
from sapwood.store.local import LocalStore

FILE = "precision.json"


def resources(recipe: Recipe, store: LocalStore) -> Resources:
    """The recipe's resources without zeros, and without `auto` where a step computes in a precision or an action may start such a step."""
    asked, needed = recipe.resources, any(step.is_action or _precise(step.params) for step in recipe.steps)
    available = cores()
    threads = asked.threads or _positive(os.environ.get("OMP_NUM_THREADS", "")) or available
    precision = _precision(store.root / FILE, asked.device) if needed and asked.precision == "auto" else asked.precision
    return asked.model_copy(update={"threads": threads, "workers": asked.workers or available, "precision": precision})


def _precise(params: Stage | Action) -> bool:
    return isinstance(params, Stage) and params.uses_precision


def _positive(text: str) -> int:
    return int(text) if text.isdigit() else 0


def _precision(file: Path, device: str) -> str:
    if device == "cuda":
        import torch

        return "bf16" if torch.cuda.is_available() and torch.cuda.is_bf16_supported() else "fp32"
    known: dict[str, str] = json.loads(file.read_text()) if file.exists() else {}
    cpu = cpu_model() or "unknown"
    if cpu not in known:
        from sapwood.models.predict import measure_precision

        known[cpu] = measure_precision()
        fresh = file.with_suffix(f".{os.getpid()}")
        fresh.write_text(json.dumps(known, sort_keys=True) + "\n")
        fresh.replace(file)
    return known[cpu]
