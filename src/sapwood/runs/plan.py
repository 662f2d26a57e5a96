"""Plan: what a recipe would do now. Which steps are on record, which would run, and what that costs.

It reads no source text and writes nothing. Past an unmade input nothing is known for certain: such a step is `waits`,
and may still be reused when its inputs turn out to be the same. Costs come from the last time the same step ran here,
else from the stage's own rough estimate; they are no promise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import psutil

from sapwood.artifact import Artifact, Model
from sapwood.errors import Problem, RecipeError, ResourceError
from sapwood.models import support
from sapwood.recipe import Recipe, Ref, Step
from sapwood.runs.keys import step_key
from sapwood.stage import Estimate, Stage, inputs, outputs
from sapwood.store.local import LocalStore

GUESS_BYTES = 2_000_000
"""Input bytes assumed for a step whose inputs are not made yet."""
NOT_ROWS = ("model", "bundle")
HEADROOM = 500_000_000


@dataclass(frozen=True)
class Planned:
    """`state`: reuse (on record), run (will run), waits (its inputs are not made yet), done (an action on record)."""

    step: Step
    state: str
    key: str
    estimate: Estimate
    basis: str

    @property
    def notes(self) -> list[str]:
        """What the stage says of values that it derives."""
        return self.step.params.notes() if isinstance(self.step.params, Stage) else []


@dataclass(frozen=True)
class Plan:
    recipe: Recipe
    steps: tuple[Planned, ...]

    @property
    def total(self) -> Estimate:
        """Seconds and disk add up; memory is the largest step's."""
        todo = [planned.estimate for planned in self.steps if planned.state in ("run", "waits")]
        return Estimate(sum(e.seconds for e in todo), max((e.memory for e in todo), default=0), sum(e.disk for e in todo))


def make(recipe: Recipe, store: LocalStore, given: Mapping[str, Artifact]) -> Plan:
    """The plan. Raises `RecipeError` for faults that only the world can tell: missing files, missing inputs."""
    check_world(recipe, given)
    made: dict[Ref, Artifact] = {Ref("", name): artifact for name, artifact in given.items()}
    after = ""
    steps = []
    for step in recipe.steps:
        planned, outputs = _plan_step(step, recipe, store, made, after)
        steps.append(planned)
        made.update({Ref(step.name, port): artifact for port, artifact in outputs.items()})
        if step.is_action:
            after = planned.key or "unknown"
    return Plan(recipe, tuple(steps))


def check_world(recipe: Recipe, given: Mapping[str, Artifact]) -> None:
    """Every step's own check, and the recipe's declared inputs; all faults at once."""
    problems = [
        Problem(recipe.file, f"inputs.{name}", f"not given; add --input {name}=DIGEST") for name in recipe.inputs if name not in given
    ]
    for name, artifact in given.items():
        if name in recipe.inputs and not isinstance(artifact, recipe.inputs[name]):
            problems.append(Problem(recipe.file, f"inputs.{name}", f"takes {recipe.inputs[name].kind}, but {artifact} was given"))
    for step in recipe.steps:
        section = "actions" if step.is_action else "stages"
        problems += [Problem(step.where, f"{section}.{step.name}", fault) for fault in step.params.check(recipe.workspace)]
    problems += [Problem(recipe.file, "resources.device", why) for why in [_no_device(recipe)] if why]
    problems += _unsuited(recipe)
    if problems:
        raise RecipeError(problems, "mend these, then run the same command again")


def _no_device(recipe: Recipe) -> str:
    """Why its models cannot train where the recipe says; empty where they can. Loads torch only where a GPU is asked for."""
    if recipe.resources.device == "cpu":
        return ""
    from sapwood.models import placing

    return placing.missing(recipe.resources.device, recipe.resources.processes)


