"""The contract of a tracker, and the monitor that feeds them.

A tracker gets numbers, names of steps and the filled recipe; never a text of the corpus. None is on by default. A tracker that fails is
told of once and left out from then on: training does not stop for it.
"""

from __future__ import annotations

import math
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from sapwood import plugins
from sapwood import recipe as recipes
from sapwood.errors import Interrupted
from sapwood.recipe import Recipe
from sapwood.stage import Event, Meter, Monitor


@dataclass(frozen=True)
class Tracked:
    """The run that is tracked: its id, the recipe's name, the filled recipe, and a folder of its own for files."""

    run: str
    name: str
    recipe: Mapping[str, Any]
    folder: Path


class Tracker(ABC):
    """One destination. Made without arguments; `check` says what is missing before the run begins."""

    def check(self) -> None:  # noqa: B027  (most that need no package have nothing to check)
        """Raises `MissingExtra` where its package is not installed."""

    @abstractmethod
    def start(self, tracked: Tracked) -> str:
        """The run begins; where it can be seen."""

    @abstractmethod
    def metrics(self, step: str, number: int, values: Mapping[str, float]) -> None:
        """Values of the recipe's `step` at its optimiser step `number`; names are as the run logs them."""

    @abstractmethod
    def finish(self, status: str) -> None:
        """The run ended: done, failed or interrupted."""


def chosen(names: Sequence[str]) -> list[Tracker]:
    """The trackers of these names, checked. Raises `InputError` for an unknown name, `MissingExtra` for a missing package."""
    found: list[Tracker] = [plugins.load("trackers", name)() for name in dict.fromkeys(names)]
    for tracker in found:
        tracker.check()
    return found


class TrackingMonitor:
    """A monitor that also tells trackers. It wraps the one that shows and keeps events."""

    def __init__(self, inner: Monitor, trackers: Sequence[Tracker], tracked: Tracked, out: TextIO | None = None) -> None:
        self.inner, self.out = inner, out or sys.stderr
        self.trackers = list(trackers)
        self.calls: dict[str, int] = {}
        for tracker in list(self.trackers):
            if where := self._ask(tracker, "start", tracked):
                print(f"{_name(tracker)}: {where}", file=self.out)

    def emit(self, event: Event) -> None:
        self.inner.emit(event)
        if event.type != "metric":
            return
        self.calls[event.step] = self.calls.get(event.step, 0) + 1
        number = event.data.get("step", self.calls[event.step])
        values = {
            name: float(value)
            for name, value in event.data.items()
            if name != "step" and isinstance(value, int | float) and math.isfinite(value)
        }
        for tracker in list(self.trackers):
            self._ask(tracker, "metrics", event.step, int(number), values)

    def meter(self, label: str, total: float, unit: str) -> AbstractContextManager[Meter]:
        return self.inner.meter(label, total, unit)

    def stopping(self) -> bool:
        return self.inner.stopping()

    def finish(self, status: str) -> None:
        for tracker in list(self.trackers):
            self._ask(tracker, "finish", status)

    def _ask(self, tracker: Tracker, method: str, *arguments: Any) -> Any:
        """Call a tracker. What it raises, whatever it is, is said once and it is asked nothing more."""
        try:
            return getattr(tracker, method)(*arguments)
        except Exception as fault:
            self.trackers.remove(tracker)
            first = (str(fault) or type(fault).__name__).splitlines()[0]
            print(f"{_name(tracker)}: failed and is left out from here on, the run goes on ({first[:160]})", file=self.out)
            return None


@contextmanager
def tracking(monitor: Monitor, trackers: Sequence[Tracker], recipe: Recipe, run: str, folder: Path) -> Iterator[Monitor]:
    """The monitor to run with; tells the trackers at the end how the run ended. Without trackers it is `monitor` itself."""
    if not trackers:
        yield monitor
        return
    wrapped, status = TrackingMonitor(monitor, trackers, Tracked(run, recipe.name, recipes.filled(recipe), folder)), "failed"
    try:
        yield wrapped
        status = "done"
    except (Interrupted, KeyboardInterrupt):
        status = "interrupted"
        raise
    finally:
        wrapped.finish(status)


def _name(tracker: Tracker) -> str:
    return type(tracker).__name__
