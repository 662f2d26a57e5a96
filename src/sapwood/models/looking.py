"""A look at what training is about to see, without training: the source of batches as a stage has built it, whatever the stage.

The loop asks `LOOK` before its first step. Only `sight` sets it, for the time of one call, so nothing of it is left in a training run.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from sapwood.models.sources.source import Source


@dataclass(frozen=True)
class Sight:
    """What the loop was called with."""

    model: Any
    source: Source
    seed: int


class _Seen(Exception):
    def __init__(self, sight: Sight) -> None:
        super().__init__("training was only looked at")
        self.sight = sight


LOOK: ContextVar[Callable[[Sight], None] | None] = ContextVar("look", default=None)


def look(model: Any, source: Source, seed: int) -> None:
    """Called by the loop before its first step; ends the call when someone looks."""
    if (asked := LOOK.get()) is not None:
        asked(Sight(model, source, seed))


def sight(call: Callable[[], object]) -> Sight | None:
    """Run `call` up to the first step of the first training in it; None where it trains nothing."""

    def stop(found: Sight) -> None:
        raise _Seen(found)

    token = LOOK.set(stop)
    try:
        call()
    except _Seen as seen:
        return seen.sight
    finally:
        LOOK.reset(token)
    return None
