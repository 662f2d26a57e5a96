"""A training step in several processes. torch's launcher starts the members, each runs the same stage on the same inputs, and
`models.processes` adds their gradients; the first one's artifacts are the step's.

The first member writes what happens as JSON lines, which are passed on to this process's monitor; all stop after the same step.
What it does NOT do: several machines, and steps that do not resume (they take one process).
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from sapwood import errors, plugins
from sapwood.artifact import Artifact
from sapwood.errors import Interrupted, SapwoodError
from sapwood.stage import Event, Meter, Monitor, Resources, Stage, Work, inputs, outputs
from sapwood.store.local import LocalStore

FOLDER = "members"


def run(name: str, stage: Stage, work: Work, store: LocalStore, given: Mapping[str, tuple[Artifact, ...]]) -> tuple[Artifact, ...]:
    """The stage's outputs, in the order of its ports. Raises what the first member raised, `Interrupted` too."""
    folder = work.scratch / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "stop").unlink(missing_ok=True)
    count = work.resources.processes
    alone = work.resources.model_copy(
        update={"processes": 1, "shard": "none", "tensor": 1, "threads": max(1, work.resources.threads // count)}
    )
    order = {
        "name": name,
        "params": stage.model_dump(mode="json"),
        "step": work.step,
        "seed": work.seed,
        "way": work.resources.way,
        "resources": alone.model_dump(mode="json"),
        "store": str(store.root),
        "scratch": str(work.scratch),
        "workspace": str(work.workspace),
        "inputs": {port: [f"{a.kind}:{a.digest}" for a in found] for port, found in given.items()},
    }
    (folder / "order.json").write_text(json.dumps(order), encoding="utf-8")
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
    command = [sys.executable, *launcher, "-m", "sapwood.runs.members", str(folder)]
    log = folder / "log.txt"
    with (
        log.open("w", encoding="utf-8") as stream,
        ExitStack() as meters,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stream, text=True, start_new_session=True) as process,
    ):
        assert process.stdout is not None
        made = _follow(process.stdout, work.monitor, meters, folder / "stop")
    if made is None:
        raise SapwoodError(f"a process ended with {process.returncode}: {log.read_text(encoding='utf-8')[-600:]}", "run with processes: 1")
    if "error" in made:
        kind = getattr(errors, made["error"], SapwoodError)
        raise (kind if kind.__init__ is SapwoodError.__init__ else SapwoodError)(made["what"], made["next"])
    return tuple(store.find(made["made"][port]) for port in outputs(type(stage)))


def _follow(lines: Iterator[str], monitor: Monitor, meters: ExitStack, stop: Path) -> dict[str, Any] | None:
    """Pass on what the first member says; its last word: what it made, or the error that it ended with."""
    last, meter = None, None
    for line in lines:
        if not line.startswith("{"):
            continue
        said = json.loads(line)
        if "event" in said:
            monitor.emit(Event(*said["event"]))
        elif "meter" in said:
            meter = meters.enter_context(monitor.meter(*said["meter"]))
        elif "advance" in said and meter is not None:
            meter.advance(said["advance"])
        elif "made" in said or "error" in said:
            last = said
        if monitor.stopping():
            stop.touch()
    return last


# --------------------------------------------------------------------------- a member


class _Line:
    """A monitor that writes one JSON line for each thing, or nothing, and stops when the file `stop` is there."""

    def __init__(self, folder: Path, heard: bool) -> None:
        self.folder, self.heard = folder, heard

    def write(self, **said: Any) -> None:
        if self.heard:
            print(json.dumps(said), flush=True)

    def emit(self, event: Event) -> None:
        self.write(event=[event.type, event.step, event.data])

    @contextmanager
    def meter(self, label: str, total: float, unit: str) -> Iterator[Meter]:
        self.write(meter=[label, total, unit])
        yield self

    def advance(self, amount: float = 1) -> None:
        self.write(advance=amount)

    def stopping(self) -> bool:
        return (self.folder / "stop").exists()


class _Beside:
    """The store as a later member sees it: it reads the real one, and what it puts goes to a folder of its own."""

    def __init__(self, real: LocalStore, folder: Path) -> None:
        self.real, self.aside = real, LocalStore(folder)

    def put(self, kind: type[Any], folder: Path) -> Any:
        return self.aside.put(kind, folder)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


def _member(folder: Path) -> None:
    from sapwood.models import processes

    order = json.loads((folder / "order.json").read_text(encoding="utf-8"))
    with processes.joined(order["way"], order["resources"]["device"]) as team:
        real, scratch, line = LocalStore(Path(order["store"])), Path(order["scratch"]), _Line(folder, team.rank == 0)
        store: Any = real
        if team.rank:
            checkpoints, scratch = scratch / "checkpoints", folder / f"rank-{team.rank}"
            scratch.mkdir(exist_ok=True)
            if not (scratch / "checkpoints").is_symlink():
                (scratch / "checkpoints").symlink_to(checkpoints)
            store = _Beside(real, scratch / "store")
        cls: type[Stage] = plugins.load("stages", order["name"])
        ports = {port: [real.find(digest) for digest in found] for port, found in order["inputs"].items()}
        given = {p.name: ports.get(p.name, []) if p.many else next(iter(ports.get(p.name, [])), None) for p in inputs(cls).values()}
        resources = Resources.model_validate(order["resources"])
        work = Work(store, scratch, Path(order["workspace"]), order["step"], order["seed"], resources, line)
        try:
            returned = cls.model_validate(order["params"]).run(work, **given)  # type: ignore[attr-defined]
        except SapwoodError as fault:
            line.write(error=type(fault).__name__, what=fault.what, next=fault.next_step)
            if not isinstance(fault, Interrupted):
                raise
            return
        values = (returned,) if isinstance(returned, Artifact) else tuple(returned)
        line.write(made={port: f"{a.kind}:{a.digest}" for port, a in zip(outputs(cls), values, strict=True)})


if __name__ == "__main__":
    _member(Path(sys.argv[1]))
