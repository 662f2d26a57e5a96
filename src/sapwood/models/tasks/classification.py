"""One class a text."""

from __future__ import annotations

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


class Classification(Task):
    """One class a text, by a head on the encoder's pooled state. An answer is the probability of each class."""

    best: ClassVar[str] = "macro_f1"

    kind: Literal["classification"] = "classification"
    label: str = Field("label", description="Field with the class.")

    def fields(self) -> Sequence[str]:
        return ("text", self.label)

    def labels(self, rows: Sequence[Row]) -> tuple[str, ...]:
        return tuple(sorted({row[self.label] for row in rows}))

    def open(self, folder: Path, card: Card, setting: Setting) -> Any:
        from sapwood.models import architectures

        return architectures.classifier(folder, card.labels, setting.seed, setting.precision, setting.dropout)

    def source(self, reader: Reader, rows: Sequence[Row], batch: int) -> Source:
        from sapwood.models.sources.labelled import LabelledTexts

        return LabelledTexts(encoded(reader, rows), numbers(reader.card.labels, [row[self.label] for row in rows]), batch, reader.pad)

    def objective(self, smoothing: float = 0.0) -> Objective:
        from sapwood.models.objectives.classes import classification

        return classification(smoothing)

    def answers(self, model: Any, reader: Reader, rows: Sequence[Row], precision: str, advance: Advance = None) -> Answers:
        from sapwood.models.predict import probabilities

        return probabilities(model, encoded(reader, rows), reader.pad, autocast=precision == "bf16", advance=advance)

    def measured(self, rows: Sequence[Row], answers: Answers, labels: Sequence[str]) -> Measured:
        import numpy as np

        from sapwood.metrics import classes

        return classes.single(numbers(labels, [row[self.label] for row in rows]), np.asarray(answers, dtype=np.float64))

    def told(self, row: Row, answer: Any, labels: Sequence[str]) -> Told:
        return Told(row["text"], row[self.label], labels[int(answer.argmax())])


def numbers(labels: Sequence[str], given: Sequence[str]) -> Any:
    """The class number of each, int64 (n,); `InputError` for a label that is none of `labels`."""
    import numpy as np

    known = {label: i for i, label in enumerate(labels)}
    if strange := sorted(set(given) - set(known)):
        raise InputError(f"the examples have labels {', '.join(strange)}; the model's are {', '.join(labels)}", "relabel the examples")
    return np.asarray([known[label] for label in given], dtype=np.int64)


def encoded(reader: Reader, rows: Sequence[Row]) -> list[Any]:
    """The ids of each row's text, as training, evaluation and serving read it."""
    from sapwood.models import texts

    return texts.encode(reader.tokenizer, [row["text"] for row in rows], reader.card.prefix, reader.card.max_tokens)
