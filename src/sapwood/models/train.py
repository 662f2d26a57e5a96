"""The one training loop: a plain function over a model, a source of batches and an objective.

A step takes the source's micro-batches at (seed, epoch, index), divides each term by its trained units in the WHOLE step,
adds the terms, clips, and moves. It saves before it evaluates, proves the first save at once, and continues exactly where the
newest complete checkpoint stands (same build, CPU type and threads). Batches are made one step ahead, in another thread.
What it does NOT do: fp16 (bf16 needs no loss scaling).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from sapwood.errors import InputError, Interrupted, SapwoodError
from sapwood.models import allocation, checkpoint, guarding, optimisers, placing, schedules, spreading
from sapwood.models.ahead import Ahead
from sapwood.models.exact import deterministic, forked, seed_all
from sapwood.models.guarding import Rules
from sapwood.models.looking import look
from sapwood.models.objectives.terms import Batch, Objective
from sapwood.models.processes import ALONE, Team, present
from sapwood.models.sources.source import Source
from sapwood.models.stream import narrow

Scores = Mapping[str, float]


class Plan(BaseModel):
    """How long and how fast. All counts are optimiser steps."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int = Field(ge=1)
    lr: float = Field(gt=0, description="Peak learning rate, resolved.")
    optimiser: optimisers.Optimiser = optimisers.AdamW()
    schedule: schedules.Schedule = schedules.Linear()
    rules: Rules = Rules()
    clip: float = Field(1.0, gt=0, description="Largest norm of the whole gradient.")
    precision: Literal["fp32", "bf16"] = "fp32"
    device: str = Field("cpu", description="Where the model trains; it is on the CPU before and after.")
    log_every: int = Field(10, ge=1)
    save_every: int = Field(0, ge=0, description="0 saves before evaluations and when stopped only.")
    keep_every: int = Field(0, ge=0, description="Checkpoints of these steps stay; all others but the newest are dropped. 0 keeps none.")
    evaluate_every: int = Field(0, ge=0, description="0 evaluates at the end only.")
    keep_best: str = Field("", description="Score whose best value picks the weights kept; empty keeps the last. -name: lower is better.")
    patience: int = Field(0, ge=0, description="Stop after that many evaluations without a better score; 0 never.")


class Extra(Protocol):
    """What a method or an average of weights does beside the optimiser. Its tensors are part of each checkpoint."""

    def moved(self, model: Any, step: int) -> None:
        """After the optimiser's `step`-th step (from 1)."""

    def judged(self, model: Any) -> AbstractContextManager[None]:
        """Inside, the model has the weights that are evaluated and kept."""

    def state(self) -> dict[str, Tensor]: ...
    def load(self, state: Mapping[str, Tensor]) -> None: ...


def _nothing(*_: Any, **__: Any) -> None:
    return None


@dataclass(frozen=True)
class Calls:
    """What the loop calls: `log(step=, loss=, ...)`, `advance(steps)`, `stopping()`, `evaluate(model) -> scores`, `note(incident)`,
    `say(line)`."""

    log: Callable[..., None] = _nothing
    advance: Callable[[float], None] = _nothing
    stopping: Callable[[], bool] = lambda: False
    evaluate: Callable[[Any], Scores] | None = None
    note: Callable[[dict[str, Any]], None] = _nothing
    extras: Mapping[str, Extra] = field(default_factory=dict)
    team: Team = field(default_factory=present)
    say: Callable[[str], None] = _nothing


@dataclass
class Progress:
    """Where training stands: JSON, stored in each checkpoint. `points` are means between two logs, `scores` evaluations."""

    step: int = 0
    epoch: int = 0
    index: int = 0
    points: list[dict[str, float]] = field(default_factory=list)
    scores: list[dict[str, float]] = field(default_factory=list)
    best: float | None = None
    best_step: int = 0
    since: dict[str, list[float]] = field(default_factory=dict)
    """Sums of (value, units) since the last logged point."""
    incidents: list[dict[str, Any]] = field(default_factory=list)
    """What the rules found: step, what, value, usual, did."""
    norms: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    skipped: int = 0
    """Steps left out in a row."""


def train(model: Any, source: Source, objective: Objective, plan: Plan, seed: int, home: Path, calls: Calls | None = None) -> Progress:
    """Train in place and return the history. `home` keeps the checkpoints; a newest one there is continued.

    Raises `Interrupted` after saving when `calls.stopping()`, `SapwoodError` naming the step when the rules stop training.
    """
    calls = calls or Calls()
    look(model, source, seed)
    if calls.team.size > 1 and not source.ahead:
        raise InputError("this training makes its batches with the model as it is now, in one process", "run it with processes: 1")
    if calls.team.way != "copies" and calls.extras:
        raise InputError(
            f"{', '.join(calls.extras)} reads whole weights after each step", "leave it out, or train with shard: none, tensor: 1"
        )
    device = placing.named(plan.device)
    with placing.placed(model, device), deterministic(device), allocation.kept(), Ahead(source, seed) as batches:
        return _train(model, batches, objective, plan, seed, home, calls)


