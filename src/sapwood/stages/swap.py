"""Swap: the other direction of examples that have a text to write."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from pydantic import Field

from sapwood.artifact import Examples
from sapwood.errors import InputError
from sapwood.stage import Json, Stage, Work


class Swap(Stage):
    """Exchange the text of each example and the text to write, such as for translation the other way, or for a tokenizer of both languages.

    Rows get ids of their own, with the old ones as parents. Swap the parts of a split, not what is split: a pair and its other direction
    belong on one side.
    """

    examples: ClassVar[tuple[dict[str, Json], ...]] = ({"field": "translation", "language": "zh"}, {"field": "translation"})

    field: str = Field("target", pattern="^[a-z_][a-z0-9_]*$", description="Entry of meta with the text to write.")
    language: str = Field("", description="Language of the new texts, such as zh; empty leaves it to be told.")

    def run(self, work: Work, examples: Examples) -> Examples:
        from sapwood.text import rows
        from sapwood.text.writer import Writer

        folder = work.new("examples")
        with Writer(folder, rows.EXAMPLES) as out:
            for batch in rows.batches(work.path(examples)):
                out.add(self._swapped(row) for row in batch.to_pylist())
        return work.put(Examples, folder)

    def _swapped(self, row: dict[str, Any]) -> dict[str, Any]:
        from sapwood.text import rows

        meta = json.loads(row["meta"] or "{}")
        if not meta.get(self.field):
            raise InputError(f"row {row['id']} has no meta.{self.field}", "set field to the entry that holds the text to write")
        text, meta[self.field] = meta[self.field], row["text"]
        new = {"id": rows.document_id(row["id"], "swapped"), "text": text, "text_digest": rows.text_digest(text), "language": self.language}
        return {**row, **new, "meta": json.dumps(meta, ensure_ascii=False, sort_keys=True), "parents": [*(row["parents"] or []), row["id"]]}
