"""How a person names an artifact: by digest, or by the step and port that made it.

3fa9c1              the start of a digest, 6 characters or more; `documents:3fa9c1` says its kind too
clean.kept          what the port `kept` of the step `clean` gave in the newest run that has it
clean               the step's first port
RUN:clean.kept      the same of one run: its id, the start of one, or `last`
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

from sapwood.artifact import KINDS, Artifact
from sapwood.errors import InputError, NotFound, StoreError
from sapwood.store.local import LocalStore
from sapwood.store.run_records import Run

NEWEST = 200
"""How many runs back a step is looked for."""
LOOK = "sapwood show lists runs; sapwood show RUN lists its steps and ports; sapwood store list lists artifacts"


def find(store: LocalStore, name: str) -> Artifact:
    """The artifact of that name. Raises `NotFound`, or `InputError` when a digest's start fits several."""
    run, colon, step = name.partition(":")
    if colon and run not in KINDS:
        return _of_run(store, store.records.run(run), step)
    if not colon and "." not in name:
        try:
            return store.find(name)
        except InputError:
            if _is_digest(name):
                raise
        except NotFound:
            pass
    elif colon:
        return store.find(name)
    for one in store.records.runs(NEWEST):
        found = _made(store, one, name)
        if found is not None:
            return found
    known = sorted({f"{s['step']}.{port}" for one in store.records.runs(20) for s in one.steps for port in s.get("outputs", {})})
    near = get_close_matches(name, known, 1)
    raise NotFound(f"{name!r} is no digest, and no step and port of a run here", f"did you mean {near[0]}?" if near else LOOK)


def _is_digest(name: str) -> bool:
    return len(name) >= 6 and not set(name.lower()) - set("0123456789abcdef")


def _of_run(store: LocalStore, run: Run, step: str) -> Artifact:
    found = _made(store, run, step)
    if found is None:
        ports = [f"{s['step']}.{port}" for s in run.steps for port in s.get("outputs", {})]
        raise NotFound(f"run {run.id} has no output {step!r}", f"it has {', '.join(ports) or 'none'}")
    return found


def _made(store: LocalStore, run: Run, name: str) -> Artifact | None:
    """What a run made at `step.port`, or at the first port of `step`; None when it has no such output, or gc took it."""
    step, dot, port = name.rpartition(".") if "." in name else (name, "", "")
    entry: dict[str, Any] | None = next((s for s in run.steps if s["step"] == step and s.get("outputs")), None)
    if entry is None:
        return None
    outputs = entry["outputs"]
    digest = outputs.get(port) if dot else next(iter(outputs.values()))
    try:
        return store.find(digest) if digest else None
    except StoreError:
        return None
