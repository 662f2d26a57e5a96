"""The contract of a task. Loads no torch until used, because stages carry these blocks as fields.

    class Regression(Task):
        kind: Literal["regression"] = "regression"
        value: str = Field("label", description="Field with the number.")
        def fields(self): return ("text", self.value)
        ...

A row is a dict of strings: `id`, and the fields that the task asks for. A structured field (spans, messages) is a JSON string, which
the task decodes and whose faults it tells with the row's id. What a task answers for a row is plain Python or numpy, so that a
baseline that needs no torch can answer in the same form and be measured by the same function.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from pathlib import Path

    from sapwood.metrics.measured import Measured
    from sapwood.models.card import Card
    from sapwood.models.objectives.terms import Objective
    from sapwood.models.sources.source import Source

Row = Mapping[str, str]
Answers = Any
"""A sequence with one answer a row: a list, or an array (n, ...)."""
Advance = Callable[[float], None] | None


class Reader(NamedTuple):
    """How a model reads: its tokenizer, the id that fills a batch, its card (labels, longest input, prefix), and the model's folder, where
    tasks that write find the chat template and the ids that end an answer."""

    tokenizer: Any
    pad: int
    card: Card
    folder: Path | None = None


class Setting(NamedTuple):
    """How a model is opened for training. `dropout` None leaves the model's own."""

    seed: int
    precision: str
    dropout: float | None = None


class Told(NamedTuple):
    """One row for a person: what was read, what is right, and what was answered."""

    text: str
    truth: str
    said: str


class Task(BaseModel):
    """What a model answers. A subclass is a tagged block with a field `kind: Literal[...]`."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    best: ClassVar[str] = "loss"
    """Score on development examples that picks the weights kept; `-name` where lower is better."""
    model_types: ClassVar[frozenset[str]] = frozenset()
    """`config.model_type`s that it can be taught to; empty: any that transformers has the head for."""
    answers_as: ClassVar[str] = ""
    """The card's task of the model that comes out, where it is not the block's kind."""

    @abstractmethod
    def fields(self) -> Sequence[str]:
        """Names of the fields that training reads: columns, or entries of meta such as `meta.target`."""

    def labels(self, rows: Sequence[Row]) -> tuple[str, ...]:
        """The classes that the rows name, sorted; empty where the task has none."""
        return ()

    def settled(self, rows: Sequence[Row], start: Card) -> Self:
        """The block with what it takes from the training rows, or from the model that is continued, filled in: the card keeps it."""
        return self

    @abstractmethod
    def open(self, folder: Path, card: Card, setting: Setting) -> Any:
        """The model of a folder with the head that the task needs; a new head is f(seed). Weights in fp32."""

    @abstractmethod
    def source(self, reader: Reader, rows: Sequence[Row], batch: int) -> Source:
        """Batches of `batch` examples a step. `InputError` names the row that cannot be read."""

    @abstractmethod
    def objective(self, smoothing: float = 0.0) -> Objective:
        """What a batch teaches. `smoothing`: label smoothing, where there are classes or tokens to smooth over."""

    def keep(self, base: Path, folder: Path) -> None:
        """Put into the new model's `folder` what the task needs beside the weights, such as a chat template; `base` is the folder that it
        was opened from."""
        return

    @abstractmethod
    def answers(self, model: Any, reader: Reader, rows: Sequence[Row], precision: str, advance: Advance = None) -> Answers:
        """One answer a row, in order, whatever the batches. `advance(rows)` is called as they come."""

    @abstractmethod
    def measured(self, rows: Sequence[Row], answers: Answers, labels: Sequence[str]) -> Measured:
        """Answers against what the rows say. Needs no torch. `labels` are the card's."""

    def told(self, row: Row, answer: Any, labels: Sequence[str]) -> Told:
        """A row and its answer for people to read. A task whose answers are not plain text says them in its own way."""
        return Told(row.get("text", ""), row.get(list(self.fields())[-1], ""), str(answer))
