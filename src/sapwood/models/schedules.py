"""Schedules: the share of the peak rate at each step. Every one rises first; all are pure functions of the step and of the scores
so far, so a resumed training goes on at the same rate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class _Block(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    warmup: float = Field(0.1, ge=0, le=1, description="Share of the steps in which the rate rises from 0.")


class Linear(_Block):
    """Falls evenly to `floor` after the last step."""

    kind: Literal["linear"] = "linear"
    floor: float = Field(0.0, ge=0, le=1, description="Share of the peak that is left at the end.")


class Cosine(_Block):
    """Falls along half a cosine to `floor` (Loshchilov and Hutter 2017)."""

    kind: Literal["cosine"] = "cosine"
    floor: float = Field(0.0, ge=0, le=1, description="Share of the peak that is left at the end.")


class Constant(_Block):
    """Stays at the peak."""

    kind: Literal["constant"] = "constant"


class Plateau(_Block):
    """Multiplied by `factor` after each `patience` evaluations without a better score."""

    kind: Literal["plateau"] = "plateau"
    patience: int = Field(2, ge=1, description="Evaluations without a better score before the rate falls.")
    factor: float = Field(0.5, gt=0, lt=1, description="What is left of the rate then.")


Schedule = Annotated[Linear | Cosine | Constant | Plateau, Field(discriminator="kind")]


def share(schedule: Linear | Cosine | Constant | Plateau, step: int, steps: int, scores: Sequence[float] = ()) -> float:
    """The share of the peak rate for step `step` (from 0) of `steps`. `scores` are those evaluated so far, higher being better."""
    rise = round(schedule.warmup * steps)
    if step < rise:
        return (step + 1) / (rise + 1)
    left = 1 - (step - rise) / max(1, steps - rise)
    match schedule:
        case Linear():
            return schedule.floor + (1 - schedule.floor) * left
        case Cosine():
            return schedule.floor + (1 - schedule.floor) * (0.5 - 0.5 * math.cos(math.pi * left))
        case Constant():
            return 1.0
        case Plateau():
            return schedule.factor ** falls(scores, schedule.patience)


def falls(scores: Sequence[float], patience: int) -> int:
    """How often `patience` scores in a row were not better than the best before them."""
    best, waited, found = -math.inf, 0, 0
    for score in scores:
        if score > best:
            best, waited = score, 0
            continue
        waited += 1
        if waited == patience:
            found, waited = found + 1, 0
    return found
