"""Which relation holds between two marked spans of a text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from sapwood.errors import InputError
from sapwood.models.tasks.task import Advance, Answers, Reader, Row, Setting, Task, Told
from sapwood.text import spans as marked

if TYPE_CHECKING:
    from pathlib import Path

    from sapwood.metrics.measured import Measured
    from sapwood.models.card import Card
    from sapwood.models.objectives.terms import Objective
    from sapwood.models.sources.source import Source
    from sapwood.text.spans import Span


class Relations(Task):
    """One relation a pair. Head and tail are marked in the text by punctuation, with their types (Zhou and Chen 2022), so no token is new:
    `@ * PER * 鲁迅 @ and # ^ PER ^ 许广平 #`. An answer is the probability of each relation."""

    best: ClassVar[str] = "f1"

    kind: Literal["relations"] = "relations"
    label: str = Field("label", description="Field with the relation.")
    head: str = Field("meta.head", description='Field with the span that has the relation: JSON such as [0, 2, "PER"].')
    tail: str = Field("meta.tail", description="Field with the span that it has the relation to.")
    none: str = Field("none", description="The label that says there is no relation; f1, precision and recall leave it out.")
    markers: Literal["typed", "plain"] = Field("typed", description="Whether the spans' labels stand in the text beside the marks.")
    context: int = Field(150, ge=0, description="Characters of the text that are read before the first span and after the last one.")

    def fields(self) -> Sequence[str]:
        return ("text", self.label, self.head, self.tail)

    def labels(self, rows: Sequence[Row]) -> tuple[str, ...]:
        return tuple(sorted({row[self.label] for row in rows}))

    def pair(self, row: Row) -> tuple[Span, Span]:
        """Head and tail; `InputError` where one is missing or they overlap."""
        head, tail = (_one(row, name) for name in (self.head, self.tail))
        if head.start < tail.end and tail.start < head.end:
            raise InputError(f"row {row['id']}: head and tail overlap", "a relation is between two separate spans")
        return head, tail

    def text(self, row: Row) -> str:
        """What the model reads: the text around the two spans, with marks."""
        head, tail = self.pair(row)
        text, start = row["text"], max(0, min(head.start, tail.start) - self.context)
        parts, at = [], start
        for span, mark, kind in sorted([(head, "@", "*"), (tail, "#", "^")]):
            typed = f"{kind} {span.label} {kind} " if self.markers == "typed" and span.label else ""
            parts += [text[at : span.start], f" {mark} {typed}{text[span.start : span.end]} {mark} "]
            at = span.end
        return "".join([*parts, text[at : max(head.end, tail.end) + self.context]]).strip()

    def open(self, folder: Path, card: Card, setting: Setting) -> Any:
        from sapwood.models import heads

        return heads.opened(folder, "text", card.labels, setting, "single_label_classification")

    def source(self, reader: Reader, rows: Sequence[Row], batch: int) -> Source:
        from sapwood.models.sources.labelled import LabelledTexts
        from sapwood.models.tasks.classification import numbers

        return LabelledTexts(self._encoded(reader, rows), numbers(reader.card.labels, [r[self.label] for r in rows]), batch, reader.pad)

    def objective(self, smoothing: float = 0.0) -> Objective:
        from sapwood.models.objectives.classes import classification

        return classification(smoothing)

    def answers(self, model: Any, reader: Reader, rows: Sequence[Row], precision: str, advance: Advance = None) -> Answers:
        import numpy as np

        from sapwood.models import heads

        logits = heads.text_logits(model, self._encoded(reader, rows), reader.pad, precision, advance).astype(np.float64)
        shares = np.exp(logits - logits.max(1, keepdims=True))
        return shares / shares.sum(1, keepdims=True)

    def measured(self, rows: Sequence[Row], answers: Answers, labels: Sequence[str]) -> Measured:
        import numpy as np

        from sapwood.metrics import classes
        from sapwood.models.tasks.classification import numbers

        none = labels.index(self.none) if self.none in labels else None
        return classes.related(numbers(labels, [row[self.label] for row in rows]), np.asarray(answers, dtype=np.float64), none)

    def told(self, row: Row, answer: Any, labels: Sequence[str]) -> Told:
        return Told(self.text(row), row[self.label], labels[int(answer.argmax())])

    def _encoded(self, reader: Reader, rows: Sequence[Row]) -> list[Any]:
        from sapwood.models import texts

        return texts.encode(reader.tokenizer, [self.text(row) for row in rows], reader.card.prefix, reader.card.max_tokens)


def _one(row: Row, name: str) -> Span:
    found = marked.parsed(f"[{row[name]}]" if row[name] else "", row["text"], row["id"])
    if len(found) != 1:
        raise InputError(f"row {row['id']}: {name} holds no span", 'write it as [0, 3, "PER"]')
    return found[0]
