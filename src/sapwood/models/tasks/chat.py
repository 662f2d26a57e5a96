"""Conversations: the assistant's answers are learned, what the others say is only read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from sapwood.errors import InputError
from sapwood.models.tasks.sequence import DECODERS, open_writer
from sapwood.models.tasks.task import Advance, Answers, Reader, Row, Setting, Task, Told

if TYPE_CHECKING:
    from pathlib import Path

    from sapwood.metrics.measured import Measured
    from sapwood.models.card import Card
    from sapwood.models.conversation import Conversation
    from sapwood.models.objectives.terms import Objective
    from sapwood.models.sources.packed import Packed
    from sapwood.models.sources.source import Source


class Chat(Task):
    """Answers in conversations, by decoders. An answer holds the loss, the number and the right ones of the tokens of the assistant's turns
    as they stand in the row, and with `most` the last turn as the model writes it."""

    best: ClassVar[str] = "-loss"
    model_types: ClassVar[frozenset[str]] = DECODERS

    kind: Literal["chat"] = "chat"
    messages: str = Field("meta.messages", description='Field with the conversation, as JSON: [{"role": "user", "content": "..."}, ...].')
    template: str = Field("", description="Chat template: chatml, plain, or Jinja text; empty takes the one that the model carries.")
    most: int = Field(0, ge=0, le=4096, description="Longest answer to write when measured, in tokens; 0 measures the loss alone.")
    packed: bool = Field(True, description="Several conversations share a row of a batch, kept apart; false gives each its own.")

    def fields(self) -> Sequence[str]:
        return (self.messages,)

    def open(self, folder: Path, card: Card, setting: Setting) -> Any:
        return open_writer(folder, setting)

    def source(self, reader: Reader, rows: Sequence[Row], batch: int) -> Source:
        return self._packed(reader, rows, batch)

    def objective(self, smoothing: float = 0.0) -> Objective:
        from sapwood.models.objectives.written import written

        return written(smoothing)

    def keep(self, base: Path, folder: Path) -> None:
        from sapwood.models import conversation

        given = conversation.TEMPLATES.get(self.template, self.template) or conversation.template_of(base)
        if given:
            (folder / conversation.FILE).write_text(given, encoding="utf-8")

    def answers(self, model: Any, reader: Reader, rows: Sequence[Row], precision: str, advance: Advance = None) -> Answers:
        import numpy as np

        from sapwood.models import placing
        from sapwood.models.objectives.written import token_losses

        source = self._packed(reader, rows, 1)
        found: list[dict[str, Any]] = [{"loss": 0.0, "tokens": 0, "right": 0} for _ in rows]
        for batch, numbers in source.cut(np.arange(len(rows))):
            with placing.arithmetic(model, precision):
                losses, right = (one.cpu() for one in token_losses(model, batch.to(placing.of(model))))
            at = 0
            for number in numbers:
                count = int(source.examples[number][1][1:].sum())
                part = slice(at, at + count)
                found[number] = {"loss": float(losses[part].double().sum()), "tokens": count, "right": int(right[part].sum())}
                at += count
            if advance and not self.most:
                advance(len(numbers))
        for answer, text in zip(found, self._texts(model, reader, rows, precision, advance), strict=self.most > 0):
            answer["text"] = text
        return found

    def measured(self, rows: Sequence[Row], answers: Answers, labels: Sequence[str]) -> Measured:
        """Scores of the tokens (loss, perplexity, accuracy) where every answer has them, and of the last turn's text where every one has it.

        A baseline that gives texts only answers with strings. The columns are the same for all, so that systems can be compared.
        """
        import numpy as np

        from sapwood.metrics import written
        from sapwood.metrics.measured import Measured
        from sapwood.models.conversation import last_answer, messages

        given = [{"text": one} if isinstance(one, str) else one for one in answers]
        told = [last_answer(messages(row[self.messages], row["id"])) for row in rows]
        tokens = np.asarray([[one.get(name, 0.0) for name in ("loss", "right", "tokens")] for one in given], dtype=np.float64)
        texts = written.counts([one.get("text", "") for one in given], told)
        scores: dict[str, Any] = {}
        if all("loss" in one for one in given):
            scores = {"loss": _per_token(0), "perplexity": lambda sums: np.exp(_per_token(0)(sums)), "accuracy": _per_token(1)}
        if all("text" in one for one in given):
            scores |= written.scores(3)
        return Measured(np.concatenate([tokens.reshape(-1, 3), texts], axis=1), scores, frozenset({"loss", "perplexity"}) & set(scores))

    def told(self, row: Row, answer: Any, labels: Sequence[str]) -> Told:
        from sapwood.models.conversation import last_answer, messages

        talk = messages(row[self.messages], row["id"])
        said = answer if isinstance(answer, str) else answer.get("text", f"loss {answer['loss'] / max(1, answer['tokens']):.2f} a token")
        return Told("\n".join(f"{one['role']}: {one['content']}" for one in talk[:-1]), last_answer(talk), said)

    def _texts(self, model: Any, reader: Reader, rows: Sequence[Row], precision: str, advance: Advance) -> list[str]:
        if not self.most:
            return []
        from sapwood.models.conversation import messages
        from sapwood.models.generate import Writing, write

        talk = self._conversation(reader)
        prompts = [talk.prompt(messages(row[self.messages], row["id"]), row["id"]) for row in rows]
        writing = Writing(self.most, talk.stops, reader.pad)
        return [talk.answer(ids) for ids in write(model, prompts, writing, precision == "bf16", advance)]

    def _conversation(self, reader: Reader) -> Conversation:
        from sapwood.models.conversation import conversation

        assert reader.folder is not None, "the reader of a task that writes knows the model's folder"
        return conversation(reader.folder, reader.tokenizer, self.template, reader.pad)

    def _packed(self, reader: Reader, rows: Sequence[Row], batch: int) -> Packed:
        from sapwood.models.conversation import messages
        from sapwood.models.sources.packed import WIDTH, Packed

        talk, longest = self._conversation(reader), reader.card.max_tokens
        examples = [talk.encoded(messages(row[self.messages], row["id"]), row["id"]) for row in rows]
        for row, (ids, _) in zip(rows, examples, strict=True):
            if len(ids) > longest:
                raise InputError(
                    f"row {row['id']} has {len(ids)} tokens, the model takes {longest}", "shorten or leave out that conversation"
                )
        return Packed(examples, batch, reader.pad, self.packed, max(WIDTH, *(len(ids) for ids, _ in examples)))


def _per_token(column: int) -> Callable[[Any], Any]:
    """A sum over tokens divided by their number, which is column 2."""
    import numpy as np

    return lambda sums: sums[..., column] / np.maximum(sums[..., 2], 1e-12)
