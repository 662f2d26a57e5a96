"""A vector for each text, near to those of texts that answer it."""

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


class Embedding(Task):
    """A vector for each text (bi-encoder), so that a query is near to the text that answers it. An answer is the score of each candidate.

    Every other text of a step is a wrong answer, so batch_size is what a query is compared with; steps that do not fit into memory
    are encoded in parts. An example has text and meta.positive, may have meta.negatives (a JSON list), and to be measured
    meta.candidates and meta.right; without those the candidates are the positives and negatives of all examples.
    """

    best: ClassVar[str] = "mrr"
    model_types: ClassVar[frozenset[str]] = frozenset(
        {"bert", "roberta", "xlm-roberta", "electra", "distilbert", "albert", "modernbert", "llama", "qwen2", "qwen3", "mistral", "gpt2"}
    )

    kind: Literal["embedding"] = "embedding"
    learn: Literal["pairs", "dropout"] = Field(
        "pairs", description="pairs: text and meta.positive; dropout: the text twice with other dropout (SimCSE), which needs no labels."
    )
    pooling: Literal["", "mean", "cls", "last"] = Field(
        "", description="Vector of a text: mean of its tokens, the first token, or the last; empty keeps the model's, else mean."
    )
    temperature: float = Field(0.05, gt=0, description="Scores are divided by it; lower looks more at the nearest wrong texts.")
    hard: int = Field(1, ge=0, description="Own negatives of each example in a step, drawn for each epoch.")
    passage_prefix: str | None = Field(
        None, description="Put before texts that answer; by default 'passage: ' where the model's own is 'query: ' (E5), else nothing."
    )
    tokens_at_once: int = Field(16384, ge=64, description="Padded tokens encoded at once; larger steps are encoded in parts (GradCache).")

    def fields(self) -> Sequence[str]:
        return ("text", candidates.POSITIVE, candidates.NEGATIVES, candidates.CANDIDATES, candidates.RIGHT)

    def open(self, folder: Path, card: Card, setting: Setting) -> Any:
        from sapwood.models import vectors

        return vectors.encoder(folder, self.pooling, self._passage(card), setting)

    def source(self, reader: Reader, rows: Sequence[Row], batch: int) -> Source:
        from sapwood.models import texts
        from sapwood.models.sources.comparing import Pair, PairsOfTexts

        numbers: dict[str, int] = {}

        def number(text: str) -> int:
            return numbers.setdefault(text, len(numbers))

        query, passage = reader.card.prefix, self._passage(reader.card)
        pairs = []
        for row in rows:
            ask = number(query + row["text"])
            wrong = tuple(number(passage + text) for text in candidates.texts_of(row, candidates.NEGATIVES))
            pairs.append(Pair(ask, ask) if self.learn == "dropout" else Pair(ask, number(passage + candidates.positive(row)), wrong))
        ids = texts.encode(reader.tokenizer, list(numbers), "", reader.card.max_tokens)
        return PairsOfTexts(ids, pairs, min(batch, len(pairs)), self.hard, reader.pad)

    def objective(self, smoothing: float = 0.0) -> Objective:
        from sapwood.models.objectives import contrastive

        return contrastive.in_batch(self.temperature, self.tokens_at_once)

    def keep(self, base: Path, folder: Path) -> None:
        from sapwood.models import vectors

        vectors.describe(folder)

    def answers(self, model: Any, reader: Reader, rows: Sequence[Row], precision: str, advance: Advance = None) -> Answers:
        from sapwood.models import texts, vectors

        offered = candidates.choices(rows)
        documents = {text: number for number, text in enumerate(dict.fromkeys(t for one in offered for t in one.texts))}
        asked = texts.encode(reader.tokenizer, [row["text"] for row in rows], reader.card.prefix, reader.card.max_tokens)
        told = texts.encode(reader.tokenizer, list(documents), self._passage(reader.card), reader.card.max_tokens)
        found = vectors.of(model, [*asked, *told], reader.pad, precision)
        if advance:
            advance(len(rows))
        queries, answers = found[: len(asked)], found[len(asked) :]
        return [answers[[documents[text] for text in one.texts]] @ query for query, one in zip(queries, offered, strict=True)]

    def measured(self, rows: Sequence[Row], answers: Answers, labels: Sequence[str]) -> Measured:
        from sapwood.metrics import ranking

        return ranking.ranked([one.right for one in candidates.choices(rows)], answers)

    def told(self, row: Row, answer: Any, labels: Sequence[str]) -> Told:
        return candidates.told(row, answer)

    def _passage(self, card: Card) -> str:
        if self.passage_prefix is not None:
            return self.passage_prefix
        return "passage: " if card.prefix == "query: " and self.learn == "pairs" else ""
