"""What the report of augmentation says."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher
from statistics import mean
from typing import Any, NamedTuple

from sapwood import report
from sapwood.text.augmenting.children import FATES, Grown, Pair
from sapwood.text.units import units

LOOK = 1000  # characters of a pair that are compared
EXAMPLES = 3


class Told(NamedTuple):
    summary: str
    data: dict[str, Any]
    blocks: list[report.Block]


def changed(parent: str, child: str) -> float:
    """Share of the units of both that are not matched by the other, in order (Ratcliff and Obershelp 1988)."""
    one, two = units(parent[:LOOK]), units(child[:LOOK])
    return 1 - SequenceMatcher(None, one, two, autojunk=False).ratio() if one or two else 0.0


def told(rows: int, grown: Grown, pairs: Sequence[Pair]) -> Told:
    """Counts by operator and reason, the share of changed units, and parents beside their children."""
    shares = {name: round(mean(changed(p.parent, p.child) for p in pairs if p.operator == name), 4) for name in grown.shown}
    kept = sum(counts["kept"] for counts in grown.counts.values())
    reasons = sorted({reason for counts in grown.counts.values() for reason in counts} - {"tried", "kept"})
    columns = ["operator", "tried", "kept", "changed units", *reasons]
    table = [[name, c["tried"], c["kept"], shares.get(name, 0.0), *(c[reason] for reason in reasons)] for name, c in grown.counts.items()]
    data = {
        "rows": rows,
        "parents": grown.parents,
        "children": kept,
        "operators": {n: dict(c) for n, c in grown.counts.items()},
        "changed": shares,
    }
    note = f"Changed units: mean over at most 100 children an operator. Dropped are children that are {', '.join(FATES[1:])}."
    blocks = [report.table("Operators", columns, table, note)]
    for name in grown.shown:
        shown = [p for p in pairs if p.operator == name][:EXAMPLES]
        lines = [{"text": p.child[:300], "reason": f"child ({name})", "parent": p.parent[:300]} for p in shown]
        blocks.append(report.samples(f"Children by {name}, with the parent", lines))
    return Told(f"{kept} children of {grown.parents} rows by {len(grown.counts)} operators.", data, blocks)
