"""Settle what `auto` and 0 mean on this machine, once. The precision is measured the first time and remembered by the store,
per processor, so that a resumed run computes as it began."""

from __future__ import annotations

import json
import os
from pathlib import Path

from sapwood.runs.machine import cores, cpu_model
from sapwood.stage import Resources
from sapwood.store.local import LocalStore

FILE = "precision.json"


def resources(asked: Resources, store: LocalStore) -> Resources:
    """The same resources without `auto` and without zeros."""
    available = cores()
    threads = asked.threads or _positive(os.environ.get("OMP_NUM_THREADS", "")) or available
    precision = asked.precision if asked.precision != "auto" else _precision(store.root / FILE)
    return asked.model_copy(update={"threads": threads, "workers": asked.workers or available, "precision": precision})


def _positive(text: str) -> int:
    return int(text) if text.isdigit() else 0


def _precision(file: Path) -> str:
    known: dict[str, str] = json.loads(file.read_text()) if file.exists() else {}
    cpu = cpu_model() or "unknown"
    if cpu not in known:
        from sapwood.models.predict import measure_precision

        known[cpu] = measure_precision()
        fresh = file.with_suffix(f".{os.getpid()}")
        fresh.write_text(json.dumps(known, sort_keys=True) + "\n")
        fresh.replace(file)
    return known[cpu]
