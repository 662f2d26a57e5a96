"""The local runner: one process, steps one after the other, each result kept under its key.

A step whose key is on record is `reused`, an action on record is `already done`. A killed run loses only the step it was
in: the next run of the same recipe reuses the rest, and a step that saves in its scratch folder continues from there.
"""

from __future__ import annotations

import shutil
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sapwood import recipe as recipes
from sapwood.artifact import Artifact
from sapwood.errors import Busy, Interrupted, Problem, RecipeError, ResourceError, SapwoodError
from sapwood.recipe import Recipe, Ref, Step
from sapwood.runs import members, settle
from sapwood.runs import plan as plans
from sapwood.runs.keys import step_key
from sapwood.runs.machine import environment
from sapwood.runs.world import World
from sapwood.stage import Action, Event, Monitor, Port, Resources, Result, Stage, Work, inputs, outputs
from sapwood.store.local import LocalStore

WAIT_S = 0.5
"""Between two looks at a step that another process is working on."""


@dataclass
class Outcome:
    """What a run did. `steps` is what is recorded of each step; `made` has outputs by step and port; `results` has what actions said."""

    run: str
    steps: list[dict[str, Any]] = field(default_factory=list)
    made: dict[str, dict[str, Artifact]] = field(default_factory=dict)
    results: dict[str, dict[str, Any]] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def all_known(self) -> bool:
        """Whether nothing had to run."""
        return all(step["state"] in ("reused", "already done") for step in self.steps)


@dataclass(frozen=True)
class _Context:
    recipe: Recipe
    store: LocalStore
    monitor: Monitor
    resources: Resources
    outcome: Outcome
    depth: int
    save: Callable[[], object]
    patient: bool = False
    """Wait for a step that another process is working on, and reuse what it made; else that is an error."""


def begin(recipe: Recipe, store: LocalStore, given: Mapping[str, Artifact]) -> str:
    """Plan, check room, and record a new run; its id. Everything that can fail before running fails here."""
    plans.check_room(plans.make(recipe, store, given), store)
    resources = settle.resources(recipe, store)
    run = store.records.start_run(recipe.name, recipes.filled(replace(recipe, resources=resources)), environment(recipe.workspace)).id
    store.hold_run(run)
    return run


def execute(
    recipe: Recipe,
    store: LocalStore,
    monitor: Monitor,
    given: Mapping[str, Artifact] | None = None,
    run: str = "",
    patient: bool = False,
) -> Outcome:
    """Run the recipe. Raises the first step's error after recording the run as failed (or interrupted).

    `patient` waits for a step that another process is working on; without it that is `Busy`.
    """
    given = dict(given or {})
    run = run or begin(recipe, store, given)
    resources = settle.resources(recipe, store)
    outcome = Outcome(run)
    began = time.monotonic()
    save = lambda: store.records.update_run(run, steps=outcome.steps)  # noqa: E731
    context = _Context(recipe, store, monitor, resources, outcome, 0, save, patient)
    with _recorded(store, run, outcome, began):
        _run_steps(context, given)
    outcome.seconds = time.monotonic() - began
    return outcome


@contextmanager
def _recorded(store: LocalStore, run: str, outcome: Outcome, began: float) -> Iterator[None]:
    """Write how the run ended, whatever way it ends."""
    status = "failed"
    try:
        yield
        status = "done"
    except (Interrupted, KeyboardInterrupt):
        status = "interrupted"
        raise
    finally:
        store.records.update_run(run, steps=outcome.steps)
        store.records.finish_run(run, status, time.monotonic() - began)
        store.let_go_run(run)


def nested(context: _Context, name: str, file: Path, given: Mapping[str, Artifact]) -> dict[str, dict[str, Artifact]]:
    """Run another recipe inside this run: its steps are listed under the action that asked for it."""
    inner = recipes.read(file)
    if any(step.is_action for step in inner.steps):
        raise RecipeError(
            [Problem(inner.file, "actions", "a recipe that an action starts may hold stages only")],
            "move the actions to the recipe that starts it",
        )
    given = {port: artifact for port, artifact in given.items() if port in inner.inputs}
    plans.check_world(inner, given)
    outcome = Outcome(context.outcome.run)
    deeper = replace(context, recipe=inner, outcome=outcome, depth=context.depth + 1, save=lambda: None)
    try:
        _run_steps(deeper, given)
    finally:
        context.outcome.steps += [{**step, "step": f"{name}/{step['step']}"} for step in outcome.steps]
    return outcome.made


