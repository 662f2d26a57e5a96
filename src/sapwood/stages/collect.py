"""Collect: read sources into documents."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from pydantic import Field

from sapwood.artifact import Documents, Report
from sapwood.errors import Interrupted
from sapwood.stage import Estimate, Json, Stage, Work
from sapwood.text.sources.catalogue import AnySource, faults


class Collected(NamedTuple):
    documents: Documents
    report: Report


class Collect(Stage):
    """Read text from files, tables and samples into documents with their provenance."""

    sources: tuple[AnySource, ...] = Field(min_length=1, description="Where the text comes from: lines, csv, jsonl, sqlite or files.")

    is_source: ClassVar[bool] = True
    examples: ClassVar[tuple[dict[str, Json], ...]] = ({"sources": [{"kind": "lines", "name": "tickets", "path": "tickets.txt"}]},)

    def fingerprint(self, workspace: Path) -> str | None:
        found = [source.fingerprint(workspace) for source in self.sources]
        return None if None in found else " ".join(str(one) for one in found)

    def check(self, workspace: Path) -> list[str]:
        return faults(self.sources, workspace)

    def estimate(self, bytes_in: int) -> Estimate:
        size = bytes_in
        return Estimate(2 + size / 10e6, 400_000_000, size)

    def run(self, work: Work) -> Collected:
        from sapwood.errors import InputError
        from sapwood.text.writer import Writer

        if wrong := faults(self.sources, work.workspace):
            raise InputError("; ".join(wrong), "mend the sources of the collect step")
        counts: dict[str, Counter[str]] = {}
        folder = work.new("documents")
        with Writer(folder) as out:
            for source in self.sources:
                counts[source.name] = _copy(source, work, out)
        return Collected(work.put(Documents, folder), _report(work, self.sources, counts))


def _copy(source: Any, work: Work, out: Any) -> Counter[str]:
    """Read one source into the writer. Counts: rows, characters, languages, skipped rows by reason."""
    from sapwood.text.readers import read
    from sapwood.text.sources.source import Reading

    skipped: Counter[str] = Counter()
    counts: Counter[str] = Counter()

    def failed(locator: str, why: str) -> None:
        skipped["damaged"] += 1
        work.say(f"{source.name}: {locator} is left out: {why}")

    scratch = work.scratch / "sources" / source.name
    scratch.mkdir(parents=True, exist_ok=True)
    reading = Reading(work.workspace, scratch, work.say, failed, lambda reason: skipped.update([reason]), work.stopping)
    with work.progress(f"reading {source.name}", 0, "documents") as meter:
        for batch in read(source, reading):
            if work.stopping():
                raise Interrupted("stopped while reading", "run the same command again")
            out.add(batch)
            counts["rows"] += len(batch)
            counts["characters"] += sum(len(row["text"]) for row in batch)
            meter.advance(len(batch))
    counts.update({f"skipped {reason}": number for reason, number in skipped.items()})
    return counts


def _report(work: Work, sources: tuple[Any, ...], counts: dict[str, Counter[str]]) -> Report:
    from sapwood import report

    rows = [
        (
            s.name,
            s.kind,
            s.language or "not stated",
            s.label or "-",
            counts[s.name]["rows"],
            counts[s.name]["characters"],
            counts[s.name]["skipped blank"],
        )
        for s in sources
    ]
    total = sum(row[4] for row in rows)
    languages: Counter[str] = Counter()
    for row in rows:
        languages[row[2]] += row[4]
    columns = ("source", "kind", "language", "label", "documents", "characters", "blank, left out")
    data = {"documents": total, "languages": dict(languages), "sources": {name: dict(found) for name, found in counts.items()}}
    blocks = [report.table("Sources", columns, rows, "A language that is not stated is found by a later step.")]
    folder = work.new("report")
    report.write(folder, "Collected text", f"{total} documents from {len(sources)} sources.", data, blocks)
    return work.put(Report, folder)