def _train(model: Any, batches: Ahead, objective: Objective, plan: Plan, seed: int, home: Path, calls: Calls) -> Progress:
    spread = spreading.spread(model, objective, calls.team)
    optimiser = optimisers.make(plan.optimiser, spread.model, plan.lr)
    with narrow(spread.model, plan.precision):
        progress = _resume(home, spread, optimiser, calls)
        if progress is None:
            seed_all(seed)
            progress = Progress()
        calls.advance(progress.step)
        _evaluate_if_due(model, plan, progress, home, calls)
        while progress.step < plan.steps and not _patience_ended(plan, progress):
            micro = batches.take(progress.epoch, progress.index)
            calls.team.reseed(seed, progress.step)
            one_step(spread.model, micro, spread.objective, plan, optimiser, progress, calls)
            _forward(progress, batches.source, seed)
            _log_if_due(plan, progress, calls)
            calls.advance(1)
            stopping = calls.team.agreed(calls.stopping())
            if stopping or _save_due(plan, progress.step):
                _save(home, spread, optimiser, plan, progress, calls)
            if stopping:
                raise Interrupted(f"stopped and saved after step {progress.step} of {plan.steps}", "run the same command again to continue")
            _evaluate_if_due(model, plan, progress, home, calls)
        _take_best(model, plan, progress, home, calls)
        calls.say(f"{batches.waited:.1f} s of training waited for batches")
    return progress


def one_step(
    model: Any, micro: list[Batch], objective: Objective, plan: Plan, optimiser: Any, progress: Progress, calls: Calls = Calls()
) -> None:
    """Forward and backward over the micro-batches, and one move."""
    model.train()
    sums = accumulate(model, micro, objective, plan.precision, calls.team)
    norm = calls.team.clip([p for p in model.parameters() if p.grad is not None], plan.clip)
    progress.step += 1
    if _judged(plan, progress, sums["loss"][0], norm, calls) == "go":
        rate = plan.lr * schedules.share(plan.schedule, progress.step - 1, plan.steps, _risen(plan, progress))
        for group in optimiser.param_groups:
            group["lr"] = rate
        optimiser.step()
        for extra in calls.extras.values():
            extra.moved(model, progress.step)
        for name, (value, units) in sums.items():
            kept = progress.since.setdefault(name, [0.0, 0.0])
            kept[0], kept[1] = kept[0] + value, kept[1] + units
    optimiser.zero_grad(set_to_none=True)


def accumulate(model: Any, micro: list[Batch], objective: Objective, precision: str, team: Team = ALONE) -> dict[str, list[float]]:
    """Gradients of the step's loss, left in `.grad`. Returns (sum, units) by name; `loss` is the step's loss, units 1."""
    device = placing.of(model)
    whole: dict[str, int] = {}
    for batch in micro:
        for name, count in batch.trained.items():
            whole[name] = whole.get(name, 0) + count
    sums: dict[str, list[Any]] = {"loss": [0.0, 1.0]}
    for batch, counts in team.share(micro):
        with placing.arithmetic(model, precision):
            terms = objective(model, batch.to(device))
        assert dict(terms.count) == dict(batch.trained), "the objective trained other units than the source announced"
        loss = torch.stack([total / whole[name] for name, total in terms.sum.items()]).sum()
        (loss if counts else loss * 0).backward()
        if not counts:
            continue
        sums["loss"][0] += float(loss.detach())
        counted = {name: (float(total.detach()), terms.count[name]) for name, total in terms.sum.items()}
        for name, (value, units) in {**(counted if len(counted) > 1 else {}), **terms.logs}.items():
            kept = sums.setdefault(name, [0.0, 0.0])
            kept[0], kept[1] = kept[0] + value, kept[1] + units
    team.reduce(model)
    return team.added(sums)


def _judged(plan: Plan, progress: Progress, loss: float, norm: float, calls: Calls) -> str:
    """Ask the rules, keep what they found, and raise when they stop training."""
    found = guarding.judge(plan.rules, loss, norm, progress.norms, progress.skipped)
    if found.deed == "go":
        progress.skipped, progress.norms = 0, [*progress.norms, norm][-guarding.RECENT :]
        if plan.rules.stuck:
            progress.losses = [*progress.losses, loss][-2 * plan.rules.stuck :]
            found = guarding.stuck(plan.rules, progress.losses)
    if found.deed == "go":
        return "go"
    incident = {"step": progress.step, "what": found.what, "value": found.value, "usual": found.usual, "did": found.deed}
    progress.incidents.append(incident)
    calls.note(incident)
    if found.deed == "stop":
        said, _, advice = guarding.told(incident).rpartition("; training stopped there. ")
        raise SapwoodError(said, advice)
    progress.skipped += 1
    return "skip"


