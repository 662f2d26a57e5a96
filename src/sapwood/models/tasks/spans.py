"""Questions that a stretch of a text answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from sapwood.errors import InputError
from sapwood.models.tasks.task import Advance, Answers, Reader, Row, Setting, Task, Told
from sapwood.text import spans as marked
from sapwood.text.spans import Span

if TYPE_CHECKING:
    from pathlib import Path

    from sapwood.metrics.measured import Measured
    from sapwood.models.card import Card
    from sapwood.models.objectives.terms import Objective
    from sapwood.models.pieces import Pieces
    from sapwood.models.sources.source import Source
    from sapwood.models.windows import Window


class Spans(Task):
    """Find the stretch of a text that answers a question, or say that there is none. A long text is read in overlapping windows. An answer
    is a span, or nothing. Begins and ends at units: characters of Chinese, words of English.

    Mechanics only: no real text with questions comes with Sapwood, so it was proven on made-up ones.
    """

    best: ClassVar[str] = "f1"

    kind: Literal["spans"] = "spans"
    question: str = Field("meta.question", description="Field with the question.")
    spans: str = Field(
        "meta.answers", description="Field with the right answers, a JSON list such as [[4, 9]]; an empty list says there is none."
    )
    longest: int = Field(40, ge=1, description="Most units of an answer.")
    threshold: float = Field(0.0, allow_inf_nan=False, description="How much better than no answer a span must score.")

    def fields(self) -> Sequence[str]:
        return ("text", self.question, self.spans)

    def right(self, rows: Sequence[Row]) -> list[list[Span]]:
        """The right answers of each row."""
        return [marked.parsed(row[self.spans], row["text"], row["id"]) for row in rows]

    def settled(self, rows: Sequence[Row], start: Card) -> Spans:
        if silent := next((row["id"] for row in rows if not row[self.question].strip()), ""):
            raise InputError(f"row {silent} has no question in {self.question}", "name the field that holds it in task.question")
        if start.task != self.kind and not any(self.right(rows)):
            raise InputError(
                f"no training example has an answer in {self.spans}", "mark some, or name the field that holds them in task.spans"
            )
        return self

    def open(self, folder: Path, card: Card, setting: Setting) -> Any:
        from sapwood.models import heads

        return heads.opened(folder, "span", (), setting)

    def source(self, reader: Reader, rows: Sequence[Row], batch: int) -> Source:
        from sapwood.models.sources import spans as sources

        cut, read = self._windows(reader, rows)
        right = self.right(rows)
        return sources.asked([_taught(one, read[one.row], right[one.row]) for one in cut], batch, reader.pad)

    def objective(self, smoothing: float = 0.0) -> Objective:
        from sapwood.models.objectives.spans import span

        return span

    def answers(self, model: Any, reader: Reader, rows: Sequence[Row], precision: str, advance: Advance = None) -> Answers:
        from sapwood.models import heads

        cut, read = self._windows(reader, rows)
        found: list[tuple[float, Span | None]] = [(self.threshold, None)] * len(rows)
        for part, answered in heads.asked(model, [one.ids for one in cut], reader.pad, precision):
            starts, ends = (logits.float().cpu().numpy() for logits in (answered.start_logits, answered.end_logits))
            for line, window in enumerate(cut[i] for i in part):
                better, start, end = _best(window, starts[line], ends[line], self.longest)
                if better > found[window.row][0]:
                    places = read[window.row].places
                    found[window.row] = better, Span(places[start][0], places[end][1])
        if advance:
            advance(len(rows))
        return [span for _, span in found]

    def measured(self, rows: Sequence[Row], answers: Answers, labels: Sequence[str]) -> Measured:
        from sapwood.metrics import spans

        return spans.answers([row["text"] for row in rows], self.right(rows), answers)

    def told(self, row: Row, answer: Any, labels: Sequence[str]) -> Told:
        text, right = row["text"], self.right([row])[0]
        said = text[answer.start : answer.end] if answer else "no answer"
        return Told(f"{row[self.question]} | {text}", " / ".join(text[one.start : one.end] for one in right) or "no answer", said)

    def _windows(self, reader: Reader, rows: Sequence[Row]) -> tuple[list[Window], list[Pieces]]:
        from sapwood.models import windows

        questions = [row[self.question] for row in rows]
        return windows.asked(reader.tokenizer, questions, [row["text"] for row in rows], reader.card.max_tokens, reader.pad)


def _taught(window: Window, read: Pieces, right: Sequence[Span]) -> Any:
    """The first right answer that lies whole in the window, else its last token, which means no answer."""
    import numpy as np

    from sapwood.models.pieces import NO_UNIT
    from sapwood.models.sources.spans import Asked

    inside = window.unit != NO_UNIT
    last = len(window.ids) - 1
    where = [(span, np.flatnonzero(inside & np.isin(window.unit, _units(read, span)))) for span in right]
    start, end = next(((int(p[0]), int(p[-1])) for s, p in where if len(p) and set(_units(read, s)) <= set(window.unit[p])), (last, last))
    allowed = inside.copy()
    allowed[last] = True
    return Asked(window.ids, allowed, start, end)


def _units(read: Pieces, span: Span) -> list[int]:
    return [unit for unit, (start, end) in enumerate(read.places) if start < span.end and end > span.start]


def _best(window: Window, starts: Any, ends: Any, longest: int) -> tuple[float, int, int]:
    """(how much better than no answer, first unit, last unit) of the best span of a window."""
    import numpy as np

    from sapwood.models.pieces import NO_UNIT

    places = np.flatnonzero(window.unit != NO_UNIT)
    if not len(places):
        return -np.inf, 0, 0
    units = window.unit[places]
    both = starts[places][:, None] + ends[places][None, :]
    apart = units[None, :] - units[:, None]
    both[(apart < 0) | (apart >= longest) | (places[None, :] < places[:, None])] = -np.inf
    first, last = np.unravel_index(int(both.argmax()), both.shape)
    return float(both[first, last] - starts[len(window.ids) - 1] - ends[len(window.ids) - 1]), int(units[first]), int(units[last])
