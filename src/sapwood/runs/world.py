"""What an action is given: the whole store with its records, not only artifacts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sapwood.artifact import Artifact
from sapwood.stage import Event, Monitor, Resources
from sapwood.store.local import LocalStore
from sapwood.store.records import Records

Made = Mapping[str, Mapping[str, Artifact]]
"""Outputs by step and port."""
RunRecipe = Callable[[Path, Mapping[str, Artifact]], Made]


@dataclass(frozen=True)
class World:
    """`run_recipe(file, inputs)` runs another recipe in this run and returns each step's outputs."""

    store: LocalStore
    workspace: Path
    step: str
    key: str
    run: str
    seed: int
    resources: Resources
    monitor: Monitor
    run_recipe: RunRecipe

    @property
    def records(self) -> Records:
        return self.store.records

    def path(self, artifact: Artifact) -> Path:
        return self.store.open(artifact)

    def say(self, text: str) -> None:
        self.monitor.emit(Event("say", self.step, {"text": text}))

    def log(self, **values: Any) -> None:
        self.monitor.emit(Event("metric", self.step, dict(values)))
