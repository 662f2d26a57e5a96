"""One number a text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field

from sapwood.errors import InputError
from sapwood.models.tasks.task import Advance, Answers, Reader, Row, Setting, Task, Told

if TYPE_CHECKING:
    from pathlib import Path

    from sapwood.metrics.measured import Measured
    from sapwood.models.card import Card
    from sapwood.models.objectives.terms import Objective
    from sapwood.models.sources.source import Source


class Regression(Task):
    """One number a text. The head learns (number - centre) / scale, so that the learning rate does not depend on the number's unit; both are
    taken from the training rows and kept in the card. An answer is the number in its own unit."""

    best: ClassVar[str] = "-mse"

    kind: Literal["regression"] = "regression"
    value: str = Field("label", description="Field with the number.")
    centre: float | None = Field(
        None, allow_inf_nan=False, description="What the head's 0 means; by default the mean of the training rows."
    )
    scale: float | None = Field(None, gt=0, allow_inf_nan=False, description="What the head's 1 means; by default their deviation.")

    def fields(self) -> Sequence[str]:
        return ("text", self.value)

    def numbers(self, rows: Sequence[Row]) -> Any:
        """float64 (n,); `InputError` names the row whose value is no number."""
        import numpy as np

        found = np.zeros(len(rows))
        for place, row in enumerate(rows):
            try:
                found[place] = float(row[self.value])
            except ValueError:
                found[place] = math.nan
            if not math.isfinite(found[place]):
                raise InputError(f"row {row['id']}: {self.value} is {row[self.value]!r}, not a number", "mend or drop the row")
        return found

    def settled(self, rows: Sequence[Row], start: Card) -> Self:
        """Centre and scale of the model that is continued, else of the rows."""
        before = start.asks if start.task == self.kind else {}
        numbers = self.numbers(rows)
        centre = before.get("centre", float(numbers.mean())) if self.centre is None else self.centre
        scale = before.get("scale", float(numbers.std()) or 1.0) if self.scale is None else self.scale
        return self.model_copy(update={"centre": centre, "scale": scale})

    def open(self, folder: Path, card: Card, setting: Setting) -> Any:
        from sapwood.models import heads

        return heads.opened(folder, "text", ("number",), setting, "regression")

    def source(self, reader: Reader, rows: Sequence[Row], batch: int) -> Source:
        from sapwood.models.sources.labelled import LabelledTexts
        from sapwood.models.tasks.classification import encoded

        targets = (self.numbers(rows) - (self.centre or 0.0)) / (self.scale or 1.0)
        return LabelledTexts(encoded(reader, rows), targets, batch, reader.pad, term="number")

    def objective(self, smoothing: float = 0.0) -> Objective:
        from sapwood.models.objectives.classes import regression

        return regression

    def answers(self, model: Any, reader: Reader, rows: Sequence[Row], precision: str, advance: Advance = None) -> Answers:
        from sapwood.models import heads
        from sapwood.models.tasks.classification import encoded

        said = heads.text_logits(model, encoded(reader, rows), reader.pad, precision, advance)[:, 0].astype(float)
        return said * (self.scale or 1.0) + (self.centre or 0.0)

    def measured(self, rows: Sequence[Row], answers: Answers, labels: Sequence[str]) -> Measured:
        import numpy as np

        from sapwood.metrics import numbers

        return numbers.predicted(self.numbers(rows), np.asarray(answers, dtype=np.float64))

    def told(self, row: Row, answer: Any, labels: Sequence[str]) -> Told:
        return Told(row["text"], row[self.value], f"{answer:.4g}")
