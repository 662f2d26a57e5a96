"""Remember: what holds a model to what it knew while it learns something new. Loads no torch until used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from sapwood.errors import InputError
from sapwood.models.regularise import COMPARED

if TYPE_CHECKING:
    from sapwood.models.objectives.terms import Objective
    from sapwood.models.sources.source import Source
    from sapwood.models.tasks.task import Reader, Row, Task

OWN_WEIGHTS = frozenset({"full", "freeze"})
"""Methods that train the model's own weights."""


class Remember(BaseModel):
    """Against forgetting. `replay` and `elastic` need old examples on the port `old`; `elastic` and `distil` a model that does the task
    already. How much was forgotten is not measured here: score the new model on old examples."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    replay: float = Field(0.0, ge=0, lt=1, description="Share of the examples of each step that are old ones.")
    elastic: float = Field(0.0, ge=0, description="Strength that holds each weight to where it was, by what it is worth on old examples.")
    estimated_on: int = Field(256, ge=1, description="Old examples that say what a weight is worth to elastic.")
    distil: float = Field(0.0, ge=0, description="Weight of the difference from the old model's answers.")
    temperature: float = Field(2.0, gt=0, description="Softens both answers that distil compares.")

    def refusals(self, task: str, method: str) -> list[str]:
        """What cannot be done with that task and method, one sentence each."""
        found = []
        if self.elastic and method not in OWN_WEIGHTS:
            found.append(f"remember.elastic holds a model's own weights, which method {method} does not train; it keeps them as they are")
        if self.distil and task not in COMPARED:
            found.append(f"remember.distil compares answers to a text, which {task} does not have whole; use replay or elastic")
        return found

    def unfed(self, old: bool) -> str:
        """What is wrong with having old examples, or none; one sentence, empty where nothing is."""
        if (self.replay or self.elastic) and not old:
            return "remember.replay and remember.elastic take old examples, and there are none; wire examples to the port old"
        if old and not (self.replay or self.elastic):
            return "there are old examples, and remember takes nothing from them; set remember.replay or remember.elastic"
        return ""

    def fits(self, old: Sequence[Row], continued: bool) -> None:
        """`InputError` where what it needs is not there. `continued`: the model does the task already."""
        if wrong := self.unfed(bool(old)):
            raise InputError(*wrong.rsplit("; ", 1))
        if (self.elastic or self.distil) and not continued:
            raise InputError(
                "remember.elastic and remember.distil hold to what a model knew of this task, and this one never did it",
                "start from a model that was fine-tuned for the task, or use replay",
            )

    def mixed(self, task: Task, reader: Reader, rows: Sequence[Row], old: Sequence[Row], batch: int) -> Source:
        """Batches of `batch` examples a step, of which a share is old."""
        again = min(batch - 1, max(1, round(self.replay * batch))) if self.replay else 0
        new = task.source(reader, rows, batch - again)
        if not again:
            return new
        from sapwood.models.sources.mixed import Mixed

        return Mixed(new, task.source(reader, old, again))

    def wrapped(self, inner: Objective, task: Task, reader: Reader, old: Sequence[Row], net: Any, teacher: Any, seed: int) -> Objective:
        """The objective with what this block adds. `teacher` is the model as it was; `net` stands at the old weights."""
        from sapwood.models.objectives import wrapping

        plain = task.objective(0.0)
        if self.distil:
            inner = wrapping.distilled(inner, teacher, COMPARED[task.kind], self.distil, self.temperature)  # type: ignore[attr-defined]
        if self.elastic:
            stiff = wrapping.fisher(net, task.source(reader, old, 1), plain, seed, self.estimated_on)
            were = {name: p.detach().clone() for name, p in net.named_parameters() if p.requires_grad}
            inner = wrapping.elastic(inner, were, stiff, self.elastic)
        return inner
