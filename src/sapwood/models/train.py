"""The one training loop: a plain function over a model, a source of batches and an objective.

A step takes the source's micro-batches at (seed, epoch, index), divides each term by its trained units in the WHOLE step,
adds the terms, clips, and moves with AdamW. It saves before it evaluates, proves the first save at once, and continues
exactly where the newest complete checkpoint stands (same build, CPU type and threads).
What it does NOT do: more than one process, or fp16 (bf16 needs no loss scaling).
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field

from sapwood.errors import Interrupted, SapwoodError
from sapwood.models import checkpoint
from sapwood.models.objectives import Batch, Objective
from sapwood.models.sources import Source

Scores = Mapping[str, float]


class Plan(BaseModel):
    """How long and how fast. All counts are optimiser steps."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int = Field(ge=1)
    lr: float = Field(gt=0, description="Peak learning rate.")
    warmup: float = Field(0.1, ge=0, le=1, description="Share of the steps in which the rate rises from 0.")
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    weight_decay: float = Field(0.01, ge=0, description="Of matrices only, not of biases and norms.")
    clip: float = Field(1.0, gt=0, description="Largest norm of the whole gradient.")
    precision: Literal["fp32", "bf16"] = "fp32"
    log_every: int = Field(10, ge=1)
    save_every: int = Field(0, ge=0, description="0 saves before evaluations and when stopped only.")
    evaluate_every: int = Field(0, ge=0, description="0 evaluates at the end only.")
    keep_best: str = Field("", description="Score whose highest value picks the weights kept; empty keeps the last.")
    patience: int = Field(0, ge=0, description="Stop after that many evaluations without a better score; 0 never.")


def _nothing(*_: Any, **__: Any) -> None:
    return None


@dataclass(frozen=True)
class Calls:
    """What the loop calls: `log(step=, loss=, ...)`, `advance(steps)`, `stopping()`, `evaluate(model) -> scores`."""

    log: Callable[..., None] = _nothing
    advance: Callable[[float], None] = _nothing
    stopping: Callable[[], bool] = lambda: False
    evaluate: Callable[[Any], Scores] | None = None


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


def train(model: Any, source: Source, objective: Objective, plan: Plan, seed: int, home: Path, calls: Calls = Calls()) -> Progress:
    """Train in place and return the history. `home` keeps the checkpoints; a newest one there is continued.

    Raises `Interrupted` after saving when `calls.stopping()`, `SapwoodError` naming the step when the loss is not finite.
    """
    optimiser = make_optimiser(model, plan)
    with deterministic():
        progress = _resume(home, model, optimiser)
        if progress is None:
            torch.manual_seed(seed)
            random.seed(seed)
            np.random.seed(seed)
            progress = Progress()
        calls.advance(progress.step)
        _evaluate_if_due(model, plan, progress, home, calls)
        while progress.step < plan.steps and not _patience_ended(plan, progress):
            one_step(model, source, objective, plan, seed, optimiser, progress)
            _log_if_due(plan, progress, calls)
            calls.advance(1)
            stopping = calls.stopping()
            if stopping or _save_due(plan, progress.step):
                _save(home, model, optimiser, progress)
            if stopping:
                raise Interrupted(f"stopped and saved after step {progress.step} of {plan.steps}", "run the same command again to continue")
            _evaluate_if_due(model, plan, progress, home, calls)
        _take_best(model, plan, progress, home)
    return progress


def one_step(
    model: Any, source: Source, objective: Objective, plan: Plan, seed: int, optimiser: torch.optim.Optimizer, progress: Progress
) -> None:
    """Forward and backward over the micro-batches, one move, and the cursor one further."""
    model.train()
    micro = source.at(seed, progress.epoch, progress.index)
    sums = accumulate(model, micro, objective, plan.precision)
    norm = torch.nn.utils.clip_grad_norm_([p for p in model.parameters() if p.grad is not None], plan.clip)
    loss = sums["loss"][0]
    if not (math.isfinite(loss) and math.isfinite(float(norm))):
        raise SapwoodError(f"step {progress.step + 1}: the loss is {loss}, its gradient {float(norm)}", "lower lr, or use precision fp32")
    rate = plan.lr * factor(plan, progress.step)
    for group in optimiser.param_groups:
        group["lr"] = rate
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    for name, (value, units) in sums.items():
        kept = progress.since.setdefault(name, [0.0, 0.0])
        kept[0], kept[1] = kept[0] + value, kept[1] + units
    progress.step, progress.index = progress.step + 1, progress.index + 1
    if progress.index >= source.steps(seed, progress.epoch):
        progress.epoch, progress.index = progress.epoch + 1, 0


