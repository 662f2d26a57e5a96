"""Tokenize: train a tokenizer on documents, and stand it beside others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

from pydantic import Field, model_validator

from sapwood.artifact import Documents, Examples, Model, Report, Tokenizer
from sapwood.stage import Estimate, Json, Stage, Work

if TYPE_CHECKING:
    from sapwood.text.tokens.stratified import Drawn


class Tokenized(NamedTuple):
    tokenizer: Tokenizer
    report: Report


class Tokenize(Stage):
    """Train a tokenizer for Chinese and English on documents, and report how many tokens each language needs, beside other tokenizers."""

    version: ClassVar[int] = 2
    carries: ClassVar[tuple[str, ...] | None] = ("documents",)
    examples: ClassVar[tuple[dict[str, Json], ...]] = (
        {"vocab_size": 300, "sample_seed": 1},
        {"kind": "wordpiece", "vocab_size": 300},
        {"kind": "unigram", "vocab_size": 300},
    )

    kind: Literal["bpe", "wordpiece", "unigram"] = Field(
        "bpe",
        description="bpe and unigram work on bytes, so nothing is unknown to them; wordpiece is the form of BERT and has unknowns. "
        "unigram needs the extra of that name.",
    )
    vocab_size: int = Field(8000, ge=300, le=500_000, description="Entries of the vocabulary, special tokens included.")
    min_frequency: int = Field(2, ge=1, description="Smallest count of a pair to become an entry; unigram has no such limit.")
    max_chars: int = Field(
        5_000_000, ge=1000, le=1_000_000_000, description="Characters to train on, shared equally by the languages, and by their sources."
    )
    max_tokens: int = Field(512, ge=8, description="Longest input that models with this tokenizer take, in tokens.")
    sample_seed: int = Field(0, ge=0, lt=2**63, description="Another number draws another sample.")

    @model_validator(mode="after")
    def _limits(self) -> Tokenize:
        if self.kind == "unigram" and self.min_frequency != 2:
            raise ValueError("min_frequency is not for unigram, which weighs pieces by their probability; leave it out")
        return self

    def check(self, workspace: Any) -> list[str]:
        from importlib.util import find_spec

        missing = self.kind == "unigram" and find_spec("sentencepiece") is None
        return ["kind: unigram needs the package sentencepiece; pip install 'sapwood[unigram]'"] if missing else []

    def estimate(self, bytes_in: int) -> Estimate:
        size = min(bytes_in, 3 * self.max_chars)
        return Estimate(5 + size / (50e3 if self.kind == "unigram" else 1e6) + bytes_in / 50e6, 400_000_000 + 20 * size, 5_000_000)

    def run(self, work: Work, documents: list[Documents | Examples], others: list[Tokenizer | Model] | None = None) -> Tokenized:
        from sapwood.text.tokens import stratified, vocabulary

        drawn = stratified.draw(map(work.path, documents), self.max_chars, self.sample_seed, work.stopping)
        tokenizer = vocabulary.train(drawn.texts, self.kind, self.vocab_size, self.min_frequency)
        folder = work.new("tokenizer")
        vocabulary.save(tokenizer, folder, self.max_tokens)
        return Tokenized(work.put(Tokenizer, folder), self._report(work, tokenizer, drawn, others or []))

    def _report(self, work: Work, tokenizer: Any, drawn: Drawn, others: Sequence[Tokenizer | Model]) -> Report:
        from sapwood import report
        from sapwood.models.texts import load_tokenizer
        from sapwood.text.tokens.fertility import fertility, table

        rows = {"this one": fertility(tokenizer, drawn.measured)}
        for other in others:
            rows[_name(work, other)] = fertility(load_tokenizer(work.path(other)), drawn.measured)
        size = tokenizer.get_vocab_size()
        sample = [(language, seen, drawn.taken[language]) for language, seen in drawn.seen.items()]
        missing = "" if size >= self.vocab_size else f" ({self.vocab_size} were asked for; this text makes no more)"
        summary = f"{self.kind} with {size} entries{missing}, " + ", ".join(
            f"{row.language} {row.bytes_per_token:.2f} bytes per token" for row in rows["this one"]
        )
        data = {
            "vocab_size": size,
            "kind": self.kind,
            "fertility": {row.language: row._asdict() for row in rows["this one"]},
            "others": {name: {row.language: row._asdict() for row in found} for name, found in list(rows.items())[1:]},
            "sample": {language: {"characters": seen, "trained_on": taken} for language, seen, taken in sample},
        }
        blocks = [table(rows, drawn.note), report.table("Sample", ("language", "characters seen", "trained on"), sample)]
        folder = work.new("report")
        report.write(folder, "Tokenizer", summary + ".", data, blocks)
        work.say(summary)
        return work.put(Report, folder)


def _name(work: Work, other: Tokenizer | Model) -> str:
    from sapwood.models.card import read_card

    return f"{read_card(work.path(other)).name} ({other.short})" if isinstance(other, Model) else str(other)
