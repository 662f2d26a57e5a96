"""What happened to a run, in plain words: from its record, its events and the reports of its steps.

It looks at what was written down. What it does NOT know: why a process died without a word (a person, the power, or the system when
memory ran out); it says so and when.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sapwood import report
from sapwood.errors import Corrupt, NotFound
from sapwood.runs.page import seconds
from sapwood.store.local import LocalStore
from sapwood.store.run_records import Run

Json = dict[str, Any]


@dataclass(frozen=True)
class Told:
    """`status` as recorded or `killed`; `because` why it ended as it did; `noticed` what else is worth knowing; `next` what to do."""

    run: str
    status: str
    because: str
    noticed: list[str] = field(default_factory=list)
    next: str = ""


def tell(store: LocalStore, run: Run) -> Told:
    """The whole story."""
    status, events = store.status_of(run), list(_events(store.layout.run(run.id) / "events.jsonl"))
    because, next_step = _because(store, run, status, events)
    return Told(run.id, status, because, [*_shared(run, events), *_incidents(store, run, events), *_verdicts(store, run)], next_step)


def _events(file: Path) -> Iterator[Json]:
    """Events in order; the last line of a killed run may be half a line."""
    if not file.exists():
        return
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            continue


# --------------------------------------------------------------------------- how it ended


def _because(store: LocalStore, run: Run, status: str, events: list[Json]) -> tuple[str, str]:
    """(why it ended so, what to do)."""
    last = run.steps[-1] if run.steps else None
    if status == "done":
        return f"it finished all of its {len(run.steps)} steps in {seconds(run.seconds)}.", ""
    if status == "running":
        name = _open_step(events)
        return f"it is still running{f', in step {name}' if name else ''}.", ""
    if status == "killed":
        return _killed(store, events), f"sapwood resume {run.id}"
    if last is None or last["state"] not in ("failed", "interrupted"):
        what = "it was asked to stop between two steps" if status == "interrupted" else "it ended before its first step was recorded"
        return f"{what}.", f"sapwood resume {run.id}"
    if status == "interrupted":
        error = _first(last.get("error", ""))
        if "worse than the other trials" in error:
            return f"the study that it was a trial of stopped it in step {last['step']}: {error}.", ""
        saved = _saved(store, last)
        return f"it was asked to stop (SIGTERM or Ctrl-C) in step {last['step']}: {error}.{saved}", f"sapwood resume {run.id}"
    return _failed(run, last)


def _killed(store: LocalStore, events: list[Json]) -> str:
    """A process that ended without a word."""
    name = _open_step(events)
    if not events:
        return "its process ended without a word before the first step."
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(events[-1]["t"]))
    point = next((e["data"]["step"] for e in reversed(events) if e["type"] == "metric" and e["step"] == name and "step" in e["data"]), None)
    begun: Json = next((e["data"] for e in reversed(events) if e["type"] == "step" and e["step"] == name), {})
    inside = f" in step {name}" if name else " between two steps"
    where = f"{inside}, after optimiser step {point:.0f}" if point is not None else inside
    told = f"its process ended without a word{where}; the last that was heard of it was at {when}. "
    told += "Somebody or something killed it (kill -9, the power, or the system because memory ran out)."
    return told + _saved(store, {"key": begun.get("key", ""), "step": name})


def _open_step(events: list[Json]) -> str:
    """The step that began and did not end."""
    for event in reversed(events):
        if event["type"] == "step":
            return str(event["step"]) if event["data"]["state"] in ("running", "waits") else ""
    return ""


def _failed(run: Run, last: Json) -> tuple[str, str]:
    """The words of the error; a traceback is cut to its last line."""
    error = str(last.get("error", ""))
    what, _, advice = error.partition("\n  next: ")
    if "Traceback (most recent call last)" in what:
        end = what.strip().splitlines()[-1]
        if "[Errno 28]" in end or "[Errno 122]" in end:
            return f"the disk was full in step {last['step']}.", f"free some space (sapwood store gc), then sapwood resume {run.id}"
        if "MemoryError" in end:
            return f"memory ran out in step {last['step']}.", "close programs, or lower the step's batch size"
        return (
            f"step {last['step']} failed by a fault that is not the recipe's: {end}",
            f"sapwood run --debug shows all of it; step {last['step']}",
        )
    return (
        f"step {last['step']} failed: {what.strip().removeprefix(last['step'] + ': ')}.",
        advice.strip() or f"mend that, then sapwood resume {run.id}",
    )


def _saved(store: LocalStore, step: Json) -> str:
    """Where the step would continue."""
    if not step.get("key"):
        return ""
    home = store.layout.work(step["key"]) / "checkpoints"
    found = sorted(int(path.parent.name.removeprefix("step-")) for path in home.glob("step-*/manifest.json"))
    if found:
        return f" It continues from the checkpoint of optimiser step {found[-1]}."
    return f" Step {step['step']} keeps no checkpoint and begins again; the steps before it are on record."


def _first(text: str) -> str:
    return (text.splitlines() or [""])[0].rstrip(".")


# --------------------------------------------------------------------------- what else is worth knowing


def _shared(run: Run, events: list[Json]) -> Iterator[str]:
    """What was reused, and what waited for another process."""
    reused = [step["step"] for step in run.steps if step["state"] in ("reused", "already done")]
    if reused:
        saved = sum(step.get("seconds", 0.0) for step in run.steps if step["state"] == "reused")
        listed = ", ".join(reused[:8]) + (f" and {len(reused) - 8} more" if len(reused) > 8 else "")
        yield f"{len(reused)} of {len(run.steps)} steps were on record and not run again, which saved {seconds(saved)}: {listed}."
    for place, event in enumerate(events):
        if event["type"] == "step" and event["data"]["state"] == "waits":
            after = next((later["t"] for later in events[place + 1 :] if later["step"] == event["step"]), None)
            took = f" for {seconds(after - event['t'])}" if after else ""
            yield f"step {event['step']} waited{took} because another process was working on the same step."


def _incidents(store: LocalStore, run: Run, events: list[Json]) -> Iterator[str]:
    """What the rules of training found: in the reports of finished steps, and in the words of the one that did not finish."""
    from sapwood.models import guarding

    told = set()
    for step, body in _reports(store, run):
        for incident in body["data"].get("incidents") or []:
            told.add(sentence := f"{step['step']}: {guarding.told(incident)}")
            yield sentence
    unfinished = {step["step"] for step in run.steps if step["state"] in ("failed", "interrupted")}
    for event in events:
        words = str(event["data"].get("text", "")) if event["type"] == "say" and event["step"] in unfinished else ""
        if words.startswith("step ") and f"{event['step']}: {words}" not in told:
            told.add(f"{event['step']}: {words}")
            yield f"{event['step']}: {words}"


def _verdicts(store: LocalStore, run: Run) -> Iterator[str]:
    """A gate that said no does not fail a run."""
    for step, body in _reports(store, run):
        if step["name"] == "gate" and body["data"].get("passed") is False:
            yield f"the gate {step['step']} said no, so nothing behind it may be promoted: {body['summary']}"


def _reports(store: LocalStore, run: Run) -> Iterator[tuple[Json, Json]]:
    """(step, its report)."""
    for step in run.steps:
        for told in (step.get("outputs") or {}).values():
            if told.startswith("report:"):
                try:
                    yield step, report.read(store.open(store.find(told)))
                except (NotFound, Corrupt, OSError):
                    continue  # erased since; what it said is gone
