"""What cleaning did, as report blocks: rows in, dropped by reason, kept; by language and source; rows to read.

Samples are chosen without a seed: the same rows give the same samples.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from sapwood import report
from sapwood.text import fields
from sapwood.text.cleaning import Judged

SHOWN = 20
EXCERPT = 200  # characters
MOST_GROUPS = 30


def data(judged: Judged) -> dict[str, Any]:
    """Numbers for programs: in, kept, dropped by reason; the same by language and by source; changes."""
    reasons = ["" if drop is None else drop.reason for drop in judged.drops]
    grouped = {
        name: {group: _counts(found) for group, found in _groups(fields.values(judged.rows, name), reasons).items()}
        for name in ("language", "source")
    }
    return {"total": _counts(reasons), **grouped, "changes": judged.changes}


def summary(judged: Judged) -> str:
    total = data(judged)["total"]
    dropped = ", ".join(f"{count:,} {reason}" for reason, count in total["dropped"].items())
    return f"{total['kept']:,} of {total['in']:,} rows kept" + (f"; dropped: {dropped}." if dropped else ".")


def blocks(judged: Judged) -> list[report.Block]:
    found = data(judged)
    changes = list(judged.changes.items())
    return [
        _table("Rows by reason", "", {"all": found["total"]}),
        _table("Rows by language", "language", found["language"]),
        _table("Rows by source", "source", found["source"]),
        *([report.table("What was changed", ["change", "times"], changes)] if changes else []),
        report.samples("Dropped rows", dropped_samples(judged), "Spread over the reasons."),
        report.samples("Kept rows nearest to a limit", nearest_samples(judged), "If these are good, the limits may be wider."),
    ]


def dropped_samples(judged: Judged, most: int = SHOWN) -> list[dict[str, Any]]:
    """At most `most` rows: in turn from each reason, evenly spaced within it."""
    by_reason = _groups([drop.reason if drop else "" for drop in judged.drops], list(range(len(judged.drops))))
    by_reason.pop("", None)
    each = {reason: _spaced(rows, most) for reason, rows in by_reason.items()}
    turns = [(turn, reason) for turn in range(most) for reason in each if turn < len(each[reason])][:most]
    chosen = sorted((reason, each[reason][turn]) for turn, reason in turns)
    return [
        {**_row(judged, row), "reason": reason, "value": drop.value, "limit": drop.limit}
        for reason, row in chosen
        if (drop := judged.drops[row])
    ]


def nearest_samples(judged: Judged, most: int = SHOWN) -> list[dict[str, Any]]:
    """The kept rows with the smallest distance to a limit, as a share of that limit."""
    kept = [(near.value, row, near) for row, near in enumerate(judged.nearest) if near is not None and judged.drops[row] is None]
    closest = sorted(kept, key=lambda item: item[:2])[:most]
    return [
        {**_row(judged, row), "reason": f"near {near.reason}", "distance": distance, "limit": near.limit} for distance, row, near in closest
    ]


def _row(judged: Judged, row: int) -> dict[str, Any]:
    text = judged.rows.column("text")[row].as_py()
    return {"id": judged.rows.column("id")[row].as_py(), "text": text[:EXCERPT] + ("…" if len(text) > EXCERPT else "")}


def _spaced(rows: list[int], most: int) -> list[int]:
    count = min(most, len(rows))
    return [rows[place * len(rows) // count] for place in range(count)]


def _groups(names: Sequence[str], items: Sequence[Any]) -> dict[str, list[Any]]:
    grouped: dict[str, list[Any]] = {}
    for name, item in zip(names, items, strict=True):
        grouped.setdefault(name, []).append(item)
    return dict(sorted(grouped.items()))


def _counts(reasons: Sequence[str]) -> dict[str, Any]:
    counts = Counter(reasons)
    return {"in": len(reasons), "kept": counts.pop("", 0), "dropped": dict(sorted(counts.items()))}


def _table(title: str, head: str, groups: dict[str, Any]) -> report.Block:
    """One row a group, the largest first; past 30 the note says that there are more."""
    reasons = sorted({reason for found in groups.values() for reason in found["dropped"]})
    ordered = sorted(groups.items(), key=lambda item: (-item[1]["in"], item[0]))
    rows = [
        [name or "(none)", found["in"], *(found["dropped"].get(reason, 0) for reason in reasons), found["kept"]] for name, found in ordered
    ]
    note = f"The largest {MOST_GROUPS} of {len(rows)}; the others are in the report's data." if len(rows) > MOST_GROUPS else ""
    return report.table(title, [head or "rows", "in", *reasons, "kept"], rows[:MOST_GROUPS], note)
