"""One turn of the loop: feedback -> examples -> training -> verdict -> canary -> promoted, rejected or rolled back.

    collecting -> building -> training -> judging -> canary -> promoted | rolled_back
                                                  \\-> rejected

The state stands in the store and moves by one compare-and-set transaction a step, after the step's work is done and kept.
Each step may be repeated without harm, so a killed turn continues where it was. One open cycle holds a model's name.

The training itself is a recipe (see `CONTRACT`), so that what a cycle does can be read, changed and diffed.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sapwood import verdict as verdicts
from sapwood.artifact import Artifact, Bundle, Examples, Model, Report
from sapwood.errors import Refused, SapwoodError
from sapwood.metrics.intervals import quantile_floor
from sapwood.runs import releases
from sapwood.runs.actions.deploy import ask, column, compare_offline
from sapwood.runs.world import World
from sapwood.serving.client import Gateway, running_gateway
from sapwood.stage import Result
from sapwood.store.records import Cycle
from sapwood.watching.feedback import Correction, FeedbackLog

CONTRACT: Mapping[str, type[Artifact]] = {
    "challenger": Model,
    "bundle": Bundle,
    "parity": Report,
    "on_frozen": Report,
    "on_fresh": Report,
    "gate": Report,
}
"""Steps that a cycle's recipe must have; its inputs are those of `INPUTS`."""

INPUTS: Mapping[str, type[Artifact]] = {
    "champion": Model,
    "champion_bundle": Bundle,
    "labels": Examples,
    "replay": Examples,
    "dev": Examples,
    "frozen": Examples,
    "fresh": Examples,
}
"""What the cycle gives to its recipe; the recipe declares those that it wants."""

FINAL = ("promoted", "rolled_back", "rejected")


@dataclass(frozen=True)
class Turn:
    """Everything one turn needs. `ports` are the examples: replay, dev, frozen, fresh."""

    world: World
    model: str
    recipe: Path
    ports: Mapping[str, Examples]
    min_labels: int
    canary_share: float
    canary_requests: int


def turn(this: Turn) -> Cycle:
    """Open the cycle of this action's key, or find it where a killed process left it, and take it to its end."""
    records = this.world.records
    cycle = records.open_cycle(
        this.model, this.world.key, {"run": this.world.run, "champion": releases.champion(this.world.store, this.model).number}
    )
    while cycle.state not in FINAL:
        before = cycle.state
        this.world.say(f"cycle {cycle.id}: {before}")
        cycle = STEPS[before](this, cycle)
        if cycle.state == before:
            raise SapwoodError(f"cycle {cycle.id} did not leave {before}")
    this.world.say(f"cycle {cycle.id}: {cycle.state}")
    return cycle


# --------------------------------------------------------------------------- the steps


def _collect(this: Turn, cycle: Cycle) -> Cycle:
    """Fix which corrections this turn uses: trusted, not in quarantine, not used before."""
    found = FeedbackLog(this.world.store.engine).unconsumed(this.model)
    if len(found) < this.min_labels:
        return _close(
            this,
            cycle,
            "rejected",
            reason=f"{len(found)} new trusted corrections, {this.min_labels} are needed",
        )
    labels = _build(this.world, this.model, found)
    ids = [identifier for correction in found for identifier in correction.ids]
    return this.world.records.advance_cycle(cycle.id, "collecting", "building", labels=labels.digest, feedback=ids, corrections=len(found))


def _consume(this: Turn, cycle: Cycle) -> Cycle:
    FeedbackLog(this.world.store.engine).consume(cycle.data["feedback"], cycle.id)
    return this.world.records.advance_cycle(cycle.id, "building", "training")


def _train(this: Turn, cycle: Cycle) -> Cycle:
    champion = next(v for v in this.world.records.versions(this.model) if v.number == cycle.data["champion"])
    given: dict[str, Artifact] = {
        "champion": Model(champion.model),
        "champion_bundle": Bundle(champion.bundle),
        "labels": Examples(cycle.data["labels"]),
        **this.ports,
    }
    made = this.world.run_recipe(this.recipe, given)  # takes what the recipe declares
    kept = {name: next(iter(made[name].values())).digest for name in CONTRACT}
    return this.world.records.advance_cycle(cycle.id, "training", "judging", made=kept)


