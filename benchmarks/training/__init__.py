"""The parts of `benchmarks/train.py`: ours and a peer train the same model on the same data, each run in a process of its own.

A part is a module here with four names:

    TOOLS: tuple[str, ...]                                  what is run; the first is "ours"
    def prepare(folder: Path, quick: bool) -> None          once, before the clock: texts, tokenizer, start model, into `folder`
    def work(folder: Path, tool: str, seed: int, quick: bool) -> dict[str, Any]      one measured run, in a process of its own
    def ratios(runs: dict[str, list[dict[str, Any]]]) -> dict[str, float | None]     JSON keys from all runs of each tool

`work` returns what `Clock` gives (`units`, `seconds`, `cpu_seconds` of training without the first steps), `loss`: the final
evaluation loss in fp32 on data that nobody trained on, `curve`: [[step, training loss], ...], and what else it wants kept.
The frame adds `seed` and `peak_mb` (largest resident size of that process, imports and all; so `work` opens
what `prepare` made and makes nothing big itself), runs the tools in turn (seed 0: a b c, seed 1: b c a, ...), and puts everything under `runs`.
`ratios` uses `speed_ratio`, `memory_ratio` and `equal_quality` from here. A tool that cannot be installed returns
{"failed": reason}; its ratios are None. `SEEDS` seeds in full, two with `--quick`.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from typing import Any

SEEDS = 3
WARM = 2
"""Steps before the clock starts: allocators, kernels and caches warm up in them."""

Runs = Mapping[str, Sequence[Mapping[str, Any]]]


class Clock:
    """Wall and CPU seconds of training. Call `step(units)` after each optimiser step; the first `WARM` only start the clock."""

    def __init__(self) -> None:
        self.steps = 0
        self.units = 0
        self.times: list[tuple[int, float, float]] = []
        self._at = (0.0, 0.0)

    def step(self, units: int) -> None:
        """One optimiser step over `units` tokens (without padding) or examples is done."""
        now = (time.perf_counter(), time.process_time())
        self.steps += 1
        if self.steps > WARM:
            self.times.append((units, now[0] - self._at[0], now[1] - self._at[1]))
        self._at = now

    def pause(self) -> None:
        """What happened since the last step (an evaluation, a save) is not training."""
        self._at = (time.perf_counter(), time.process_time())

    def told(self) -> dict[str, Any]:
        units, seconds, cpu = (sum(column) for column in zip(*self.times, strict=True))
        return {"units": units, "seconds": round(seconds, 3), "cpu_seconds": round(cpu, 3), "timed_steps": len(self.times)}


def speed(runs: Sequence[Mapping[str, Any]], clock: str = "seconds") -> float:
    """Units a second: the median over the runs."""
    return statistics.median(run["units"] / run[clock] for run in runs)


def speed_ratio(runs: Runs, peer: str) -> float | None:
    """How many times the peer's units a second: the median of the ratios, seed by seed, since neighbours come and go."""
    if not comparable(runs, peer):
        return None
    pairs = zip(runs["ours"], runs[peer], strict=True)
    return round(statistics.median((a["units"] / a["seconds"]) / (b["units"] / b["seconds"]) for a, b in pairs), 3)


def memory_ratio(runs: Runs, peer: str) -> float | None:
    """Our peak memory as a share of the peer's."""
    if not comparable(runs, peer):
        return None
    ours, theirs = (statistics.median(run["peak_mb"] for run in runs[name]) for name in ("ours", peer))
    return round(ours / theirs, 3)


def comparable(runs: Runs, peer: str) -> bool:
    return all(runs.get(name) and not any("failed" in run for run in runs[name]) for name in ("ours", peer))


def equal_quality(runs: Runs, peer: str) -> bool | None:
    """Whether our mean final loss is at most the peer's highest one: within the spread of its seeds, or better."""
    if not comparable(runs, peer):
        return None
    return statistics.fmean(run["loss"] for run in runs["ours"]) <= max(run["loss"] for run in runs[peer])