def _unsuited(recipe: Recipe) -> list[Problem]:
    """Stages that cannot work on what their ports will be given, as far as it can be told."""
    known: dict[Ref, str] = {}
    problems = []
    for step in recipe.steps:
        if isinstance(step.params, Stage):
            given = {port: known.get(refs[0], "") if len(refs) == 1 else "" for port, refs in step.refs.items() if refs}
            if why := step.params.refusal(given):
                problems.append(Problem(step.where, f"stages.{step.name}", why))
            made = step.params.model_type(recipe.workspace, given)
            if step.params.resumes and (why := support.spread_refusal(recipe.resources.way, step.params, made)):
                problems.append(Problem(step.where, f"stages.{step.name}", why))
            known |= {Ref(step.name, name): made for name, port in outputs(step.cls).items() if Model in port.kinds}
    return problems


def check_room(plan: Plan, store: LocalStore) -> None:
    """Refuse before the first step when disk or memory cannot be enough."""
    need = plan.total
    free = psutil.disk_usage(str(store.root)).free
    if need.disk + HEADROOM > free:
        raise ResourceError(
            f"the run is expected to write {need.disk / 1e6:,.0f} MB and {free / 1e6:,.0f} MB are free at {store.root}",
            "free some space (sapwood store gc) or give another --store",
        )
    memory = psutil.virtual_memory().available
    if need.memory > memory:
        raise ResourceError(
            f"a step is expected to need {need.memory / 1e9:.1f} GB of memory and {memory / 1e9:.1f} GB are free",
            "close programs, or lower batch sizes",
        )


def resolve(step: Step, made: Mapping[Ref, Artifact]) -> dict[str, tuple[Artifact, ...]] | None:
    """The step's input artifacts by port, or None while one of them is not made."""
    found: dict[str, tuple[Artifact, ...]] = {}
    for port in inputs(step.cls):
        refs = step.refs.get(port, ())
        if any(ref not in made for ref in refs):
            return None
        found[port] = tuple(made[ref] for ref in refs)
    return found


def _plan_step(
    step: Step, recipe: Recipe, store: LocalStore, made: Mapping[Ref, Artifact], after: str
) -> tuple[Planned, Mapping[str, Artifact]]:
    arguments = resolve(step, made)
    size = _bytes(arguments, store) if arguments is not None else GUESS_BYTES
    if isinstance(step.params, Stage):
        size += step.params.reads(recipe.workspace)
    estimate, basis = _estimate(step, store, size)
    if arguments is None or after == "unknown":
        return Planned(step, "waits", "", estimate, basis), {}
    if step.is_action:
        key = step_key(step, arguments, step.params.fingerprint(recipe.workspace) or "", after)
        return Planned(step, "done" if store.records.action(key) else "run", key, estimate, basis), {}
    assert isinstance(step.params, Stage)
    fingerprint = step.params.fingerprint(recipe.workspace)
    if fingerprint is None:
        return Planned(step, "run", "", estimate, basis), {}
    key = step_key(step, arguments, fingerprint)
    known = store.result(key)
    return Planned(step, "reuse" if known else "run", key, estimate, basis), known.outputs if known else {}


def _bytes(arguments: Mapping[str, tuple[Artifact, ...]], store: LocalStore) -> int:
    """Bytes of the inputs that are rows; a model's size says little about how long a step takes."""
    found = [artifact for many in arguments.values() for artifact in many if artifact.kind not in NOT_ROWS]
    return sum(entry.size for artifact in found for entry in store.entries(artifact))


def _estimate(step: Step, store: LocalStore, bytes_in: int) -> tuple[Estimate, str]:
    rough = step.params.estimate(bytes_in)
    if step.is_action:
        return rough, "rough"
    before = list(store.results(step.registered))
    if not before:
        return rough, "rough"
    params = step.params.model_dump(mode="json")
    alike = [result for result in before if result.params == params]
    last = (alike or before)[-1]
    return Estimate(last.seconds, rough.memory, rough.disk), "last time" if alike else "like last time"