def _forward(progress: Progress, source: Source, seed: int) -> None:
    progress.index += 1
    if progress.index >= source.steps(seed, progress.epoch):
        progress.epoch, progress.index = progress.epoch + 1, 0


def _resume(home: Path, spread: spreading.Spread, optimiser: Any, calls: Calls) -> Progress | None:
    found = checkpoint.newest(home)
    if found is None:
        return None
    told = spreading.states(spread, optimiser)
    state, extras = checkpoint.load(found, spread.whole, told)
    spread.scatter(optimiser, told)
    for name, extra in calls.extras.items():
        own = {key.removeprefix(f"{name}/"): t for key, t in extras.items() if key.startswith(f"{name}/")}
        extra.load({key: t.to(placing.of(spread.whole)) for key, t in own.items()})
    return Progress(**state["progress"])


def _save(home: Path, spread: spreading.Spread, optimiser: Any, plan: Plan, progress: Progress, calls: Calls) -> None:
    """An evaluation follows its save, so it finds the weights in the model that was given."""
    told = spread.gather(optimiser)
    if calls.team.rank:
        calls.team.wait()
        return
    extras = {f"{name}/{key}": t for name, extra in calls.extras.items() for key, t in extra.state().items()}
    folder = checkpoint.save(home, progress.step, spread.whole, told, {"progress": vars(progress)}, extras, plan.keep_every)
    if progress.step == 1 and not checkpoint.intact(folder):
        raise SapwoodError("the first checkpoint does not read back as it was written", "check the disk that holds the store")
    calls.team.wait()


def _save_due(plan: Plan, step: int) -> bool:
    """After the first step (to learn early that saving works), every `save_every` and `keep_every`, and before each evaluation."""
    often = (plan.save_every, plan.keep_every)
    return step == 1 or any(every and step % every == 0 for every in often) or _evaluation_due(plan, step)


def _evaluation_due(plan: Plan, step: int) -> bool:
    return step == plan.steps or (plan.evaluate_every > 0 and step % plan.evaluate_every == 0)


def _log_if_due(plan: Plan, progress: Progress, calls: Calls) -> None:
    if progress.step % plan.log_every and progress.step != plan.steps:
        return
    point = {"step": float(progress.step), **{name: value / units for name, (value, units) in progress.since.items() if units}}
    progress.points.append(point)
    progress.since = {}
    calls.log(**point)


def _evaluate_if_due(model: Any, plan: Plan, progress: Progress, home: Path, calls: Calls) -> None:
    """Evaluate once for a step, and keep the weights aside when they are the best so far."""
    done = any(score["step"] == progress.step for score in progress.scores)
    if calls.evaluate is None or not progress.step or done or not _evaluation_due(plan, progress.step):
        return
    model.eval()
    with judged(model, calls), forked(placing.of(model)):
        with torch.inference_mode():
            scores = dict(calls.evaluate(model))
        progress.scores.append({"step": float(progress.step), **scores})
        calls.log(step=float(progress.step), **{f"dev_{name}": value for name, value in scores.items()})
        if plan.keep_best and (progress.best is None or _rise(plan, scores) > progress.best):
            weights = {name: tensor.detach() for name, tensor in checkpoint.trained(model).items()}
            if not calls.team.rank:
                checkpoint.write(home / "best", {"weights.safetensors": weights}, {"step": progress.step})
            progress.best, progress.best_step = _rise(plan, scores), progress.step


@contextmanager
def judged(model: Any, calls: Calls) -> Iterator[None]:
    """Inside, the model has the weights that are evaluated and kept."""
    with ExitStack() as stack:
        for extra in calls.extras.values():
            stack.enter_context(extra.judged(model))
        yield


def _rise(plan: Plan, scores: Scores) -> float:
    """The score that picks the weights, so that higher is better."""
    lower = plan.keep_best.startswith("-")
    return -scores[plan.keep_best[1:]] if lower else scores[plan.keep_best]


def _risen(plan: Plan, progress: Progress) -> list[float]:
    return [_rise(plan, scores) for scores in progress.scores] if plan.keep_best else []


def _patience_ended(plan: Plan, progress: Progress) -> bool:
    late = sum(score["step"] > progress.best_step for score in progress.scores)
    return plan.patience > 0 and progress.best is not None and late >= plan.patience


def _take_best(model: Any, plan: Plan, progress: Progress, home: Path, calls: Calls) -> None:
    """Leave the kept weights in the model: the best ones, or what the extras judge by."""
    if progress.best_step:
        from safetensors.torch import load_file

        calls.team.wait()
        checkpoint.load_trained(model, load_file(home / "best" / "weights.safetensors"))
        return
    with judged(model, calls):
        kept = {name: tensor.detach().clone() for name, tensor in checkpoint.trained(model).items()} if calls.extras else {}
    if kept:
        checkpoint.load_trained(model, kept)
