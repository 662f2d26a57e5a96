"""Several classes a text, or none."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from sapwood.errors import InputError
from sapwood.models.tasks.task import Advance, Answers, Reader, Row, Setting, Task, Told

if TYPE_CHECKING:
    from pathlib import Path

    from sapwood.metrics.measured import Measured
    from sapwood.models.card import Card
    from sapwood.models.objectives.terms import Objective
    from sapwood.models.sources.source import Source


class Multilabel(Task):
    """Any number of classes a text, each told by itself. An answer is the probability of each class; a class holds from .5 on."""

    best: ClassVar[str] = "micro_f1"

    kind: Literal["multilabel"] = "multilabel"
    label: str = Field("label", description="Field with the classes: a JSON list, or names parted by `separator`.")
    separator: str = Field("|", min_length=1, description="What stands between two classes where the field is no JSON list.")

    def fields(self) -> Sequence[str]:
        return ("text", self.label)

    def labels(self, rows: Sequence[Row]) -> tuple[str, ...]:
        return tuple(sorted({name for row in rows for name in self.names(row)}))

    def names(self, row: Row) -> list[str]:
        """The classes of a row; empty where it has none. `InputError` for a list of anything but names."""
        value = row[self.label].strip()
        if not value.startswith("["):
            return [name.strip() for name in value.split(self.separator) if name.strip()]
        try:
            found = json.loads(value)
        except ValueError:
            found = None
        if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
            raise InputError(f"row {row['id']}: {self.label} is no JSON list of names", 'write ["price", "size"], or price|size')
        return found

    def truth(self, rows: Sequence[Row], labels: Sequence[str]) -> Any:
        """float64 (n, labels) of 0 and 1; `InputError` for a class that is none of `labels`."""
        import numpy as np

        known = {label: i for i, label in enumerate(labels)}
        found = np.zeros((len(rows), len(labels)))
        for number, row in enumerate(rows):
            for name in self.names(row):
                if name not in known:
                    raise InputError(
                        f"row {row['id']} has the class {name}; the model's are {', '.join(labels)}", "relabel it, or train the model on it"
                    )
                found[number, known[name]] = 1
        return found

    def open(self, folder: Path, card: Card, setting: Setting) -> Any:
        from sapwood.models import heads

        return heads.opened(folder, "text", card.labels, setting, "multi_label_classification")

    def source(self, reader: Reader, rows: Sequence[Row], batch: int) -> Source:
        from sapwood.models.sources.labelled import LabelledTexts
        from sapwood.models.tasks.classification import encoded

        return LabelledTexts(encoded(reader, rows), self.truth(rows, reader.card.labels), batch, reader.pad)

    def objective(self, smoothing: float = 0.0) -> Objective:
        from sapwood.models.objectives.classes import multilabel

        return multilabel(smoothing)

    def answers(self, model: Any, reader: Reader, rows: Sequence[Row], precision: str, advance: Advance = None) -> Answers:
        import numpy as np

        from sapwood.models import heads
        from sapwood.models.tasks.classification import encoded

        return 1 / (1 + np.exp(-heads.text_logits(model, encoded(reader, rows), reader.pad, precision, advance).astype(np.float64)))

    def measured(self, rows: Sequence[Row], answers: Answers, labels: Sequence[str]) -> Measured:
        import numpy as np

        from sapwood.metrics import classes

        return classes.several(self.truth(rows, labels), np.asarray(answers, dtype=np.float64))

    def told(self, row: Row, answer: Any, labels: Sequence[str]) -> Told:
        said = [label for label, share in zip(labels, answer, strict=True) if share >= 0.5]
        return Told(row["text"], ", ".join(sorted(self.names(row))) or "none", ", ".join(said) or "none")
