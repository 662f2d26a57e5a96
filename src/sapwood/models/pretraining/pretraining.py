"""The contract of a pre-training objective. Loads no torch until used, because stages carry these blocks as fields.

A corpus is what an objective makes of texts (windows, sentence pairs, packed sequences), whole in memory; a source draws steps from it.
A held-out source is measured on the same batches each time (seed 0, epoch 0), and its baselines on these batches too.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from sapwood.metrics.measured import Measured
    from sapwood.models.fresh.building import Marks
    from sapwood.models.objectives.terms import Objective
    from sapwood.models.sources.source import Source

HELD_OUT_TOKENS = 32_768
"""About as many tokens are measured on, at most."""
BASELINE_TOKENS = 5_000_000
"""Tokens that baselines are counted on, at most."""


class Reading(NamedTuple):
    """How text becomes ids: the tokenizer, its special tokens, and the longest input of the model, special tokens included."""

    tokenizer: Any
    marks: Marks
    max_tokens: int


class Facts(NamedTuple):
    """What a corpus holds. `left_out` counts documents that were too short; `rows` windows, pairs or sequences, `per_row` their tokens on
    average, special tokens included."""

    documents: int
    tokens: int
    left_out: int
    rows: int
    per_row: float


class Pretraining(BaseModel):
    """What a model learns from plain text. A subclass is a tagged block with a field `kind: Literal[...]`."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    task: ClassVar[Literal["masked-lm", "causal-lm", "span-corruption"]]
    """The card's task of the model that comes out."""
    families: ClassVar[tuple[str, ...]]
    """Architectures that can be made for it."""

    @property
    def pair(self) -> bool:
        """Whether the model needs a head for two sentences."""
        return False

    def refusal(self, family: str) -> str:
        """Why an architecture cannot learn it, one sentence; empty where it can."""
        able = ", ".join(self.families)
        return "" if family in self.families else f"{self.kind} is not for {family}, it is for {able}"  # type: ignore[attr-defined]

    def missing(self) -> list[str]:
        """Packages that are not installed and are surely needed, one sentence each."""
        return []

    @abstractmethod
    def corpus(self, reading: Reading, texts: Iterable[str]) -> Any:
        """The texts, made ready. `InputError` where there is too little of them."""

    @abstractmethod
    def facts(self, corpus: Any) -> Facts: ...

    @abstractmethod
    def source(self, reading: Reading, corpus: Any, rows: int) -> Source:
        """Steps of `rows` rows."""

    @abstractmethod
    def objective(self) -> Objective: ...

    @abstractmethod
    def measured(self, model: Any, reading: Reading, source: Source, precision: str) -> Measured:
        """What the model gets on the held-out batches, a row for each example."""

    @abstractmethod
    def baselines(self, reading: Reading, taught: Any, source: Source) -> Mapping[str, Measured]:
        """What counting gets on the same batches: in the form of `measured`, fitted to the taught corpus."""
