"""What to do when training goes wrong: a loss that is no number, a gradient that leaps, a loss that does not move.

The rules look at what the loop has measured and decide; what they decided is kept in the history, so that `sapwood why` can say it.
They do NOT look at what the model answers: a loss that falls on wrong labels falls too.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

RECENT = 50
"""Steps whose gradient norms tell what is usual."""
FEWEST = 10
"""Steps that must have been seen before a leap can be told."""

Deed = Literal["go", "skip", "stop"]


class Rules(BaseModel):
    """What stops training, and what only costs a step."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    not_finite: Literal["stop", "skip"] = Field("stop", description="When loss or gradient is no number: stop, or leave that step out.")
    spike: float = Field(0.0, ge=0, description="A gradient norm that many times the median of the last 50 is a spike; 0 looks for none.")
    on_spike: Literal["skip", "stop"] = Field("skip", description="What a spike does: leave that step out, or stop.")
    skips: int = Field(5, ge=0, description="Steps in a row that may be left out; one more stops training.")
    stuck: int = Field(0, ge=0, description="Stop when the mean loss of that many steps is no lower than that of as many before; 0 never.")


class Found(NamedTuple):
    """What happened at a step and what is done about it."""

    deed: Deed
    what: str = ""
    value: float = 0.0
    usual: float = 0.0


def judge(rules: Rules, loss: float, norm: float, norms: Sequence[float], skipped: int) -> Found:
    """Before the optimiser moves. `norms` are those of the last `RECENT` steps that were taken, `skipped` the steps left out in a row."""
    found = Found("go")
    if not (math.isfinite(loss) and math.isfinite(norm)):
        found = Found(rules.not_finite, "not finite", loss if not math.isfinite(loss) else norm)
    elif rules.spike and len(norms) >= FEWEST and norm > rules.spike * (usual := statistics.median(norms)):
        found = Found(rules.on_spike, "spike", norm, usual)
    return found._replace(deed="stop") if found.deed == "skip" and skipped >= rules.skips else found


def stuck(rules: Rules, losses: Sequence[float]) -> Found:
    """After a step. `losses` are the step losses so far, at least the last two spans of `rules.stuck`."""
    span = rules.stuck
    if not span or len(losses) < 2 * span:
        return Found("go")
    before, now = statistics.fmean(losses[-2 * span : -span]), statistics.fmean(losses[-span:])
    return Found("stop", "stuck", now, before) if now >= before else Found("go")


def told(incident: dict[str, Any]) -> str:
    """One incident in plain words, with what to try."""
    step, value, usual = int(incident["step"]), incident["value"], incident["usual"]
    end = "training stopped there" if incident["did"] == "stop" else "the step was left out"
    match incident["what"]:
        case "not finite":
            return f"step {step}: loss or gradient was {value}, no number; {end}. Lower the rate, or use precision fp32."
        case "spike":
            return f"step {step}: the gradient's norm was {value:.3g}, usually {usual:.3g}; {end}. Look at the documents of that step."
        case _:
            return (
                f"step {step}: the loss has not fallen ({value:.4g} now, {usual:.4g} before); {end}. Raise the rate, or check the labels."
            )