# --------------------------------------------------------------------------- one step after the other


def _run_steps(context: _Context, given: Mapping[str, Artifact]) -> None:
    made: dict[Ref, Artifact] = {Ref("", name): artifact for name, artifact in given.items()}
    after = ""
    for step in context.recipe.steps:
        if context.monitor.stopping():
            raise Interrupted("stopped before step " + step.name, "run the same command again to continue")
        arguments = plans.resolve(step, made)
        assert arguments is not None, f"{step.name} was ordered before its inputs"
        if step.is_action:
            after = _act(context, step, arguments, after)
            continue
        result, state = _stage(context, step, arguments)
        _note(context, step, state, result.key, result.seconds, arguments, result.outputs)
        context.outcome.made[step.name] = dict(result.outputs)
        made.update({Ref(step.name, port): artifact for port, artifact in result.outputs.items()})


def _note(
    context: _Context,
    step: Step,
    state: str,
    key: str,
    seconds: float,
    arguments: Mapping[str, tuple[Artifact, ...]],
    made: Mapping[str, Artifact],
) -> None:
    context.outcome.steps.append(
        {
            "step": step.name,
            "name": step.registered,
            "action": step.is_action,
            "state": state,
            "key": key,
            "seconds": round(seconds, 3),
            "inputs": {port: [str(a) for a in artifacts] for port, artifacts in arguments.items()},
            "outputs": {port: str(artifact) for port, artifact in made.items()},
        }
    )
    context.save()
    note = " ".join(f"{port} {artifact.short[:8]}" for port, artifact in made.items() if port != "report")
    _emit(context, step, state, seconds=seconds, note=note[:52])


def _emit(context: _Context, step: Step, state: str, **data: Any) -> None:
    context.monitor.emit(Event("step", step.name, {"state": state, "depth": context.depth, **data}))


def _stage(context: _Context, step: Step, arguments: Mapping[str, tuple[Artifact, ...]]) -> tuple[Result, str]:
    params = step.params
    assert isinstance(params, Stage)
    fingerprint = params.fingerprint(context.recipe.workspace)
    key = step_key(step, arguments, fingerprint if fingerprint is not None else f"once:{context.outcome.run}")
    known = context.store.result(key)
    if known:
        return known, "reused"
    with _blamed(context, step, key):
        scratch = _scratch(context, step, key)
    if isinstance(scratch, Result):
        return scratch, "reused"
    _emit(context, step, "running", key=key)
    began = time.monotonic()
    with _blamed(context, step, key):
        work = Work(context.store, scratch, context.recipe.workspace, step.name, step.seed, context.resources, context.monitor)
        returned = _returned(context, step, work, arguments)
    made = _named_outputs(step, returned)
    result = Result(
        key=key,
        name=step.registered,
        version=step.cls.version,
        params=params.model_dump(mode="json"),
        inputs=arguments,
        outputs=made,
        carries=params.carries if params.carries is not None else tuple(arguments),
        seed=step.seed if params.uses_seed else None,
        run=context.outcome.run,
        seconds=time.monotonic() - began,
        peak_bytes=_peak_bytes(),
    )
    context.store.record(result)
    shutil.rmtree(work.scratch, ignore_errors=True)
    return result, "done"


def _returned(context: _Context, step: Step, work: Work, arguments: Mapping[str, tuple[Artifact, ...]]) -> Any:
    """What the stage made: here, or in several processes where it trains and the recipe asks for them."""
    assert isinstance(step.params, Stage)
    if context.resources.processes > 1 and step.params.resumes:
        return members.run(step.registered, step.params, work, context.store, arguments)
    return step.params.run(work, **_arguments(step, arguments))  # type: ignore[attr-defined]


