"""Pair: two sets of documents that say the same become examples with a text and a text to write."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from pydantic import Field

from sapwood.artifact import Documents, Examples, Report
from sapwood.stage import Estimate, Json, Stage, Work

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sapwood.text.pairing import Matched, Pair, Side

SHOWN = 3
"""Dropped pairs of each reason that the report shows."""


class Paired(NamedTuple):
    examples: Examples
    report: Report
    dropped: Documents


class PairTexts(Stage):
    """Join two sets of documents by a key, such as page and element of a manual in two languages, into examples for the task `sequence`.

    An example is the row of `documents` with its partner's text in `meta.target`. Pairs that are copies, of unlikely lengths, or the same
    on both sides go to `dropped` with the reason. Split the examples with `group: [meta.target]`, so that no answer is on two sides.
    """

    examples: ClassVar[tuple[dict[str, Json], ...]] = (
        {"key": ["meta.path"], "into": "translation", "by_line": True, "min_chars": 2, "max_chars": 200, "spread": 3},
        {"key": ["language", "meta.path"]},
    )

    key: list[str] = Field(["meta.path", "meta.element"], min_length=1, description="Fields that partners have in common.")
    by_line: bool = Field(False, description="Pair the lines of documents with the same key, where both have as many, not the whole texts.")
    into: str = Field("target", pattern="^[a-z_][a-z0-9_]*$", description="Entry of meta that takes the partner's text.")
    min_chars: int = Field(1, ge=1, description="Shortest text on either side, in characters without spaces.")
    max_chars: int = Field(1000, ge=1, description="Longest text on either side, in characters without spaces.")
    spread: float = Field(4.0, ge=0, description="Most times that a pair's ratio of lengths may be off the middle one; 0 for no limit.")

    def estimate(self, bytes_in: int) -> Estimate:
        return Estimate(2 + bytes_in / 10e6, 300_000_000 + 8 * bytes_in, 2 * bytes_in)

    def run(self, work: Work, documents: Documents, targets: Documents) -> Paired:
        from sapwood.errors import InputError
        from sapwood.text import pairing, rows
        from sapwood.text.writer import Writer

        matched = pairing.match(self._sides(work, documents), self._sides(work, targets), self.by_line)
        judged = list(pairing.judge(matched.pairs, pairing.Limits(self.min_chars, self.max_chars, self.spread)))
        counts: Counter[str] = Counter(pair.why for pair in judged)
        if not counts[""]:
            raise InputError(
                f"no pair is left: {', '.join(f'{n:,} {why}' for why, n in counts.most_common(3))}",
                "check `key`: the fields need the same values on both sides",
            )
        kept, left = work.new("examples"), work.new("dropped")
        with Writer(kept, rows.EXAMPLES) as good, Writer(left) as dropped, work.progress("pairing", len(judged), "pairs") as meter:
            at = 0
            for batch in rows.batches(work.path(documents)):
                start, kept_rows, left_rows = at, list[dict[str, Any]](), list[dict[str, Any]]()
                for row in batch.to_pylist():
                    while at < len(judged) and judged[at].text.id == row["id"]:
                        if judged[at].why:
                            left_rows.append(_refused(row, judged[at]))
                        else:
                            kept_rows.append(self._example(row, judged[at]))
                        at += 1
                good.add(kept_rows)
                dropped.add(left_rows)
                meter.advance(at - start)
        return Paired(work.put(Examples, kept), self._report(work, judged, counts, matched), work.put(Documents, left))

    def _sides(self, work: Work, documents: Documents) -> Iterator[Side]:
        """Key and text of each row; a row without a key cannot have a partner, so its id stands for one."""
        from sapwood.text import fields, pairing, rows

        folder = work.path(documents)
        schema = rows.schema(folder)
        for name in self.key:
            fields.required(name, schema)
        for batch in rows.batches(folder, fields.columns_for(["id", "text", *self.key], schema)):
            columns = {name: fields.values(batch, name) for name in self.key}
            for number, (name, text) in enumerate(zip(fields.values(batch, "id"), fields.texts(batch), strict=True)):
                key = pairing.key_of({one: columns[one][number] for one in self.key}, self.key)
                yield pairing.Side(name, key or f"id:{name}", text)

    def _example(self, row: dict[str, Any], pair: Pair) -> dict[str, Any]:
        from sapwood.text import rows

        assert pair.target is not None
        meta = {**json.loads(row["meta"] or "{}"), self.into: pair.target.text}
        body = {**row, "meta": json.dumps(meta, ensure_ascii=False, sort_keys=True), "label": "", "text": pair.text.text}
        body["text_digest"] = rows.text_digest(pair.text.text)
        parents = [pair.target.id]
        if self.by_line:
            parents, body["id"] = [row["id"], pair.target.id], rows.document_id(row["id"], pair.text.key)
        return {**body, "parents": [*(row["parents"] or []), *parents]}

    def _report(self, work: Work, judged: list[Pair], counts: Counter[str], matched: Matched) -> Report:
        from sapwood import report

        reasons = [(why, number) for why, number in sorted(counts.items(), key=lambda one: (-one[1], one[0])) if why]
        shown = [pair for why, _ in reasons for pair in [one for one in judged if one.why == why][:SHOWN]]
        samples = [
            {"text": pair.text.text[:200], "target": pair.target.text[:200] if pair.target else "", "reason": pair.why} for pair in shown
        ]
        data = {"kept": counts[""], "dropped": dict(reasons), "targets_without_partner": len(matched.left)}
        summary = f"{counts['']:,} pairs of {len(judged):,} texts; {len(matched.left):,} targets had no partner."
        folder = work.new("report")
        blocks = [report.table("Dropped", ("reason", "texts"), reasons), report.samples("Some that were dropped", samples)]
        report.write(folder, "Pairs", summary, data, blocks)
        work.say(summary)
        return work.put(Report, folder)


def _refused(row: dict[str, Any], pair: Pair) -> dict[str, Any]:
    from sapwood.text import rows

    meta = {**json.loads(row["meta"] or "{}"), "dropped": pair.why}
    line = {"id": rows.document_id(row["id"], pair.text.key), "parents": [row["id"]]} if pair.text.text != row["text"] else {}
    body = {**row, "text": pair.text.text, "text_digest": rows.text_digest(pair.text.text), **line}
    body["meta"] = json.dumps(meta, ensure_ascii=False, sort_keys=True)
    return {name: body[name] for name in rows.DOCUMENTS.names}
