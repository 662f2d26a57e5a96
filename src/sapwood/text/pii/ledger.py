"""Masking of rows, batch by batch, and the count of what was masked: by type, language, source and field.

The ledger never holds a value: its samples are excerpts of texts in which everything that any finder finds is masked, of types too
that the rows keep. Memory: the counts and 20 excerpts.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from sapwood import report
from sapwood.text import fields, rows
from sapwood.text.pii import Masked, masker
from sapwood.text.pii.finding import PLACEHOLDER
from sapwood.text.pii.settings import Masking

SHOWN, SHOWN_EACH, AROUND, MOST_GROUPS = 20, 2, 60, 30
"""Excerpts in all and of one type in one language, characters either side, rows of a table."""

Mask = Callable[[str], Masked]


@dataclass
class Ledger:
    """Masks rows and keeps count. `everything` masks what the excerpts may not show."""

    mask: Mask
    everything: Mask
    documents: int = 0
    touched: int = 0
    kept: int = 0
    types: Counter[str] = field(default_factory=Counter)
    by: dict[str, Counter[tuple[str, str]]] = field(default_factory=lambda: {name: Counter() for name in ("language", "source", "field")})
    samples: list[dict[str, str]] = field(default_factory=list)
    _shown: Counter[tuple[str, str]] = field(default_factory=Counter)

    @classmethod
    def of(cls, masking: Masking, key: bytes, workspace: Path) -> Ledger:
        """`key` as for `pii.masker`."""
        whole = Masking(maskers=masking.maskers)
        return cls(masker(masking, key, workspace), masker(whole, b"", workspace))

    def masked(self, batch: pa.RecordBatch, scope: Sequence[str]) -> pa.Table:
        """The rows with the columns of `scope` masked; `text_digest` follows the text."""
        table = pa.Table.from_batches([batch])
        languages, sources = fields.values(table, "language"), fields.values(table, "source")
        touched: set[int] = set()
        for name in scope:
            new: list[Any] = fields.column(table, name)
            for row, value in enumerate(new):
                if not value:
                    continue
                found = self._meta(value) if name == "meta" else self.mask(value)
                self.kept += found.kept
                if found.counts:
                    new[row] = found.text
                    touched.add(row)
                    self._count(found, name, languages[row], sources[row])
            table = self._with(table, name, new) if touched else table
        self.documents += table.num_rows
        self.touched += len(touched)
        return table

    def _with(self, table: pa.Table, name: str, new: list[Any]) -> pa.Table:
        table = fields.replaced(table, name, new)
        if name == "text" and "text_digest" in table.column_names:
            table = fields.replaced(table, "text_digest", [rows.text_digest(text or "") for text in new])
        return table

    def _meta(self, meta: str) -> Masked:
        """The values of the JSON object masked, its keys as they are."""
        counts: Counter[str] = Counter()
        kept, new = 0, json.loads(meta)
        for name, value in new.items():
            found = self.mask(str(value))
            counts.update(found.counts)
            kept += found.kept
            new[name] = found.text if found.counts else value
        return Masked(json.dumps(new, ensure_ascii=False, sort_keys=True), dict(counts), kept)

    def _count(self, found: Masked, name: str, language: str, source: str) -> None:
        self.types.update(found.counts)
        for entity_type, count in found.counts.items():
            for group, value in (("language", language), ("source", source), ("field", name)):
                self.by[group][value, entity_type] += count
            if name == "text" and len(self.samples) < SHOWN and self._shown[entity_type, language] < SHOWN_EACH:
                self._shown[entity_type, language] += 1
                self.samples.append({"text": self._excerpt(found.text, entity_type), "reason": entity_type, "language": language})

    def _excerpt(self, text: str, entity_type: str) -> str:
        """What stands around the first placeholder of the type, cut out after everything was masked."""
        safe = self.everything(text).text
        spans = [match.span() for match in PLACEHOLDER.finditer(safe) if match.group().startswith(f"<{entity_type}")]
        start, end = spans[0] if spans else (0, 0)
        first, last = max(0, start - AROUND), min(len(safe), end + AROUND)
        return ("…" if first else "") + safe[first:last] + ("…" if last < len(safe) else "")

    # ------------------------------------------------------------------ what it tells

    def summary(self) -> str:
        each = ", ".join(f"{count:,} {name}" for name, count in self.types.most_common())
        told = f": {each}." if each else "."
        return f"{self.types.total():,} values masked in {self.touched:,} of {self.documents:,} rows{told}"

    def data(self) -> dict[str, Any]:
        groups = {
            f"by_{name}": {value: self._types_of(found, value) for value in sorted({value for value, _ in found})}
            for name, found in self.by.items()
        }
        return {
            "rows": self.documents,
            "masked_rows": self.touched,
            "left_by_keep": self.kept,
            "types": dict(sorted(self.types.items())),
            **groups,
        }

    def blocks(self) -> list[report.Block]:
        tables = [self._table(f"By {name}", name, found) for name, found in self.by.items()]
        note = "Everything that any finder finds is masked here, of types too that the rows keep."
        return [*tables, report.samples("Where values stood", self.samples, note)]

    def _types_of(self, found: Counter[tuple[str, str]], value: str) -> dict[str, int]:
        return {kind: count for (one, kind), count in sorted(found.items()) if one == value}

    def _table(self, title: str, head: str, found: Counter[tuple[str, str]]) -> report.Block:
        kinds = sorted(self.types)
        totals: Counter[str] = Counter()
        for (value, _), count in found.items():
            totals[value] += count
        ordered = sorted(totals, key=lambda value: (-totals[value], value))
        cells = [[value or "(none)", *(found[value, kind] for kind in kinds), totals[value]] for value in ordered[:MOST_GROUPS]]
        note = f"The largest {MOST_GROUPS} of {len(ordered)}; the others are in the report's data." if len(ordered) > MOST_GROUPS else ""
        return report.table(title, [head, *kinds, "all"], cells, note)
