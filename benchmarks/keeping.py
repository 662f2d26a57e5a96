"""Append a benchmark's result to a file, with the machine and the commit it was measured on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sapwood.runs.machine import environment

ROOT = Path(__file__).resolve().parent.parent
FACTS = ("cpu", "cores", "memory", "commit", "python")


def keep(file: Path, found: dict[str, Any]) -> None:
    """One JSON line more."""
    machine = {key: value for key, value in environment(ROOT).items() if key in FACTS}
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps({**found, "machine": machine}) + "\n")