def accumulate(model: Any, micro: list[Batch], objective: Objective, precision: str) -> dict[str, list[float]]:
    """Gradients of the step's loss, left in `.grad`. Returns (sum, units) by name; `loss` is the step's loss, units 1."""
    whole: dict[str, int] = {}
    for batch in micro:
        for name, count in batch.trained.items():
            whole[name] = whole.get(name, 0) + count
    sums: dict[str, list[float]] = {"loss": [0.0, 1.0]}
    for batch in micro:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):
            terms = objective(model, batch)
        assert dict(terms.count) == dict(batch.trained), "the objective trained other units than the source announced"
        loss = torch.stack([total / whole[name] for name, total in terms.sum.items()]).sum()
        loss.backward()
        sums["loss"][0] += float(loss.detach())
        counted = {name: (float(total.detach()), terms.count[name]) for name, total in terms.sum.items()}
        for name, (value, units) in {**(counted if len(counted) > 1 else {}), **terms.logs}.items():
            kept = sums.setdefault(name, [0.0, 0.0])
            kept[0], kept[1] = kept[0] + value, kept[1] + units
    return sums


def make_optimiser(model: Any, plan: Plan) -> torch.optim.Optimizer:
    """AdamW (Loshchilov and Hutter 2019) over what requires a gradient; frozen weights get no state."""
    trainable = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trainable if p.ndim > 1], "weight_decay": plan.weight_decay},
        {"params": [p for p in trainable if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([g for g in groups if g["params"]], lr=plan.lr, betas=(0.9, 0.98), eps=1e-6, fused=True)


def factor(plan: Plan, step: int) -> float:
    """The share of the peak rate for step `step` (from 0): a linear rise, then the schedule down to 0 after the last step."""
    rise = round(plan.warmup * plan.steps)
    if step < rise:
        return (step + 1) / (rise + 1)
    left = 1 - (step - rise) / max(1, plan.steps - rise)
    return {"linear": left, "cosine": 0.5 - 0.5 * math.cos(math.pi * left), "constant": 1.0}[plan.schedule]


@contextmanager
def deterministic() -> Iterator[None]:
    """Deterministic algorithms inside; the generators of torch, Python and numpy are put back after."""
    python, numpy = random.getstate(), np.random.get_state()
    before, fill = torch.are_deterministic_algorithms_enabled(), torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    with torch.random.fork_rng(devices=[]):
        torch.use_deterministic_algorithms(True)
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)
            torch.use_deterministic_algorithms(before)
            torch.utils.deterministic.fill_uninitialized_memory = fill  # type: ignore[attr-defined]


def _resume(home: Path, model: Any, optimiser: torch.optim.Optimizer) -> Progress | None:
    found = checkpoint.newest(home)
    if found is None:
        return None
    return Progress(**checkpoint.load(found, model, optimiser)["progress"])


def _save(home: Path, model: Any, optimiser: torch.optim.Optimizer, progress: Progress) -> None:
    folder = checkpoint.save(home, progress.step, model, optimiser, {"progress": vars(progress)})
    if progress.step == 1 and not checkpoint.intact(folder):
        raise SapwoodError("the first checkpoint does not read back as it was written", "check the disk that holds the store")


def _save_due(plan: Plan, step: int) -> bool:
    """After the first step (to learn early that saving works), every `save_every`, and before each evaluation."""
    return step == 1 or (plan.save_every > 0 and step % plan.save_every == 0) or _evaluation_due(plan, step)


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
    with torch.random.fork_rng(devices=[]), torch.inference_mode():
        scores = dict(calls.evaluate(model))
    progress.scores.append({"step": float(progress.step), **scores})
    calls.log(step=float(progress.step), **{f"dev_{name}": value for name, value in scores.items()})
    if plan.keep_best and (progress.best is None or scores[plan.keep_best] > progress.best):
        weights = {name: tensor.detach() for name, tensor in checkpoint.trained(model).items()}
        checkpoint.write(home / "best", {"weights.safetensors": weights}, {"step": progress.step})
        progress.best, progress.best_step = scores[plan.keep_best], progress.step


def _patience_ended(plan: Plan, progress: Progress) -> bool:
    late = sum(score["step"] > progress.best_step for score in progress.scores)
    return plan.patience > 0 and progress.best is not None and late >= plan.patience


def _take_best(model: Any, plan: Plan, progress: Progress, home: Path) -> None:
    if progress.best_step and progress.best_step != progress.step:
        from safetensors.torch import load_file

        checkpoint.load_trained(model, load_file(home / "best" / "weights.safetensors"))
