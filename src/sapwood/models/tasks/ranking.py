"""A score for a text beside its query."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from sapwood.models.tasks import candidates
from sapwood.models.tasks.task import Advance, Answers, Reader, Row, Setting, Task, Told

if TYPE_CHECKING:
    from pathlib import Path

    from sapwood.metrics.measured import Measured
    from sapwood.models.card import Card
    from sapwood.models.objectives.terms import Objective
    from sapwood.models.sources.source import Source


class Ranking(Task):
    """Order candidates by a score that is read from query and candidate together (cross-encoder). An answer is the score of each candidate.

    An example has text (the query), meta.candidates (a JSON list of texts) and meta.right (the place of the right one, or a list).
    It reads every candidate with its query, so it is dearer than embedding, and mostly better.
    """

    best: ClassVar[str] = "mrr"

    kind: Literal["ranking"] = "ranking"
    loss: Literal["listwise", "pairwise", "pointwise"] = Field(
        "listwise", description="listwise: softmax over the candidates; pairwise: right against each wrong one; pointwise: each by itself."
    )
    wrong: int = Field(4, ge=1, description="Wrong candidates of a query that training reads, drawn for each epoch.")

    def fields(self) -> Sequence[str]:
        return ("text", candidates.CANDIDATES, candidates.RIGHT)

    def open(self, folder: Path, card: Card, setting: Setting) -> Any:
        from sapwood.models import heads

        return heads.opened(folder, "text", ("score",), setting)

    def source(self, reader: Reader, rows: Sequence[Row], batch: int) -> Source:
        import numpy as np

        from sapwood.models.sources.comparing import Candidates, Query

        offered = [candidates.choice(row) for row in rows]
        pairs = iter(_encoded(reader, rows, offered))
        queries = [Query([next(pairs) for _ in one.texts], np.asarray(one.right, dtype=np.int64)) for one in offered]
        return Candidates(queries, batch, self.wrong, reader.pad)

    def objective(self, smoothing: float = 0.0) -> Objective:
        from sapwood.models.objectives.ranking import ranking

        return ranking(self.loss)

    def answers(self, model: Any, reader: Reader, rows: Sequence[Row], precision: str, advance: Advance = None) -> Answers:
        import numpy as np

        from sapwood.models.objectives.ranking import scores

        offered = [candidates.choice(row) for row in rows]
        share = (lambda part: advance(part * len(rows))) if advance else None
        found = scores(model, _encoded(reader, rows, offered), reader.pad, precision, share)
        return np.split(found, np.cumsum([len(one.texts) for one in offered])[:-1])

    def measured(self, rows: Sequence[Row], answers: Answers, labels: Sequence[str]) -> Measured:
        from sapwood.metrics import ranking

        return ranking.ranked([candidates.choice(row).right for row in rows], answers)

    def told(self, row: Row, answer: Any, labels: Sequence[str]) -> Told:
        return candidates.told(row, answer)


def _encoded(reader: Reader, rows: Sequence[Row], offered: Sequence[candidates.Choice]) -> list[Any]:
    from sapwood.models.sources.comparing import encode_pairs

    prefix = reader.card.prefix
    pairs = [(prefix + row["text"], text) for row, one in zip(rows, offered, strict=True) for text in one.texts]
    return encode_pairs(reader.tokenizer, pairs, reader.card.max_tokens)
