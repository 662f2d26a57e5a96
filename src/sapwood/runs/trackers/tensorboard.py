"""TensorBoard: event files in the run's folder; `tensorboard --logdir FOLDER` shows them."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from sapwood.errors import MissingExtra
from sapwood.runs.trackers.tracker import Tracked, Tracker


class TensorBoard(Tracker):
    """Scalars by `step/name`, and the recipe as text."""

    def check(self) -> None:
        if find_spec("tensorboard") is None:
            raise MissingExtra("tensorboard", "tensorboard", "the tracker tensorboard")

    def start(self, tracked: Tracked) -> str:
        import yaml
        from torch.utils.tensorboard import SummaryWriter

        self.writer: Any = SummaryWriter(str(tracked.folder / "tensorboard"), filename_suffix=f".{tracked.run}")
        shown = "".join(f"    {line}\n" for line in yaml.safe_dump(dict(tracked.recipe), sort_keys=False, allow_unicode=True).splitlines())
        self.writer.add_text("recipe", shown)
        return f"tensorboard --logdir {tracked.folder / 'tensorboard'}"

    def metrics(self, step: str, number: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self.writer.add_scalar(f"{step}/{name}", value, number)

    def finish(self, status: str) -> None:
        self.writer.close()
