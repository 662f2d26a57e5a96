"""The action that takes one turn of the loop, and tells what came of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field

from sapwood import recipe as recipes
from sapwood import report, verdict
from sapwood.artifact import Examples, Report, file_sha256
from sapwood.errors import SapwoodError
from sapwood.runs.cycle import CONTRACT, INPUTS, Turn, turn
from sapwood.runs.world import World
from sapwood.stage import Action, outputs
from sapwood.store.records import Cycle


class RunCycle(Action):
    """Turn new trusted corrections into a challenger, judge it against the champion, and promote or refuse it.

    The training is the recipe named here; its inputs are champion, champion_bundle, labels, replay, dev, frozen and fresh.
    """

    model: str = Field("model", pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$", description="Name in the model registry.")
    recipe: str = Field("cycle.yaml", description="The recipe that trains and judges a challenger, relative to this one.")
    min_labels: int = Field(50, ge=1, description="New trusted corrections needed; fewer end the turn as rejected.")
    canary_share: float = Field(0.2, gt=0, lt=1, description="Share of traffic that the challenger answers as a canary.")
    canary_requests: int = Field(60, ge=1, le=10_000, description="Requests sent while it does.")

    def check(self, workspace: Path) -> list[str]:
        """The recipe must be there, be right, and have the steps that a cycle reads."""
        file = workspace / self.recipe
        try:
            inner = recipes.read(file)
        except SapwoodError as error:
            return [f"recipe {self.recipe}: {error.what}"]
        names = {step.name: step for step in inner.steps}
        faults = [f"recipe {self.recipe}: a cycle reads the step {name!r}, which is missing" for name in CONTRACT if name not in names]
        for name, kind in CONTRACT.items():
            if name in names and kind not in next(iter(outputs(names[name].cls).values())).kinds:
                faults.append(f"recipe {self.recipe}: the first output of {name} must be {kind.kind}")
        faults += [
            f"recipe {self.recipe}: a cycle gives no input {name!r} of kind {kind.kind}"
            for name, kind in inner.inputs.items()
            if INPUTS.get(name) is not kind
        ]
        return faults

    def fingerprint(self, workspace: Path) -> str:
        """The cycle's recipe: another one is another turn."""
        return file_sha256(workspace / self.recipe)

    def run(self, world: World, replay: Examples, dev: Examples, frozen: Examples, fresh: Examples) -> dict[str, Any]:
        ports = {"replay": replay, "dev": dev, "frozen": frozen, "fresh": fresh}
        file = world.workspace / self.recipe
        cycle = turn(Turn(world, self.model, file, ports, self.min_labels, self.canary_share, self.canary_requests))
        return told(world, self.model, cycle)


def told(world: World, model: str, cycle: Cycle) -> dict[str, Any]:
    """The cycle as a report body."""
    data = cycle.data
    steps = zip(cycle.history, cycle.history[1:], strict=False)
    turned = [[before["state"], after["state"], round(after["at"] - before["at"], 1)] for before, after in steps]
    blocks = [report.table("The turn, step by step", ["from", "to", "seconds"], turned)]
    scores = [line for name in ("on_frozen", "on_fresh") if "made" in data for line in _scores(world, data["made"][name], name)]
    if scores:
        blocks.append(report.table("Before and after", ["examples", "model", "n", "macro-F1", "low", "high"], scores))
    if "made" in data:
        judged = verdict.read(world.path(Report(data["made"]["gate"])))
        rows = [[c.name, "pass" if c.passed else "FAIL", c.detail] for c in judged.record.checks]
        blocks.append(report.table("What the gate saw", ["bar", "", "measured"], rows))
    if "canary" in data:
        blocks.append(report.table("Canary", ["what", "value"], [[k, v] for k, v in data["canary"].items()]))
    summary = {
        "promoted": f"Version {data.get('challenger')} replaced version {data['champion']} as champion of {model}.",
        "rejected": f"The challenger was refused; version {data['champion']} stays. {data.get('reason', '')}",
        "rolled_back": f"The challenger was taken back after its canary; version {data['champion']} serves. {data.get('reason', '')}",
    }[cycle.state]
    kept = {
        "model": model,
        "cycle": cycle.id,
        "state": cycle.state,
        "reason": data.get("reason", ""),
        "corrections": data.get("corrections", 0),
        "scores": scores,
    }
    return {"title": f"Cycle {cycle.id}: {cycle.state}", "summary": summary, "data": kept, "blocks": blocks}


def _scores(world: World, digest: str, name: str) -> list[list[Any]]:
    body = report.read(world.path(Report(digest)))["data"]
    names = body["systems"]
    return [
        [name.removeprefix("on_"), names[system], scores["n"], *(round(float(v), 4) for v in _macro(scores))]
        for system, scores in body["scores"].items()
    ]


def _macro(scores: dict[str, Any]) -> tuple[float, float, float]:
    macro = scores["macro_f1"]
    return macro["value"], macro["low"], macro["high"]
