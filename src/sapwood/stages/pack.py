"""Pack: documents as token shards to train on."""

from __future__ import annotations

import heapq
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

from pydantic import Field

from sapwood.artifact import Documents, Examples, Model, Report, Tokenizer, Tokens, file_sha256
from sapwood.errors import InputError, Interrupted
from sapwood.stage import Estimate, Json, Stage, Work

if TYPE_CHECKING:
    from sapwood.text.tokens.encoding import Document
    from sapwood.text.tokens.packing import Counts, Piece
    from sapwood.text.tokens.shards import ShardWriter

ENDS = ("<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>", "[SEP]")
LONGEST, SOURCES = 10, 200
"""Rows of the report's tables at most."""


class PackOut(NamedTuple):
    tokens: Tokens
    report: Report


class Ends(NamedTuple):
    """Ids put before and after each document; empty for none."""

    before: tuple[int, ...]
    after: tuple[int, ...]


class Pack(Stage):
    """Write documents as packed sequences of tokens, memory-mapped, with document starts, ids and loss masks beside them.

    Nothing is lost: a document longer than a sequence fills whole sequences, and its rest is packed like a short one.
    """

    carries: ClassVar[tuple[str, ...] | None] = ("documents",)
    examples: ClassVar[tuple[dict[str, Json], ...]] = (
        {"length": 32, "window": 1000},
        {"length": 32, "mode": "concat", "start": "[CLS]", "end": "", "unlearned": "meta.prompt"},
    )

    length: int = Field(1024, ge=8, le=1 << 20, description="Tokens of a sequence.")
    mode: Literal["best_fit", "concat"] = Field(
        "best_fit", description="best_fit keeps documents whole where they fit; concat cuts one stream, and cuts documents with it."
    )
    window: int = Field(1 << 22, ge=1, le=1 << 28, description="Tokens that best_fit places together; memory is 4 bytes for each.")
    start: str = Field("", description="Token put before each document, such as [CLS]; empty for none.")
    end: str = Field("auto", description="Token put after each document; auto takes the tokenizer's own end; empty for none.")
    unlearned: str = Field(
        "", description="Column or meta entry with [[start, end], ...]: characters that no loss is taken on. Empty: all are learned."
    )

    def estimate(self, bytes_in: int) -> Estimate:
        return Estimate(2 + bytes_in / 2e6, 600_000_000 + 5 * self.window, 2 * bytes_in)

    def run(self, work: Work, documents: list[Documents | Examples], tokenizer: Tokenizer | Model) -> PackOut:
        from sapwood.models.texts import load_tokenizer, pad_id
        from sapwood.text.tokens import encoding, packing, shards

        source = work.path(tokenizer)
        words = load_tokenizer(source)
        ends = self._ends(words)
        counts, told = packing.Counts(self.length), Told()
        folder = work.new("tokens")
        out = shards.ShardWriter(folder, self.length, max(words.get_vocab().values()) + 1, pad_id(words), bool(self.unlearned))
        started = time.perf_counter()
        with encoding.threads(work.resources.threads):
            read = self._read(work, documents, words, ends, out, told)
            for sequence in packing.pack(packing.counted(read, counts), self.length, self.mode, self.window):
                out.add(sequence)
        counts.sequences = out.sequences
        out.header(tokenizer=file_sha256(source / "tokenizer.json"), start=self.start, end=list(ends.after), mode=self.mode)
        took = time.perf_counter() - started
        work.log(tokens_per_second=counts.tokens / took)
        work.say(f"{counts.tokens:,} tokens in {took:.1f} s, {counts.tokens / took:,.0f} a second, utilisation {counts.utilisation:.2%}")
        return PackOut(work.put(Tokens, folder), self._report(work, counts, told))

    def _ends(self, words: Any) -> Ends:
        found = next((name for name in ENDS if words.token_to_id(name) is not None), None)
        if self.end == "auto" and found is None:
            raise InputError(f"the tokenizer has none of {', '.join(ENDS)}", "name its end token in `end`, or set end: '' for none")
        ids = []
        for name in (self.start, str(found) if self.end == "auto" else self.end):
            number = words.token_to_id(name) if name else None
            if name and number is None:
                raise InputError(f"the tokenizer has no token {name!r}", "see its tokenizer.json for what it has")
            ids.append(() if number is None else (int(number),))
        return Ends(*ids)

    def _read(
        self, work: Work, documents: list[Documents | Examples], words: Any, ends: Ends, out: ShardWriter, told: Told
    ) -> Iterator[Piece]:
        """Each document as one piece, separators included; it is numbered, written to the table and counted on the way."""
        from sapwood.text import rows
        from sapwood.text.tokens import encoding, packing

        folders = [work.path(artifact) for artifact in documents]
        with work.progress("pack", sum(map(rows.count, folders)), "documents") as meter:
            for folder in folders:
                for read in encoding.documents(rows.batches(folder, size=1024), words, self.unlearned):
                    if work.stopping():
                        raise Interrupted("stopped while packing", "run the same command again")
                    meter.advance()
                    if not len(read.ids):
                        told.empty += 1
                        continue
                    ids, learned = enclosed(read, ends)
                    number = out.documents
                    out.document(read, len(ids))
                    told.add(read, len(ids))
                    yield packing.Piece(number, 0, ids, learned)

    def _report(self, work: Work, counts: Counts, told: Told) -> Report:
        from sapwood import report

        other = "best_fit" if self.mode == "concat" else "concat"
        here = counts.crossing if self.mode == "concat" else counts.longer
        plain = -(-counts.tokens // self.length)
        rows: list[tuple[Any, ...]] = [
            (self.mode, counts.sequences, round(counts.utilisation, 6), here, round(here / max(1, counts.documents), 4))
        ]
        if other == "concat":
            rows.append((other, plain, round(counts.plain, 6), counts.crossing, round(counts.crossing / max(1, counts.documents), 4)))
        summary = (
            f"{counts.tokens:,} tokens of {counts.documents:,} documents in {counts.sequences:,} sequences of {self.length}, "
            f"utilisation {counts.utilisation:.2%}; {here:,} documents cut."
        )
        data = {
            "tokens": counts.tokens, "documents": counts.documents, "empty": told.empty, "sequences": counts.sequences,
            "length": self.length, "mode": self.mode, "utilisation": counts.utilisation, "cut": here, "longer": counts.longer,
            "concat": {"sequences": plain, "utilisation": counts.plain, "cut": counts.crossing}, **told.data(),
        }  # fmt: skip
        note = "A cut document lies in more than one sequence. No token is lost or repeated in either mode."
        blocks = [report.table("Packing", ("mode", "sequences", "utilisation", "documents cut", "share"), rows, note), *told.blocks()]
        folder = work.new("report")
        report.write(folder, "Packed tokens", summary, data, blocks)
        return work.put(Report, folder)


@dataclass
class Told:
    """What the report says of the documents. Grows with the number of languages and sources only."""

    empty: int = 0
    tokens: dict[str, Counter[str]] = field(default_factory=lambda: {"language": Counter(), "source": Counter()})
    documents: dict[str, Counter[str]] = field(default_factory=lambda: {"language": Counter(), "source": Counter()})
    longest: list[tuple[int, str, str, str]] = field(default_factory=list)

    def add(self, read: Document, size: int) -> None:
        for kind, name in (("language", read.language or "not stated"), ("source", read.source)):
            self.tokens[kind][name] += size
            self.documents[kind][name] += 1
        heapq.heappush(self.longest, (size, read.id, read.source, read.url))
        if len(self.longest) > LONGEST:
            heapq.heappop(self.longest)

    def data(self) -> dict[str, Json]:
        return {f"{kind}s": {name: {"tokens": n, "documents": self.documents[kind][name]} for name, n in sorted(found.items())}
                for kind, found in self.tokens.items()}  # fmt: skip

    def blocks(self) -> list[Any]:
        from sapwood import report

        made = []
        for kind, found in self.tokens.items():
            rows = [(name, self.documents[kind][name], n, round(n / found.total(), 4)) for name, n in found.most_common()]
            note = f"The {SOURCES} with most tokens of {len(rows)}." if len(rows) > SOURCES else ""
            made.append(report.table(f"Tokens by {kind}", (kind, "documents", "tokens", "share"), rows[:SOURCES], note))
        columns = ("tokens", "document", "source", "url")
        return [*made, report.table("Longest documents", columns, sorted(self.longest, reverse=True))]


def enclosed(read: Document, ends: Ends) -> tuple[Any, Any]:
    """(ids, learned) with the separators. A loss is taken on the end, which the model has to learn to say, and not on the start."""
    import numpy as np

    ids = np.concatenate([np.array(ends.before, dtype=np.uint32), read.ids, np.array(ends.after, dtype=np.uint32)])
    if read.learned is None:
        return ids, None
    return ids, np.concatenate([np.zeros(len(ends.before), dtype=bool), read.learned, np.ones(len(ends.after), dtype=bool)])
