"""What a study would run and cost, before it runs. From the last time that the same steps ran here, else the stages' rough estimates;
no promise, and blind to pruning: a search that prunes takes less."""

from __future__ import annotations

import math
from typing import Any

from sapwood.recipe.study import Range, Search, Study, until
from sapwood.runs import plan as plans
from sapwood.runs.page import seconds
from sapwood.runs.studies import kept as keeping
from sapwood.runs.studies.telling import shown
from sapwood.store.local import LocalStore


def estimate(study: Study, store: LocalStore) -> dict[str, Any]:
    """Steps with their state and how often each is made at most, and seconds in all."""
    made = plans.make(study.recipe, store, {})
    runs, again = _runs(study)
    steps: list[dict[str, Any]] = []
    for planned in made.steps:
        times = _times(study, planned.step.name, runs)
        confirmed = again if planned.step.name == study.asked.numbers[0].step else 0
        known = planned.state == "reuse" and times == 1
        seconds_ = 0.0 if known else planned.estimate.seconds * (times + confirmed)
        steps.append({"step": planned.step.name, "state": planned.state, "times": times + confirmed, "seconds": round(seconds_, 1)})
    asked = study.asked
    told: dict[str, Any] = {"study": keeping.identity(study), "kind": asked.study, "steps": steps, "runs": runs, "again": again}
    if isinstance(asked, Search):
        told["over"] = {path: space.model_dump() if isinstance(space, Range) else space for path, space in asked.over.items()}
    shared = sum(step["seconds"] for step in steps if step["times"] == 1)
    told["seconds"] = round(shared + sum(step["seconds"] for step in steps if step["times"] > 1) / asked.workers, 1)
    return told


def _runs(study: Study) -> tuple[int, int]:
    """(runs, runs to confirm)."""
    asked = study.asked
    if isinstance(asked, Search):
        return asked.budget.trials, asked.confirm.seeds * (asked.confirm.top + 1)
    return len(asked.sizes) * len(asked.amounts) * asked.seeds, 0


def _times(study: Study, step: str, runs: int) -> int:
    """How often a step is made at most: once for each setting of the fields in it and before it."""
    before = {one.name for one in until(study.recipe, [step]).steps}
    asked = study.asked
    if isinstance(asked, Search):
        spaces = [space for path, space in asked.over.items() if path.split(".")[1] in before]
        return min(runs, math.prod(runs if isinstance(space, Range) else len(space) for space in spaces))
    ladder = [asked.sizes, asked.amounts]
    counts = [len(rungs) for rungs in ladder if any(path.split(".")[1] in before for values in rungs for path in values)]
    return math.prod(counts) * (asked.seeds if asked.loss.step in before else 1)


def lines(told: dict[str, Any]) -> list[str]:
    """For a person."""
    found = [f"{told['kind']} {told['study']}"]
    for path, space in told.get("over", {}).items():
        inside = (
            f"{shown(space['low'])} to {shown(space['high'])}{' (log)' if space['log'] else ''}"
            if isinstance(space, dict)
            else ", ".join(shown(value) for value in space)
        )
        found.append(f"  {path}: {inside}")
    shared = [f"{step['step']}{' (on record)' if step['state'] == 'reuse' else ''}" for step in told["steps"] if step["times"] == 1]
    found.append(f"made once for all runs: {', '.join(shared) or 'nothing'}")
    often = [f"{step['step']} {step['times']} times" for step in told["steps"] if step["times"] > 1]
    found.append(f"made at most: {', '.join(often)}")
    confirm = f" and {told['again']} with other seeds" if told["again"] else ""
    found.append(f"{told['runs']} runs{confirm}: at most about {seconds(told['seconds'])}")
    return found
