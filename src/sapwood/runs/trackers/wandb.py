"""Weights & Biases: offline, unless `WANDB_MODE=online` is set. `wandb sync FOLDER` uploads an offline run when you want it to."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from sapwood.errors import MissingExtra
from sapwood.runs.trackers.tracker import Tracked, Tracker


class WandB(Tracker):
    """Metrics by `step/name`, each step with a counter of its own; the recipe as the run's configuration."""

    def check(self) -> None:
        if find_spec("wandb") is None:
            raise MissingExtra("wandb", "wandb", "the tracker wandb")

    def start(self, tracked: Tracked) -> str:
        import wandb

        mode: Any = os.environ.get("WANDB_MODE", "offline")
        settings = wandb.Settings(silent=True, console="off", save_code=False, disable_git=True, x_disable_stats=True, x_disable_meta=True)
        folder = str(tracked.folder)
        self.run: Any = wandb.init(
            project=tracked.name, name=tracked.run, dir=folder, config=dict(tracked.recipe), mode=mode, settings=settings
        )
        self.known: set[str] = set()
        return f"{mode}, in {self.run.dir}"

    def metrics(self, step: str, number: int, values: Mapping[str, float]) -> None:
        if step not in self.known:
            self.known.add(step)
            self.run.define_metric(f"{step}/step")
            self.run.define_metric(f"{step}/*", step_metric=f"{step}/step")
        self.run.log({f"{step}/step": number, **{f"{step}/{name}": value for name, value in values.items()}})

    def finish(self, status: str) -> None:
        self.run.summary["status"] = status
        self.run.finish(exit_code=0 if status == "done" else 1)
