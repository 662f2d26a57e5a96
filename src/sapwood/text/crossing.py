"""What a split did, as report blocks: rows by part and field, the proof that nothing crosses, and what a plain split had leaked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from sapwood import report
from sapwood.errors import Refused
from sapwood.text import fields
from sapwood.text.split import NOWHERE, PARTS, Array, Crossings


class Told(NamedTuple):
    summary: str
    data: dict[str, Any]
    blocks: list[report.Block]


def told(
    table: pa.Table, part: Array, names: Sequence[str], found: Crossings, tries: int, leak: tuple[int, int, int] | None, threshold: float
) -> Told:
    """`leak`: (test rows, with an exact copy in train, with an exact or near copy) of a plain random split, where it was measured."""
    counts = {name: int((part == index).sum()) for index, name in enumerate(PARTS)}
    crossings = {"exact": found.exact, "near": found.near, "threshold": threshold, "tries": tries}
    columns = list(dict.fromkeys(name for name in names if set(fields.values(table, name)) - {""}))
    data: dict[str, Any] = {"parts": counts, "left_out": int((part == NOWHERE).sum()), "crossings": crossings}
    data["by_field"] = [{**dict(zip(columns, key, strict=True)), **row} for key, row in _by_field(table, part, columns).items()]
    summary = ", ".join(f"{name} {count:,}" for name, count in counts.items() if count)
    summary += f"; crossings between parts: {found.exact} exact, {found.near} near."
    blocks = [_counts_table(table, part, columns), _proof(found, threshold)]
    if leak is not None:
        data["naive"] = {"test": leak[0], "exact": leak[1], "exact_or_near": leak[2]}
        share = leak[2] / max(leak[0], 1)
        sentence = (
            f"A plain random split of the raw rows would have put a copy of {leak[2]:,} of {leak[0]:,} test rows ({share:.1%}) into train."
        )
        summary += " " + sentence
        blocks.append(report.text(f"{sentence} {leak[1]:,} of them are exact copies after normalising."))
    return Told(summary, data, blocks)


def refuse(found: Crossings) -> None:
    """Raise `Refused` when anything crosses."""
    if found.exact or found.near:
        raise Refused(
            f"the split leaks: {found.exact} texts and {found.near} near-duplicate pairs are on two sides",
            "clean the rows first (stage clean, near: 0.8), or raise near here",
        )


def _by_field(table: pa.Table, part: Array, columns: Sequence[str]) -> dict[tuple[str, ...], dict[str, int]]:
    keys = list(zip(*(fields.values(table, name) for name in columns), strict=True)) if columns else [()] * table.num_rows
    counted = Counter(zip(keys, part.tolist(), strict=True))
    return {key: {name: counted[key, index] for index, name in enumerate(PARTS)} for key in sorted(set(keys))}


def _counts_table(table: pa.Table, part: Array, columns: Sequence[str]) -> report.Block:
    rows: list[list[Any]] = [[*key, *row.values(), sum(row.values())] for key, row in _by_field(table, part, columns).items()]
    totals = [sum(row[len(columns) + place] for row in rows) for place in range(len(PARTS) + 1)]
    all_rows = [*rows, ["all", *[""] * (len(columns) - 1), *totals]] if columns else rows
    return report.table("Rows by part", [*columns, *PARTS, "sum"], all_rows)


def _proof(found: Crossings, threshold: float) -> report.Block:
    note = (
        "Exact: texts equal in letters and digits after NFKC and case folding. Near: every pair of rows whose 5-word or 5-character "
        "shingles overlap that much, found by prefix filter, which misses none, and apart from the clusters that the split was made from. "
        "Paraphrase and translation are not seen."
    )
    rows = [["exact", "equal", found.exact], ["near", f"Jaccard >= {threshold:g}", found.near]]
    return report.table("Proof: what is on two sides", ["kind", "measure", "crossings"], rows, note)
