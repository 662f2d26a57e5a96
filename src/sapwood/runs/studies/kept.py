"""Where a study is kept: `studies/<id>/` in the store, with its settings, its sampler's database, its workers' log and its report.

The id is the study's name and a digest of what decides its trials: the recipe, what is varied and what is measured. Another budget or
number of workers continues the same study; another space is another study. One process at a time works on a study.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rfc8785

from sapwood import recipe as recipes
from sapwood import report
from sapwood.errors import Busy, InputError, NotFound
from sapwood.recipe.study import Number, Study, taken
from sapwood.store import leases
from sapwood.store.local import LocalStore
from sapwood.store.run_records import Run

FOLDER = "studies"
NO_IDENTITY = {"budget", "workers", "confirm", "held_out", "budgets"}
"""Settings that may change while a study goes on."""


@dataclass(frozen=True)
class Kept:
    """One study's folder."""

    identifier: str
    folder: Path

    @property
    def database(self) -> Path:
        return self.folder / "optuna.db"

    @property
    def log(self) -> Path:
        return self.folder / "workers.log"

    @property
    def settings(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "study.json").read_text(encoding="utf-8"))
        return found

    @property
    def body(self) -> dict[str, Any] | None:
        """The report, once there is one."""
        return report.read(self.folder) if (self.folder / "report.json").exists() else None


def identity(study: Study) -> str:
    """The study's id."""
    recipe = {key: value for key, value in recipes.filled(study.recipe).items() if key not in ("name", "description", "resources")}
    asked = {key: value for key, value in study.asked.model_dump(mode="json").items() if key not in NO_IDENTITY}
    digest = hashlib.sha256(rfc8785.dumps({"recipe": recipe, "asked": asked, "workspace": str(study.recipe.workspace)})).hexdigest()
    return f"{re.sub(r'[^A-Za-z0-9]+', '-', study.name).strip('-')[:40] or 'study'}-{digest[:8]}"


def begin(study: Study, store: LocalStore) -> Kept:
    """The study's folder, made or found again, held by this process. Raises `Busy` when another process works on it."""
    identifier = identity(study)
    found = Kept(identifier, store.root / FOLDER / identifier)
    found.folder.mkdir(parents=True, exist_ok=True)
    if not leases.hold(found.folder):
        raise Busy(f"another process is working on the study {identifier}", "wait until it is done, or stop it")
    asked = study.asked.model_dump(mode="json")
    body = {"id": identifier, "name": study.name, "kind": study.asked.study, "file": study.file, "asked": asked}
    (found.folder / "study.json").write_text(json.dumps(body, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return found


def end(kept: Kept) -> None:
    """Let another process have it."""
    leases.let_go(kept.folder)


def studies(store: LocalStore) -> list[Kept]:
    """Every study of a store, the newest first."""
    folders = [path.parent for path in (store.root / FOLDER).glob("*/study.json")]
    return [Kept(folder.name, folder) for folder in sorted(folders, key=lambda folder: -(folder / "study.json").stat().st_mtime)]


def find(store: LocalStore, prefix: str = "last") -> Kept:
    """The study whose id starts with `prefix`, or the newest. Raises `NotFound`."""
    found = [kept for kept in studies(store) if prefix == "last" or kept.identifier.startswith(prefix)]
    if not found:
        raise NotFound("no study yet" if prefix == "last" else f"no study {prefix!r}", "see them: sapwood study list")
    if prefix != "last" and len(found) > 1:
        raise InputError(f"several studies start with {prefix}: {', '.join(kept.identifier for kept in found)}", "give more characters")
    return found[0]


# --------------------------------------------------------------------------- what a finished run says


def read_number(store: LocalStore, run: Run, number: Number) -> float:
    """A number in the report of one of the run's steps."""
    step = next(step for step in run.steps if step["step"] == number.step)
    port = number.of.partition(".")[2]
    names = [name for name, told in step["outputs"].items() if told.startswith("report:") and port in ("", name)]
    kind, _, digest = step["outputs"][names[0]].partition(":")
    return taken(report.read(store.open(store.find(f"{kind}:{digest}")))["data"], number, f"run {run.id}")


@dataclass(frozen=True)
class Labour:
    """How much of a run was done for it, and how much it found on record."""

    made: int
    reused: int
    saved_s: float
    """Seconds that the reused steps had taken."""


def labour(store: LocalStore, run: Run) -> Labour:
    """Counts over the run's steps."""
    reused = [step for step in run.steps if step["state"] == "reused"]
    return Labour(sum(step["state"] == "done" for step in run.steps), len(reused), sum(step["seconds"] for step in reused))
