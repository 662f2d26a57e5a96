"""A crew of worker processes that run one recipe after the other. Which recipes, and what their scores mean, the study says.

Each worker lives through many trials, so torch is loaded once for each worker and not for each trial. A worker that dies (killed, out of
memory) fails its trial; another takes its place. One thread drives each worker; what the study is asked goes through one lock, so a
study needs no lock of its own.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sapwood.errors import SapwoodError
from sapwood.runs.machine import cores
from sapwood.runs.monitor import StopFlag


@dataclass(frozen=True)
class Order:
    """One recipe to run. `recipe` is YAML; `watch` (step, metric) tells scores while training; `name` is the study's own for it."""

    name: Any
    recipe: str
    file: str
    workspace: Path
    watch: tuple[str, str] = ("", "")


@dataclass(frozen=True)
class Ended:
    """How an order ended: done, pruned, interrupted or failed, with the run's id."""

    state: str
    run: str = ""
    error: str = ""

    def blame(self, what: str, otherwise: str) -> SapwoodError:
        """An error that ends the study: `what` failed, with the order's own reason and advice, or `otherwise`."""
        reason, _, advice = self.error.partition("\n  next: ")
        return SapwoodError(f"{what}: {reason}", advice or otherwise)


@dataclass(frozen=True)
class Calls:
    """What the crew asks the study, one call at a time: what next (None: nothing more), whether to go on after a score, and what is told."""

    next: Callable[[], Order | None]
    ended: Callable[[Order, Ended], None]
    score: Callable[[Order, int, float], bool] = lambda order, at, value: True
    step: Callable[[Order, str, str], None] = lambda order, step, state: None


@dataclass
class Crew:
    """`size` workers on the store at `root`. `work` returns when there is nothing more to do, or `stop` was set and all have saved."""

    root: Path
    size: int
    stop: StopFlag
    log: Path
    """Where the workers' standard error goes."""
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _living: set[subprocess.Popen[str]] = field(default_factory=set)
    _faults: list[BaseException] = field(default_factory=list)

    def work(self, calls: Calls) -> None:
        """Run every order that `calls.next` gives. Raises what a call raised."""
        threads = [threading.Thread(target=self._serve, args=(calls,), daemon=True) for _ in range(self.size)]
        for thread in threads:
            thread.start()
        told = False
        while any(thread.is_alive() for thread in threads):
            for thread in threads:
                thread.join(timeout=0.1)
            if (self.stop.is_set() or self._faults) and not told:
                told = True
                with self._lock:
                    for process in self._living:
                        process.send_signal(signal.SIGTERM)
        if self._faults:
            raise self._faults[0]

    def _serve(self, calls: Calls) -> None:
        """The life of one thread: orders to a worker, one after the other."""
        process: subprocess.Popen[str] | None = None
        try:
            while not self.stop.is_set() and not self._faults:
                with self._lock:
                    order = calls.next()
                if order is None:
                    break
                process = process if process is not None and process.poll() is None else self._start()
                ended = self._follow(process, order, calls)
                with self._lock:
                    calls.ended(order, ended)
        except BaseException as fault:  # an error in a thread is told by the thread that waits
            self._faults.append(fault)
        finally:
            if process is not None:
                self._end(process)

    def _start(self) -> subprocess.Popen[str]:
        """A worker in a session of its own: Ctrl-C reaches the study alone, which then asks each worker to save."""
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        environment["OMP_NUM_THREADS"] = os.environ.get("OMP_NUM_THREADS") or str(max(1, cores() // self.size))
        with self.log.open("a", encoding="utf-8") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", "sapwood.runs.studies.trial", str(self.root)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                encoding="utf-8",
                env=environment,
                start_new_session=True,
            )
        with self._lock:
            self._living.add(process)
        return process

    def _follow(self, process: subprocess.Popen[str], order: Order, calls: Calls) -> Ended:
        body = {"recipe": order.recipe, "file": order.file, "workspace": str(order.workspace), "watch": list(order.watch)}
        if not _send(process, body):
            return Ended("failed", error=f"the worker ended before it began ({_last_words(self.log)})")
        assert process.stdout is not None
        for line in process.stdout:
            told = json.loads(line)
            if told["type"] == "end":
                return Ended(told["state"], told["run"], told["error"])
            with self._lock:
                if told["type"] == "score":
                    _send(process, "go" if calls.score(order, told["at"], told["value"]) else "prune")
                else:
                    calls.step(order, told["step"], told["state"])
        code = process.wait()
        how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
        return Ended("failed", error=f"its worker {how} ({_last_words(self.log)})")

    def _end(self, process: subprocess.Popen[str]) -> None:
        assert process.stdin is not None
        with self._lock:
            self._living.discard(process)
        try:
            process.stdin.close()
        except BrokenPipeError:
            pass
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _send(process: subprocess.Popen[str], body: Any) -> bool:
    assert process.stdin is not None
    try:
        process.stdin.write(json.dumps(body, ensure_ascii=False) + "\n")
        process.stdin.flush()
    except BrokenPipeError:
        return False
    return True


def _last_words(log: Path) -> str:
    lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()] if log.exists() else []
    return lines[-1][:200] if lines else "it said nothing"