def _scratch(context: _Context, step: Step, key: str) -> Path | Result:
    """The step's own folder; or the result of another process that was working on it, when this run waits for such."""
    began = 0.0
    while True:
        try:
            folder = context.store.scratch(key)
        except Busy:
            if not context.patient:
                raise
        else:
            known = context.store.result(key) if began else None
            if known:
                shutil.rmtree(folder, ignore_errors=True)
            return known or folder
        if not began:
            began = time.monotonic()
            _emit(context, step, "waits", note="another process is working on it")
        if context.monitor.stopping():
            raise Interrupted("stopped while another process was working on it", "run the same command again to continue")
        time.sleep(WAIT_S)


def _act(context: _Context, step: Step, arguments: Mapping[str, tuple[Artifact, ...]], after: str) -> str:
    params, records = step.params, context.store.records
    assert isinstance(params, Action)
    key = step_key(step, arguments, params.fingerprint(context.recipe.workspace), after)
    recorded = records.action(key)
    known = recorded["result"] if recorded else None
    state, seconds = "already done", 0.0
    if known is None:
        _emit(context, step, "running")
        began = time.monotonic()
        world = World(
            context.store,
            context.recipe.workspace,
            step.name,
            key,
            context.outcome.run,
            step.seed,
            context.resources,
            context.monitor,
            lambda file, given: nested(context, step.name, file, given),
        )
        with _blamed(context, step, key):
            known = params.run(world, **_arguments(step, arguments))  # type: ignore[attr-defined]
        seconds = time.monotonic() - began
        records.record_action(key, step.registered, step.name, context.outcome.run, known)
        state = "done"
    assert known is not None
    context.outcome.results[step.name] = known
    _note(context, step, state, key, seconds, arguments, {})
    return key


@contextmanager
def _blamed(context: _Context, step: Step, key: str) -> Iterator[None]:
    """Name the step in an error; turn a full disk and exhausted memory into errors a person can act on."""
    try:
        yield
    except SapwoodError as error:
        _failed(context, step, key, error)
        error.what = f"{step.name}: {error.what}"
        raise
    except OSError as error:
        _failed(context, step, key, error)
        if error.errno in (28, 122):  # ENOSPC, EDQUOT
            raise ResourceError(
                f"{step.name}: the disk is full ({error.filename or context.store.root})",
                "free some space, then run the same command again",
            ) from None
        raise
    except MemoryError as error:
        _failed(context, step, key, error)
        raise ResourceError(f"{step.name}: out of memory", "close programs, or lower the step's batch size") from None
    except BaseException as error:
        _failed(context, step, key, error)
        raise


def _failed(context: _Context, step: Step, key: str, error: BaseException) -> None:
    state = "interrupted" if isinstance(error, Interrupted | KeyboardInterrupt) else "failed"
    detail = "".join(traceback.format_exception(error))[-4000:] if not isinstance(error, SapwoodError) else str(error)
    failed = {"step": step.name, "name": step.registered, "action": step.is_action, "state": state, "key": key, "error": detail}
    context.outcome.steps.append(failed)
    told = str(error) if isinstance(error, SapwoodError) else f"{type(error).__name__}: {error}"
    _emit(context, step, state, note=told.partition("\n")[0])


def _arguments(step: Step, artifacts: Mapping[str, tuple[Artifact, ...]]) -> dict[str, Any]:
    def shaped(port: Port, found: tuple[Artifact, ...]) -> Any:
        return list(found) if port.many else (found[0] if found else None)

    return {name: shaped(port, artifacts.get(name, ())) for name, port in inputs(step.cls).items()}


def _named_outputs(step: Step, returned: Any) -> dict[str, Artifact]:
    ports = list(outputs(step.cls))
    values = (returned,) if isinstance(returned, Artifact) else tuple(returned)
    if len(values) != len(ports) or not all(isinstance(value, Artifact) for value in values):
        raise SapwoodError(f"the stage {step.registered} returned {type(returned).__name__}, not its ports {', '.join(ports)}")
    return dict(zip(ports, values, strict=True))


def _peak_bytes() -> int:
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
