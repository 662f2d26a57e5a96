"""Tokenize: train a tokenizer on documents."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

from pydantic import Field

from sapwood.artifact import Documents, Examples, Report, Tokenizer
from sapwood.errors import Interrupted
from sapwood.stage import Estimate, Json, Stage, Work

MEASURED = 2_000_000
"""Characters that fertility is measured on, shared by the languages."""


class Tokenized(NamedTuple):
    tokenizer: Tokenizer
    report: Report


class Tokenize(Stage):
    """Train a tokenizer for Chinese and English on documents, and report how many tokens each language needs."""

    kind: Literal["bpe", "wordpiece"] = Field(
        "bpe", description="bpe works on bytes, so nothing is unknown to it; wordpiece is the form of BERT and has unknowns."
    )
    vocab_size: int = Field(8000, ge=300, le=500_000, description="Entries of the vocabulary, special tokens included.")
    min_frequency: int = Field(2, ge=1, description="Smallest count of a pair to become an entry.")
    max_chars: int = Field(5_000_000, ge=0, description="Characters to train on, shared equally by the languages; 0 takes all.")
    max_tokens: int = Field(512, ge=8, description="Longest input that models with this tokenizer take, in tokens.")

    examples: ClassVar[tuple[dict[str, Json], ...]] = ({"vocab_size": 300}, {"kind": "wordpiece", "vocab_size": 300})

    def estimate(self, bytes_in: int) -> Estimate:
        size = min(bytes_in, 3 * self.max_chars or bytes_in)
        return Estimate(2 + size / 200e3, 400_000_000 + 20 * size, 5_000_000)

    def run(self, work: Work, documents: list[Documents | Examples]) -> Tokenized:
        from sapwood.text import vocabulary

        folders = [work.path(artifact) for artifact in documents]
        chosen = vocabulary.sample(lambda: _texts(work, folders), self.max_chars)
        tokenizer = vocabulary.train(chosen, self.kind, self.vocab_size, self.min_frequency)
        folder = work.new("tokenizer")
        vocabulary.save(tokenizer, folder, self.max_tokens)
        return Tokenized(work.put(Tokenizer, folder), self._report(work, tokenizer, folders))

    def _report(self, work: Work, tokenizer: Any, folders: list[Path]) -> Report:
        from sapwood import report
        from sapwood.text import vocabulary

        measured = vocabulary.fertility(tokenizer, _measured(work, folders))
        size = tokenizer.get_vocab_size()
        columns = ("language", "documents", "characters", "tokens", "tokens per character", "tokens per word", "bytes per token", "unknown")
        cells = [tuple("-" if cell is None else round(cell, 4) if isinstance(cell, float) else cell for cell in row) for row in measured]
        note = f"On at most {MEASURED:,} characters of the training text, so new text may need a little more."
        data = {"vocab_size": size, "kind": self.kind, "fertility": {row.language: row._asdict() for row in measured}}
        folder = work.new("report")
        report.write(folder, "Tokenizer", f"{self.kind} with {size} entries.", data, [report.table("Fertility", columns, cells, note)])
        return work.put(Report, folder)


def _measured(work: Work, folders: list[Path]) -> Iterator[tuple[str, str]]:
    from collections import Counter

    from sapwood.text import vocabulary

    sizes: Counter[str] = Counter()
    for language, _, text in _texts(work, folders):
        sizes[language] += len(text)
    share = vocabulary.shares(sizes, MEASURED)
    for language, key, text in _texts(work, folders):
        if int(key[:13], 16) < share[language] * 16**13:
            yield language, text


def _texts(work: Work, folders: list[Path]) -> Iterator[tuple[str, str, str]]:
    from sapwood.text import rows, vocabulary

    for folder in folders:
        for batch in rows.batches(folder):
            if work.stopping():
                raise Interrupted("stopped while training the tokenizer", "run the same command again")
            for row in batch.select(["language", "text_digest", "text"]).to_pylist():
                yield vocabulary.language_of(row["language"], row["text"]), row["text_digest"], row["text"]