def _judge(this: Turn, cycle: Cycle) -> Cycle:
    """The verdict decides; a failed one ends the turn. A passing challenger becomes a version and gets a share of traffic."""
    world, made = this.world, cycle.data["made"]
    signed = verdicts.read(world.path(Report(made["gate"])))
    failed = [check.name for check in signed.record.checks if not check.passed]
    if failed or not signed.record.passed:
        return _close(this, cycle, "rejected", reason="the gate said no: " + "; ".join(failed))
    version = world.records.register(this.model, made["bundle"], made["challenger"], made["gate"], made["parity"], world.run)
    try:
        releases.check(world.store, version)
    except Refused as refusal:
        return _close(this, cycle, "rejected", reason=refusal.what)
    world.records.set_alias(this.model, "challenger", version.number, f"cycle {cycle.id}")
    routes = [
        {"version": cycle.data["champion"], "share": round(1 - this.canary_share, 6), "role": "serve"},
        {"version": version.number, "share": this.canary_share, "role": "canary"},
    ]
    deployment = world.records.deploy(this.model, routes, f"canary of cycle {cycle.id}")
    return world.records.advance_cycle(cycle.id, "judging", "canary", challenger=version.number, revision=deployment.revision)


def _canary(this: Turn, cycle: Cycle) -> Cycle:
    """Serve both versions over HTTP. The challenger must answer its share, as its bundle does offline, and not surely slower."""
    world, data = this.world, cycle.data
    from sapwood.text import rows

    texts = column(rows.read(world.path(this.ports["fresh"]), ["text"]), "text")[: this.canary_requests]
    with running_gateway(world.store.root, this.model, revision=data["revision"]) as (url, key):
        answers, latencies = ask(Gateway(url, key), texts)
    mine = [i for i, answer in enumerate(answers) if answer.version == data["challenger"]]
    seen: dict[str, Any] = {"requests": len(answers), "challenger_requests": len(mine)}
    fault = "" if mine else "the challenger answered no request"
    if mine:
        others = [latencies[i] for i in range(len(answers)) if answers[i].version != data["challenger"]]
        seen["p95_ms"] = float(np.percentile([latencies[i] for i in mine], 95))
        seen["champion_p95_ms"] = float(np.percentile(others or latencies, 95))
        version = next(v for v in world.records.versions(this.model) if v.number == data["challenger"])
        try:
            seen["difference"] = compare_offline(world, version, [texts[i] for i in mine], [answers[i] for i in mine])
        except Refused as refusal:
            fault = refusal.what
        # Four answers have one p95, their slowest: a single pause of a busy machine took a good challenger back. Only a slowness
        # that the number of answers proves counts.
        seen["p95_floor_ms"] = quantile_floor(np.array([latencies[i] for i in mine]), 0.95)
        if seen["p95_floor_ms"] > 2 * seen["champion_p95_ms"] + 20:
            fault = f"the challenger's p95 latency is {seen['p95_ms']:.0f} ms, the champion's {seen['champion_p95_ms']:.0f} ms"
    return _close(this, cycle, "rolled_back" if fault else "promoted", canary=seen, reason=fault)


def _close(this: Turn, cycle: Cycle, state: str, **data: Any) -> Cycle:
    """Set what serves after the turn, then end it. Setting is idempotent, so a kill between the two is harmless."""
    world = this.world
    winner = cycle.data["challenger"] if state == "promoted" else cycle.data["champion"]
    if state == "promoted":
        world.records.set_alias(this.model, "champion", winner, f"cycle {cycle.id}")
    if cycle.state == "canary":
        world.records.deploy(this.model, [{"version": winner, "share": 1.0, "role": "serve"}], f"cycle {cycle.id}: {state}")
    return world.records.advance_cycle(cycle.id, cycle.state, state, winner=winner, **data)


STEPS: Mapping[str, Callable[[Turn, Cycle], Cycle]] = {
    "collecting": _collect,
    "building": _consume,
    "training": _train,
    "judging": _judge,
    "canary": _canary,
}


def _build(world: World, model: str, found: list[Correction]) -> Examples:
    """Corrections as examples. Their text is what the response log kept: personal data is masked already.

    An example's parent is the response it corrects, so lineage leads from the next model back to the answer.
    """
    from sapwood.text import rows

    source = f"feedback:{model}"
    found = sorted(found, key=lambda correction: hashlib.sha256(correction.text.encode()).hexdigest())
    table = [
        {
            **rows.document(source, correction.response_id, correction.text, meta={"predicted": correction.predicted}),
            "parents": [correction.response_id],
            "label": correction.label,
        }
        for correction in found
    ]
    with tempfile.TemporaryDirectory() as folder:
        rows.write(Path(folder), rows.table(table, rows.EXAMPLES))
        labels = world.store.put(Examples, Path(folder))
    key = hashlib.sha256(json.dumps(["feedback", model, labels.digest]).encode()).hexdigest()
    world.store.record(Result(key, "feedback", 1, {"model": model, "corrections": len(found)}, {}, {"labels": labels}, (), run=world.run))
    return labels
