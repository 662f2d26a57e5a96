"""Collect: read sources into documents."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from pydantic import Field

from sapwood.artifact import Documents, Report
from sapwood.stage import Estimate, Json, Stage, Work
from sapwood.text.pii.settings import Masking
from sapwood.text.sources.catalogue import AnySource, faults

if TYPE_CHECKING:
    from sapwood.text.sources.masked import Mask
    from sapwood.text.sources.source import Source

SHOWN = 5
"""Failures of one source that the report shows; the port `failed` has all of them."""
MOST_REASONS = 50
"""Different reasons that are counted by themselves for one source; the rest are counted together."""
REST = "other reasons"
MAY_BE_EMPTY = ("database", "feed", "web")
"""Kinds that ask for what is there now: none is an answer. What another kind names is there, so none is a mistake."""


class Collected(NamedTuple):
    documents: Documents
    report: Report
    failed: Documents


class Collect(Stage):
    """Read text from files, tables, archives and samples into documents with their provenance.

    A damaged item of a source of many files, pages or records (files, jsonl, parquet, huggingface, warc, web, feed) is one row of `failed`: no
    text, and `path` and `reason` in meta. A broken row of csv, json, sqlite or lines ends the run instead, with its file and line.
    A source that gives no document is an error, unless what it asks may truly hold nothing: a database, a feed, a web site, or a
    kind whose content only reading can tell (its fingerprint is none). Files of types that are not read are counted in the report.
    A step of kind files that was killed goes on where it was: files that were parsed already are not parsed again.
    """

    sources: tuple[AnySource, ...] = Field(min_length=1, description="Where the text comes from; each has a kind and a name.")
    mask: bool | Masking = Field(
        False,
        description="Mask personal data before a row is kept anywhere, so that it never rests in the store: true, or a block as of mask.",
    )

    version: ClassVar[int] = 2
    is_source: ClassVar[bool] = True
    examples: ClassVar[tuple[dict[str, Json], ...]] = (
        {"sources": [{"kind": "lines", "name": "tickets", "path": "tickets.txt"}]},
        {"sources": [{"kind": "files", "name": "manuals", "path": "tickets.txt"}], "mask": {"types": ["EMAIL_ADDRESS"]}},
    )

    def fingerprint(self, workspace: Path) -> str | None:
        found = [source.fingerprint(workspace) for source in self.sources]
        masking = self._masking()
        return None if None in found else " ".join([*map(str, found), *([masking.fingerprint(workspace)] if masking else [])]).strip()

    def check(self, workspace: Path) -> list[str]:
        masking = self._masking()
        return faults(self.sources, workspace) + (masking.check(workspace) if masking else [])

    def reads(self, workspace: Path) -> int:
        return sum(source.size(workspace) for source in self.sources)

    def estimate(self, bytes_in: int) -> Estimate:
        """10 MB a second; the text is on disk twice while files are parsed: in the journal and in the shards."""
        return Estimate(2 + bytes_in / 10e6, 600_000_000, 2 * bytes_in)

    def run(self, work: Work) -> Collected:
        from sapwood.errors import InputError
        from sapwood.text.sources.masked import mask_of
        from sapwood.text.writer import Writer

        if wrong := self.check(work.workspace):
            raise InputError("; ".join(wrong), "mend the sources of the collect step")
        mask = mask_of(self._masking(), work)
        counts: dict[str, Counts] = {}
        folder, left = work.new("documents"), work.new("failed")
        with Writer(folder) as out, Writer(left) as lost:
            for source in self.sources:
                counts[source.name] = _copy(source, work, (out, lost), mask)
        told = _report(work, self.sources, counts)
        return Collected(work.put(Documents, folder), told, work.put(Documents, left))

    def _masking(self) -> Masking | None:
        return self.mask if isinstance(self.mask, Masking) else Masking() if self.mask else None


@dataclass
class Counts:
    """What one source gave. `failed` and `skipped` by reason, `examples` the first failures."""

    rows: int = 0
    characters: int = 0
    masked: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    examples: list[tuple[str, str]] = field(default_factory=list)

    def data(self) -> dict[str, Any]:
        """For programs. `failed` and `skipped` stand only where there are any."""
        found: dict[str, Any] = {"rows": self.rows, "characters": self.characters}
        for name, counter in (("masked", self.masked), ("failed", self.failed), ("skipped", self.skipped)):
            if counter:
                found[name] = dict(sorted(counter.items()))
        if self.examples:
            found["examples"] = [list(example) for example in self.examples]
        return found


def _copy(source: Source, work: Work, writers: tuple[Any, Any], mask: Mask) -> Counts:
    """Read one source into the writers of documents and of failures. Raises `InputError` when it gives no document, as `_empty` says."""
    from sapwood.errors import InputError
    from sapwood.text import rows
    from sapwood.text.readers import read
    from sapwood.text.sources.masked import counted
    from sapwood.text.sources.source import Reading

    counts, (out, lost) = Counts(), writers

    def failed(locator: str, why: str) -> None:
        place, told = mask.text(locator), mask.text(why)
        reason = told.partition(":")[0][:80]
        counts.failed[reason if reason in counts.failed or len(counts.failed) < MOST_REASONS else REST] += 1
        if len(counts.examples) < SHOWN:
            counts.examples.append((place, told))
            work.say(f"{source.name}: {place} is left out: {told}")
        lost.add([rows.document(source.name, locator, "", license=source.license, meta={"path": place, "reason": told})])

    scratch = work.scratch / "sources" / rows.document_id(source.name, "")  # a name may hold anything, a slash too
    scratch.mkdir(parents=True, exist_ok=True)
    skipped = counts.skipped
    reading = Reading(
        work.workspace, scratch, work.say, failed, lambda reason: skipped.update([reason]), work.stopping, mask.row, work.resources.workers
    )
    with work.progress(f"reading {source.name}", 0, "documents") as meter:
        for batch in read(source, reading):
            out.add(batch)
            counts.rows += len(batch)
            counts.characters += sum(len(row["text"]) for row in batch)
            counts.masked.update(counted(batch))
            meter.advance(len(batch))
    if counts.failed and not counts.rows:
        shown = "; ".join(f"{place}: {told}" for place, told in counts.examples)
        raise InputError(f"source {source.name}: nothing of it can be read ({counts.failed.total()} failed): {shown}", "mend or remove it")
    if not counts.rows:
        _empty(source, work, counts)
    return counts


def _empty(source: Any, work: Work, counts: Counts) -> None:
    """Say that a source without any failure gave no document. Raises `InputError` unless that is legitimate: for the kinds of
    `MAY_BE_EMPTY`, and for a kind of another distribution that has no fingerprint, so that only reading tells what it holds."""
    from sapwood.errors import InputError

    left = ", ".join(f"{why} ({number})" for why, number in counts.skipped.most_common(SHOWN))
    told = f"source {source.name}: it gives no document" + (f"; left out: {left}" if left else "; it holds no row or entry")
    if source.kind in MAY_BE_EMPTY or source.fingerprint(work.workspace) is None:
        work.say(told)
        return
    raise InputError(
        told, "check that it was written completely (not only a header), and the fields that choose what is read, or remove it"
    )


def _report(work: Work, sources: tuple[Source, ...], counts: dict[str, Counts]) -> Report:
    from sapwood import report

    rows = [_line(source, counts[source.name]) for source in sources]
    documents, failed = sum(row[4] for row in rows), sum(row[7] for row in rows)
    languages: Counter[str] = Counter()
    for row in rows:
        languages[row[2]] += row[4]
    columns = ("source", "kind", "language", "label", "documents", "characters", "left out", "failed")
    blocks = [report.table("Sources", columns, rows, "A language that is not stated is found by a later step.")]
    for title, name in (("Failed, by reason", "failed"), ("Left out, by reason", "skipped"), ("Masked, by type", "masked")):
        cells = [(source, why, number) for source, one in counts.items() for why, number in getattr(one, name).most_common()]
        if cells:
            blocks.append(report.table(title, ("source", "reason" if name != "masked" else "type", "number"), cells))
    shown = [{"text": place, "reason": told, "source": name} for name, one in counts.items() for place, told in one.examples]
    if shown:
        blocks.append(report.samples("The first failures of each source", shown, "The output failed has all of them."))
    data = {
        "documents": documents,
        "failed": failed,
        "languages": dict(languages),
        "sources": {name: one.data() for name, one in counts.items()},
    }
    folder = work.new("report")
    told = f" {failed} items could not be read." if failed else ""
    summary = f"{documents} documents from {len(sources)} sources.{told}"
    report.write(folder, "Collected text", summary, data, blocks)
    work.say(summary)
    return work.put(Report, folder)


def _line(source: Any, one: Counts) -> tuple[Any, ...]:
    stated, label = source.language or "not stated", source.label or "-"
    return source.name, source.kind, stated, label, one.rows, one.characters, one.skipped.total(), one.failed.total()
