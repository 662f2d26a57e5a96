"""Is resume exact here? A training step that is on record is done again beside the store: once whole, and once for each kill, killed
with SIGKILL after a random step and continued. Then weights, optimiser, random generators, data cursor and curves are compared,
byte for byte, in the last checkpoint and in what the step made.

What it does NOT show: that another build, CPU type or number of threads gives the same; those only come close.
"""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from sapwood import plugins
from sapwood.artifact import Artifact, file_sha256
from sapwood.errors import InputError, SapwoodError
from sapwood.stage import Event, Meter, Port, Resources, Result, Stage, Work, inputs
from sapwood.store.local import LocalStore
from sapwood.store.run_records import Run

MADE = "made.json"


class Compared(NamedTuple):
    """One file or output of both runs."""

    what: str
    equal: bool


class Proof(NamedTuple):
    """One kill. `killed_at` of `steps` steps; `exact` when everything compared is equal."""

    step: str
    killed_at: int
    steps: int
    compared: tuple[Compared, ...]

    @property
    def exact(self) -> bool:
        return bool(self.compared) and all(one.equal for one in self.compared)


def resumable(run: Run) -> list[dict[str, Any]]:
    """The finished steps of a run that promise to continue exactly."""
    done = [step for step in run.steps if step.get("key") and not step["action"] and step["state"] in ("done", "reused")]
    return [step for step in done if step["name"] in plugins.table("stages") and plugins.load("stages", step["name"]).resumes]


def prove(
    store: LocalStore, step: dict[str, Any], resources: Resources, folder: Path, draw: random.Random, kills: int, say: Callable[[str], None]
) -> Iterator[Proof]:
    """One proof a kill. `folder` must be empty; it takes copies of the step's inputs, and what both runs write."""
    result = store.result(step["key"])
    if result is None:
        raise InputError(f"{step['step']}: its result is not in this store any more", "run the recipe again")
    beside = LocalStore(folder / "store")
    for artifact in {a for found in result.inputs.values() for a in found}:
        beside.put(type(artifact), store.open(artifact))
    order = {"key": step["key"], "step": step["step"], "resources": resources.model_dump(mode="json"), "result": _plain(result)}
    (folder / "order.json").write_text(json.dumps(order), encoding="utf-8")
    say(f"{step['step']}: once whole")
    steps = _rehearse(folder, "whole", 0)
    if steps < 2:
        raise InputError(f"{step['step']} has {steps} step: there is nothing to interrupt", "choose another step with --step")
    for number in range(1, kills + 1):
        at, name = draw.randrange(1, steps), f"killed-{number}"
        say(f"{step['step']}: killed after step {at} of {steps}, then continued")
        _rehearse(folder, name, at)
        _rehearse(folder, name, 0)
        yield Proof(step["step"], at, steps, _compared(folder / "whole", folder / name))
        shutil.rmtree(folder / name)


def _plain(result: Result) -> dict[str, Any]:
    given = {port: [[a.kind, a.digest] for a in found] for port, found in result.inputs.items()}
    return {"name": result.name, "params": dict(result.params), "seed": result.seed, "inputs": given}


def _rehearse(folder: Path, name: str, kill_at: int) -> int:
    """Do the step in a process of its own, in `folder/name`; kill it once `kill_at` steps are done (0: never). The steps counted."""
    command = [sys.executable, "-m", "sapwood.runs.exactness", str(folder), name]
    with (folder / f"{name}.log").open("a+", encoding="utf-8") as log:
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True) as process:
            assert process.stdout is not None
            counted = 0
            for line in process.stdout:
                counted = int(line)
                if kill_at and counted >= kill_at:
                    process.send_signal(signal.SIGKILL)
                    break
        log.seek(0)
        if process.returncode != (-signal.SIGKILL if kill_at else 0):
            raise SapwoodError(f"the step ended with {process.returncode}: {log.read()[-600:]}", "run the recipe itself to see why")
    return counted


def _compared(whole: Path, continued: Path) -> tuple[Compared, ...]:
    """Every file of the last checkpoint, then every output."""
    found = [{p.relative_to(home).as_posix(): p for p in sorted(home.glob("scratch/checkpoints/step-*/*"))} for home in (whole, continued)]
    names = sorted({*found[0], *found[1]})
    files = [Compared(_named(n), all(n in one for one in found) and len({file_sha256(one[n]) for one in found}) == 1) for n in names]
    made = [json.loads((home / MADE).read_text(encoding="utf-8")) for home in (whole, continued)]
    return (*files, *(Compared(f"output {port}", made[0][port] == made[1].get(port)) for port in made[0]))


def _named(path: str) -> str:
    plain = {"state.json": "data cursor, curves, Python's and numpy's generators", "generator.safetensors": "torch's generator"}
    file = path.rsplit("/", 1)[-1]
    return plain.get(file, file.split(".")[0])


# --------------------------------------------------------------------------- the process that does the step


class _Counting:
    """A monitor that prints how many steps the longest bar has seen, one number a line."""

    def __init__(self) -> None:
        self.seen = 0.0

    def emit(self, event: Event) -> None:
        pass

    @contextmanager
    def meter(self, label: str, total: float, unit: str) -> Iterator[Meter]:
        yield self if unit == "steps" else _Still()

    def advance(self, amount: float = 1) -> None:
        self.seen += amount
        print(int(self.seen), flush=True)

    def stopping(self) -> bool:
        return False


class _Still:
    def advance(self, amount: float = 1) -> None:
        pass


def _main(folder: Path, name: str) -> None:
    order = json.loads((folder / "order.json").read_text(encoding="utf-8"))
    what, home = order["result"], folder / name
    cls: type[Stage] = plugins.load("stages", what["name"])
    store = LocalStore(folder / "store")
    (home / "scratch").mkdir(parents=True, exist_ok=True)
    resources = Resources.model_validate(order["resources"])
    work = Work(store, home / "scratch", home, order["step"], what["seed"] or 0, resources, _Counting())
    given = {port: [store.find(f"{kind}:{digest}") for kind, digest in found] for port, found in what["inputs"].items()}
    returned = cls.model_validate(what["params"]).run(work, **{p.name: _shaped(p, given.get(p.name, [])) for p in inputs(cls).values()})  # type: ignore[attr-defined]
    made = {"out": returned} if isinstance(returned, Artifact) else returned._asdict()
    (home / MADE).write_text(json.dumps({port: artifact.digest for port, artifact in made.items()}), encoding="utf-8")


def _shaped(port: Port, found: list[Artifact]) -> Any:
    return found if port.many else found[0] if found else None


if __name__ == "__main__":
    _main(Path(sys.argv[1]), sys.argv[2])
