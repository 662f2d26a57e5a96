"""Where events and progress go: a terminal with bars, plain lines where there is no terminal, JSON lines for scripts.

Every monitor also keeps the run's events in `events.jsonl`, one JSON object a line, so that a run can be read later.
"""

from __future__ import annotations

import json
import math
import statistics
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from sapwood.stage import Event, Meter

PLAIN_EVERY_S = 10.0
BLOCKS = "▁▂▃▄▅▆▇█"


class StopFlag:
    """Set once by a signal; read by long loops."""

    def __init__(self) -> None:
        self._set = threading.Event()

    def set(self) -> None:
        self._set.set()

    def is_set(self) -> bool:
        return self._set.is_set()


class EventLog:
    """Append-only events of one run. Lines are flushed as they come: a killed run keeps what happened."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._stream: TextIO = path.open("a", encoding="utf-8")

    def write(self, event: Event) -> None:
        line = {"t": round(time.time(), 3), "type": event.type, "step": event.step, "data": event.data}
        self._stream.write(json.dumps(line, ensure_ascii=False) + "\n")
        self._stream.flush()

    def close(self) -> None:
        self._stream.close()


class _Silent:
    def advance(self, amount: float = 1) -> None:
        pass


class QuietMonitor:
    """Keeps events, shows nothing. `events` holds them in memory for tests and callers."""

    def __init__(self, log: EventLog | None = None, stop: StopFlag | None = None) -> None:
        self.log, self.stop = log, stop or StopFlag()
        self.events: list[Event] = []

    def emit(self, event: Event) -> None:
        self.events.append(event)
        if self.log:
            self.log.write(event)

    @contextmanager
    def meter(self, label: str, total: float, unit: str) -> Iterator[Meter]:
        yield _Silent()

    def stopping(self) -> bool:
        return self.stop.is_set()


class JsonMonitor(QuietMonitor):
    """Every event but metrics as one JSON line on standard output."""

    def emit(self, event: Event) -> None:
        super().emit(event)
        if event.type != "metric":
            print(json.dumps({"type": event.type, "step": event.step, **event.data}, ensure_ascii=False), flush=True)


class _Pace:
    """How much is done, and how fast. The first call starts the clock: a training that goes on tells first what was done before."""

    def __init__(self) -> None:
        self.done, self._before, self._began = 0.0, 0.0, 0.0

    def advance(self, amount: float) -> None:
        self.done += amount
        if not self._began:
            self._before, self._began = self.done, time.monotonic()

    @property
    def rate(self) -> float:
        """Units a second; 0 while nothing is known."""
        took = time.monotonic() - self._began
        return (self.done - self._before) / took if took > 1e-3 else 0.0

    def told(self) -> str:
        return f"{self.rate:,.0f}" if self.rate >= 10 else f"{self.rate:.1f}"


class _PlainMeter:
    """Progress as a line every ten seconds, for logs."""

    def __init__(self, label: str, total: float, unit: str, out: TextIO) -> None:
        self.label, self.total, self.unit, self.out = label, total, unit, out
        self.loss = ""
        self.pace, self.last = _Pace(), time.monotonic()

    def advance(self, amount: float = 1) -> None:
        self.pace.advance(amount)
        now, done, rate = time.monotonic(), self.pace.done, self.pace.rate
        if now - self.last >= PLAIN_EVERY_S and done:
            self.last = now
            pace = f", {self.pace.told()}/s, {max(0.0, (self.total - done) / rate):.0f} s left" if rate else ""
            print(f"    {self.label}: {done:,.0f}/{self.total:,.0f} {self.unit}{pace}{self.loss}", file=self.out, flush=True)

    def curve(self, losses: Sequence[float]) -> None:
        """The loss at the end of the next line."""
        self.loss = f", loss {losses[-1]:.3f}"


class TerminalMonitor(QuietMonitor):
    """One line a step; a live bar with rate and time left on a terminal, and a line every ten seconds elsewhere."""

    def __init__(self, log: EventLog | None = None, stop: StopFlag | None = None) -> None:
        super().__init__(log, stop)
        from rich.console import Console

        self.console = Console(file=sys.stderr, highlight=False)
        self.losses: dict[str, list[float]] = {}
        """Logged losses by step: the curve beside the bar."""
        self.bar: _BarMeter | _PlainMeter | None = None

    def emit(self, event: Event) -> None:
        super().emit(event)
        if event.type == "step":
            self._step(event.step, event.data)
        elif event.type == "say":
            from rich.markup import escape

            self.console.print(f"    [dim]{escape(event.data['text'])}[/dim]")
        elif event.type == "metric" and "loss" in event.data:
            points = self.losses.setdefault(event.step, [])
            points.append(float(event.data["loss"]))
            if self.bar:
                self.bar.curve(points)

    def _step(self, name: str, data: dict[str, Any]) -> None:
        from rich.markup import escape

        state = data["state"]
        marks = {"running": "[cyan]>[/cyan]", "reused": "[green]=[/green]", "already done": "[green]=[/green]", "failed": "[red]x[/red]"}
        tail = f"{data['seconds']:.1f} s" if state == "done" else "" if state == "running" else state
        note = data.get("note", "")
        self.console.print(
            f"{'  ' * int(data.get('depth', 0))}{marks.get(state, '[green]+[/green]')} {name:<16} {tail}{'  ' if tail else ''}[dim]{escape(note)}[/dim]".rstrip()
        )

    @contextmanager
    def meter(self, label: str, total: float, unit: str) -> Iterator[Meter]:
        if not self.console.is_terminal:
            self.bar = _PlainMeter(label, total, unit, sys.stderr)
            yield self.bar
            self.bar = None
            return
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

        columns = [
            TextColumn("    {task.description}"),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[curve]}"),
        ]
        with Progress(*columns, console=self.console, transient=True, refresh_per_second=4) as progress:
            task = progress.add_task(label, total=total, rate="", curve="")
            self.bar = _BarMeter(progress, task, unit)
            yield self.bar
            self.bar = None


class _BarMeter:
    def __init__(self, progress: Any, task: Any, unit: str) -> None:
        self.progress, self.task, self.unit, self.pace = progress, task, unit, _Pace()

    def advance(self, amount: float = 1) -> None:
        self.pace.advance(amount)
        self.progress.update(self.task, advance=amount, rate=f"{self.pace.told()} {self.unit}/s" if self.pace.rate else "")

    def curve(self, losses: Sequence[float]) -> None:
        """The losses so far, drawn beside the bar."""
        self.progress.update(self.task, curve=f"[dim]loss[/dim] {sparkline(losses)} {losses[-1]:.3f}")


def sparkline(values: Sequence[float], width: int = 12) -> str:
    """A curve in one line of `width` characters or fewer: the lowest value is the lowest block. Each block is a mean of as many values."""
    kept = [value for value in values if math.isfinite(value)]
    if not kept:
        return ""
    each = max(1, math.ceil(len(kept) / width))
    means = [statistics.fmean(kept[place : place + each]) for place in range(0, len(kept), each)]
    low, span = min(means), (max(means) - min(means)) or 1.0
    return "".join(BLOCKS[min(len(BLOCKS) - 1, int((mean - low) / span * len(BLOCKS)))] for mean in means)
