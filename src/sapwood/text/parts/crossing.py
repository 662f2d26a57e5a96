"""What a split did, as report blocks: rows by part and field, the proof that nothing crosses, and what a plain split had leaked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from sapwood import report
from sapwood.errors import Refused
from sapwood.text.parts.leakproof import Made
from sapwood.text.parts.naive import Leak
from sapwood.text.parts.proof import PAIRS, Array, Proof
from sapwood.text.parts.sides import Sides
from sapwood.text.parts.split import NOWHERE, PARTS

MOST_CELLS = 100
KINDS = ("exact", "near", "group", "time")


class Shown(NamedTuple):
    """What the report tells of beside the split itself. `proved`: the kinds of crossing that were looked for; `naive_of`: which rows the
    plain split was of; `method`: the parameters in words."""

    threshold: float
    proved: tuple[str, ...]
    leak: Leak
    naive_of: str
    method: str


class Told(NamedTuple):
    summary: str
    data: dict[str, Any]
    blocks: list[report.Block]


def told(made: Made, sides: Sides, shown: Shown) -> Told:
    """The report; every number of it is in `data` too."""
    counts = {name: int((made.part == place).sum()) for place, name in enumerate(PARTS)}
    by_pair = [dict(zip(KINDS, found, strict=True)) for found in zip(*made.proof[:4], strict=True)]
    crossings: dict[str, Any] = {kind: sum(getattr(made.proof, kind)) for kind in KINDS}
    crossings |= {"threshold": shown.threshold, "tries": made.tries, "proved": list(shown.proved)}
    crossings["pairs"] = {_pair(pair): found for pair, found in zip(PAIRS, by_pair, strict=True)}
    columns, cells = _by_field(made.part, sides)
    by_field = [{**dict(zip(columns, key, strict=True)), **dict(zip(PARTS, row.tolist(), strict=True))} for key, row in cells[:MOST_CELLS]]
    leak = shown.leak
    data = {
        "method": shown.method, "parts": counts, "left_out": int((made.part == NOWHERE).sum()), "crossings": crossings,
        "notes": made.notes, "by_field": by_field,
        "naive": {"rows": shown.naive_of, "test": leak.test, "test_of": leak.of, "exact": leak.exact, "exact_or_near": leak.near},
    }  # fmt: skip
    summary = ", ".join(f"{name} {count:,}" for name, count in counts.items() if count) + "; crossings between parts: "
    summary += ", ".join(f"{crossings[kind]} {kind}" for kind in shown.proved) + "."
    naive = _naive(leak, shown.naive_of)
    blocks = [report.text(note) for note in (shown.method, *made.notes)]
    blocks += [_counts_table(columns, cells), _proof(made, shown)]
    blocks.append(report.text(f"{naive} {leak.exact:,} of them are exact copies after normalising."))
    return Told(" ".join([summary, *made.notes, naive]), data, blocks)


def refuse(proof: Proof, field: str) -> None:
    """Raise `Refused` when anything crosses; `field` is the stage's parameter for the threshold."""
    if proof.total:
        counts = ", ".join(f"{sum(found)} {kind}" for kind, found in zip(KINDS, proof[:4], strict=True) if sum(found))
        places = [_pair(pair) for pair, *found in zip(PAIRS, *proof[:4], strict=True) if any(found)]
        raise Refused(
            f"the split leaks: {counts} crossings, between {', '.join(places)}",
            f"remove near-duplicates first (stage dedup), or raise {field} here",
        )


def _pair(pair: tuple[int, int]) -> str:
    return f"{PARTS[pair[0]]}-{PARTS[pair[1]]}"


def _naive(leak: Leak, rows: str) -> str:
    share = leak.near / max(leak.test, 1)
    sample = f" ({leak.test:,} sampled of {leak.of:,})" if leak.test < leak.of else ""
    return (
        f"A plain random split of the {rows} rows would have put a copy of {leak.near:,} of {leak.test:,} test rows{sample} "
        f"({share:.1%}) into train."
    )


def _by_field(part: Array, sides: Sides) -> tuple[tuple[str, ...], list[tuple[tuple[str, ...], Array]]]:
    """(fields that some row has, [(their values, rows in each part)]), the values with the most rows first."""
    cells, names = sides.cells, sides.asked.shown
    used = [place for place in range(len(names)) if any(cell[place] for cell in cells)]
    placed = part != NOWHERE
    flat = np.bincount(sides.cell[placed].astype(np.int64) * len(PARTS) + part[placed], minlength=len(cells) * len(PARTS))
    counts: dict[tuple[str, ...], Array] = {}
    for cell, row in zip(cells, flat.reshape(-1, len(PARTS)), strict=True):
        key = tuple(cell[place] for place in used)
        counts[key] = counts[key] + row if key in counts else row
    return tuple(names[place] for place in used), sorted(counts.items(), key=lambda item: (-int(item[1].sum()), item[0]))


def _counts_table(columns: Sequence[str], cells: Sequence[tuple[tuple[str, ...], Array]]) -> report.Block:
    shown: list[list[Any]] = [[*(value or "(none)" for value in key), *row.tolist(), int(row.sum())] for key, row in cells[:MOST_CELLS]]
    total = sum((row for _, row in cells), np.zeros(len(PARTS), dtype=np.int64))
    if columns:
        shown.append(["all", *[""] * (len(columns) - 1), *total.tolist(), int(total.sum())])
    note = f"The largest {MOST_CELLS} of {len(cells):,} combinations." if len(cells) > MOST_CELLS else ""
    return report.table("Rows by part", [*columns, *PARTS, "sum"], shown, note)


def _proof(made: Made, shown: Shown) -> report.Block:
    note = (
        "Exact: texts equal in letters and digits after NFKC and case folding. "
        f"Near: pairs of texts whose 5-word or 5-character shingles overlap to a Jaccard similarity of {shown.threshold:g} or more; the "
        "search misses none, and is apart from the clusters that the split was made from. Group: values of a group field on both sides. "
        "Time: rows after the cut in a part before it. Paraphrase and translation are not seen."
    )
    filled = {place for place in range(len(PARTS)) if (made.part == place).any()}
    found = list(zip(PAIRS, *(getattr(made.proof, kind) for kind in shown.proved), strict=True))
    rows: list[list[Any]] = [[_pair(pair), *counts] for pair, *counts in found if set(pair) <= filled]
    rows.append(["all", *(sum(getattr(made.proof, kind)) for kind in shown.proved)])
    return report.table("Proof: what is on two sides", ["parts", *shown.proved], rows, note)
