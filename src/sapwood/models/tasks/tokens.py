"""Stretches of a text with a label each: names, products, clauses."""

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


class Tokens(Task):
    """Entities by BIO tags on units: characters of Chinese, words of English. A text over the longest input is read in several windows,
    and a span across a cut is lost. An answer is the list of spans; it is right when start, end and label are."""

    best: ClassVar[str] = "f1"

    kind: Literal["tokens"] = "tokens"
    spans: str = Field("meta.spans", description='Field with the entities: a JSON list such as [[0, 3, "PER"]], in characters of the text.')
    pieces: Literal["first", "all"] = Field("first", description="Which tokens of a word learn its tag; the first one always answers.")

    def fields(self) -> Sequence[str]:
        return ("text", self.spans)

    def entities(self, rows: Sequence[Row]) -> list[list[Span]]:
        """The entities of each row."""
        return [marked.parsed(row[self.spans], row["text"], row["id"]) for row in rows]

    def settled(self, rows: Sequence[Row], start: Card) -> Tokens:
        if start.task != self.kind and not any(self.entities(rows)):
            raise InputError(
                f"no training example has an entity in {self.spans}", "mark some, or name the field that holds them in task.spans"
            )
        return self

    def labels(self, rows: Sequence[Row]) -> tuple[str, ...]:
        names = sorted({span.label for spans in self.entities(rows) for span in spans})
        return (marked.OUTSIDE, *(f"{mark}-{name}" for name in names for mark in "BI"))

    def open(self, folder: Path, card: Card, setting: Setting) -> Any:
        from sapwood.models import heads

        return heads.opened(folder, "tokens", card.labels, setting)

    def source(self, reader: Reader, rows: Sequence[Row], batch: int) -> Source:
        from sapwood.models.sources import spans as sources

        return sources.tagged(self._windows(reader, rows), batch, reader.pad)

    def _windows(self, reader: Reader, rows: Sequence[Row]) -> list[Any]:
        import numpy as np

        from sapwood.models import windows
        from sapwood.models.pieces import NO_UNIT
        from sapwood.models.sources.spans import Tagged

        card = reader.card
        number = {label: i for i, label in enumerate(card.labels)}
        cut, read = windows.tagged(reader.tokenizer, [row["text"] for row in rows], card.prefix, card.max_tokens)
        given = [marked.tags(one.places, spans) for one, spans in zip(read, self.entities(rows), strict=True)]
        _known(rows, given, number)
        found = []
        for one in cut:
            first = windows.firsts(one.unit)
            places = first if self.pieces == "first" else np.flatnonzero(one.unit != NO_UNIT)
            begins = np.isin(places, first)
            tags = [given[one.row][unit] for unit in one.unit[places]]
            told = [tag if begin else tag.replace("B-", "I-", 1) for tag, begin in zip(tags, begins, strict=True)]
            if len(places):  # a text without one letter teaches nothing
                found.append(Tagged(one.ids, places, np.asarray([number[tag] for tag in told], dtype=np.int64)))
        return found

    def objective(self, smoothing: float = 0.0) -> Objective:
        from sapwood.models.objectives.spans import tagging

        return tagging(smoothing)

    def answers(self, model: Any, reader: Reader, rows: Sequence[Row], precision: str, advance: Advance = None) -> Answers:
        from sapwood.models import heads, windows

        labels = reader.card.labels
        cut, read = windows.tagged(reader.tokenizer, [row["text"] for row in rows], reader.card.prefix, reader.card.max_tokens)
        given = [[marked.OUTSIDE] * len(one.places) for one in read]
        for part, answered in heads.asked(model, [one.ids for one in cut], reader.pad, precision):
            best = answered.logits.float().argmax(-1).cpu().numpy()
            for row, window in zip(best, (cut[i] for i in part), strict=True):
                for place in windows.firsts(window.unit):
                    given[window.row][window.unit[place]] = labels[row[place]]
        if advance:
            advance(len(rows))
        return [marked.from_tags(one.places, tags) for one, tags in zip(read, given, strict=True)]

    def measured(self, rows: Sequence[Row], answers: Answers, labels: Sequence[str]) -> Measured:
        from sapwood.metrics import spans

        names = [label[2:] for label in labels if label.startswith("B-")]
        truth = self.entities(rows)
        for row, found in zip(rows, truth, strict=True):
            if strange := {span.label for span in found} - set(names):
                raise InputError(f"row {row['id']} has the label {min(strange)}; the model's are {', '.join(names)}", "relabel it")
        return spans.entities(truth, answers, names)

    def told(self, row: Row, answer: Any, labels: Sequence[str]) -> Told:
        return Told(row["text"], _shown(row["text"], self.entities([row])[0]), _shown(row["text"], answer))


def _known(rows: Sequence[Row], given: Sequence[Sequence[str]], number: dict[str, int]) -> None:
    for row, tags in zip(rows, given, strict=True):
        if strange := set(tags) - set(number):
            known = ", ".join(label[2:] for label in number if label.startswith("B-"))
            raise InputError(f"row {row['id']} has the label {min(strange)[2:]}; the model's are {known}", "relabel it")


def _shown(text: str, spans: Sequence[Span]) -> str:
    return ", ".join(f"{text[span.start : span.end]} {span.label}" for span in spans) or "none"
