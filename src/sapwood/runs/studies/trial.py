"""One worker of a study: takes recipes as JSON lines on standard input, runs them, and tells what happens on standard output.

    in    {"recipe", "file", "workspace", "watch": [step, metric]}       run this
          "go" or "prune"                                               the answer to a score
    out   {"type": "score", "at", "value"}                              waits for the answer
          {"type": "step", "step", "state"}
          {"type": "end", "state", "run", "error"}                      state: done, pruned, interrupted, failed

When its input ends, or on SIGTERM, it saves and stops: a study that was killed leaves no worker behind.
What the recipe itself prints goes to standard error.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
from pathlib import Path
from typing import Any, TextIO

from sapwood import recipe as recipes
from sapwood.errors import Interrupted, SapwoodError
from sapwood.runs import local
from sapwood.runs.monitor import EventLog, QuietMonitor, StopFlag
from sapwood.stage import Event
from sapwood.store.layout import remove_tree
from sapwood.store.local import LocalStore


class Pruned(Interrupted):
    """The study has seen enough of this trial."""


class TrialMonitor(QuietMonitor):
    """Keeps events, tells steps and the watched metric, and raises `Pruned` where the study says so."""

    def __init__(self, log: EventLog, stop: StopFlag, line: Line, watch: tuple[str, str]) -> None:
        super().__init__(log, stop)
        self.line, self.watch, self.seen = line, watch, 0

    def emit(self, event: Event) -> None:
        super().emit(event)
        self.events.clear()
        if event.type == "step":
            self.line.tell({"type": "step", "step": event.step, "state": event.data["state"]})
        elif event.type == "metric" and event.step == self.watch[0] and self.watch[1] in event.data:
            self.seen += 1
            self.line.tell({"type": "score", "at": self.seen, "value": event.data[self.watch[1]]})
            if self.line.hear() == "prune":
                raise Pruned(f"worse than the other trials after evaluation {self.seen}")


class Line:
    """The two pipes to the study. A thread reads, so that the end of the input is noticed while a step runs."""

    def __init__(self, out: TextIO, stop: StopFlag) -> None:
        self._out, self._stop = out, stop
        self._heard: queue.Queue[Any] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        for line in sys.stdin:
            self._heard.put(json.loads(line))
        self._stop.set()
        self._heard.put(None)

    def hear(self) -> Any:
        """What comes next; None when the study is gone."""
        return self._heard.get()

    def tell(self, body: dict[str, Any]) -> None:
        try:
            self._out.write(json.dumps(body, ensure_ascii=False) + "\n")
            self._out.flush()
        except BrokenPipeError:
            self._stop.set()


def run(order: dict[str, Any], store: LocalStore, line: Line, stop: StopFlag) -> dict[str, Any]:
    """Run one recipe; how it ended."""
    identifier = ""
    try:
        recipe = recipes.parse(order["recipe"], order["file"], Path(order["workspace"]))
        identifier = local.begin(recipe, store, {})
        log = EventLog(store.run_folder(identifier) / "events.jsonl")
        try:
            local.execute(recipe, store, TrialMonitor(log, stop, line, tuple(order["watch"])), {}, identifier, patient=True)
        finally:
            log.close()
    except Pruned as error:
        _forget(store, identifier)
        return {"state": "pruned", "run": identifier, "error": error.what}
    except Interrupted as error:
        return {"state": "interrupted", "run": identifier, "error": error.what}
    except (SapwoodError, OSError, MemoryError) as error:
        return {"state": "failed", "run": identifier, "error": str(error) or type(error).__name__}
    return {"state": "done", "run": identifier, "error": ""}


def _forget(store: LocalStore, run: str) -> None:
    """Nobody continues a pruned step: its checkpoints would fill the disk."""
    for step in store.records.run(run).steps:
        if step["state"] == "interrupted" and step.get("key"):
            folder = store.layout.work(step["key"])
            if folder.exists():
                remove_tree(folder)


def main(root: str) -> None:
    """Serve the study until its input ends. Exit code 0."""
    stop = StopFlag()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a library prints must not stand between the lines
    line, store = Line(out, stop), LocalStore(Path(root))
    while not stop.is_set() and (order := line.hear()) is not None:
        line.tell({"type": "end", **run(order, store, line, stop)})
        store.close()


if __name__ == "__main__":
    main(sys.argv[1])
