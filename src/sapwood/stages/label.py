"""Label: documents become examples, and examples others."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any, ClassVar, NamedTuple

from pydantic import Field

from sapwood.artifact import Documents, Examples, Report
from sapwood.stage import Json, Stage, Work
from sapwood.text.domains import Rule, domain

LISTED = 200
"""Labels that a report lists; a recipe may label by a field that has thousands."""


class Labelled(NamedTuple):
    examples: Examples
    report: Report
    dropped: Documents


class Label(Stage):
    """Give each document its label, or an example another one, and a domain by keyword rules; without a label it goes to `dropped`."""

    field: str = Field(
        "meta.label", pattern=r"^(meta\..+|source|language|license|url)$", description="Where the label is: a column, or meta.KEY."
    )
    values: dict[str, str] = Field(default_factory=dict, description="New names of labels, old: new. Others keep theirs.")
    tag: tuple[Rule, ...] = Field((), description="Keyword rules, first match wins, written to meta.domain; no match is other.")

    examples: ClassVar[tuple[dict[str, Json], ...]] = (
        {"values": {"1": "positive"}, "tag": [{"name": "book", "words": ["书", "book"]}]},
        {"field": "source"},
    )

    def run(self, work: Work, documents: Documents | Examples) -> Labelled:
        from sapwood.text import rows
        from sapwood.text.writer import Writer

        counts: Counter[tuple[str, str]] = Counter()
        kept, left = work.new("examples"), work.new("dropped")
        stored = work.path(documents)
        with Writer(kept, rows.EXAMPLES) as examples, Writer(left) as dropped, work.progress("labelling", rows.count(stored)) as meter:
            for batch in rows.batches(stored):
                labelled = [self._labelled(row) for row in batch.to_pylist()]
                examples.add(row for row in labelled if row["label"])
                dropped.add(row for row in labelled if not row["label"])
                counts.update((row["label"], rows.meta(row).get("domain", "")) for row in labelled)
                meter.advance(len(labelled))
        return Labelled(work.put(Examples, kept), self._report(work, counts), work.put(Documents, left))

    def _labelled(self, row: dict[str, Any]) -> dict[str, Any]:
        meta = json.loads(row["meta"] or "{}")
        found = meta.get(self.field.removeprefix("meta."), "") if self.field.startswith("meta.") else row[self.field]
        found = str(found or "").strip()
        if self.tag:
            meta["domain"] = domain(row["text"], self.tag)
        if not found:
            meta["dropped"] = f"no {self.field}"
        return {**row, "meta": json.dumps(meta, ensure_ascii=False, sort_keys=True), "label": self.values.get(found, found)}

    def _report(self, work: Work, counts: Counter[tuple[str, str]]) -> Report:
        from sapwood import report

        labels = sorted({label for label, _ in counts if label})
        domains = sorted({name for _, name in counts})
        lost = sum(number for (label, _), number in counts.items() if not label)
        kept = counts.total() - lost
        columns = ("label", *(name or "documents" for name in domains))
        often = sorted(labels, key=lambda label: (-sum(counts[label, name] for name in domains), label))[:LISTED]
        cells = [(label, *(counts[label, name] for name in domains)) for label in sorted(often)]
        reasons = [(f"no {self.field}", lost)] if lost else []
        told = f"The {LISTED} most frequent of {len(labels):,} labels." if len(labels) > LISTED else ""
        blocks = [report.table("Labels", columns, cells, told), report.table("Dropped", ("reason", "documents"), reasons)]
        data = {
            "kept": kept,
            "dropped": dict(reasons),
            "labels": {label: sum(counts[label, name] for name in domains) for label in sorted(often)},
            "domains": {name: sum(counts[label, name] for label in labels) for name in domains if name},
        }
        folder = work.new("report")
        report.write(
            folder, "Labels", f"{kept} examples with {len(labels)} labels; {lost} documents without a label dropped.", data, blocks
        )
        return work.put(Report, folder)
