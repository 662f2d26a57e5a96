"""What other rules would keep and drop, told from stored statistics before anything is dropped.

Only the columns that the rules name are read, and the texts of the rows that are shown: 100,000 rows take about a second. Rows without
stored statistics are measured on the way, which takes as long as cleaning them. Memory does not grow with the rows.

It does not see what boilerplate removal would change, since that changes texts.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sapwood.text import fields, rows
from sapwood.text.quality import cleaning, ledger, rules
from sapwood.text.quality.criteria import Ruleset

EXAMPLES = 10
KINDS = ("newly dropped", "newly kept")


@dataclass
class Foresight:
    """Two rule sets on the same rows. `groups[grouping][group]` counts `in`, `kept before` and `kept after`."""

    before: Counter[str] = field(default_factory=Counter)
    after: Counter[str] = field(default_factory=Counter)
    changed: Counter[str] = field(default_factory=Counter)
    groups: dict[str, dict[str, Counter[str]]] = field(default_factory=lambda: {"language": {}, "source": {}})
    examples: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: {kind: [] for kind in KINDS})
    measured_now: bool = False


def stored_lists(folder: Path) -> tuple[str, ...]:
    """The statistics beside the usual ones that the rows bring: hits of word lists."""
    from sapwood.text.quality import statistics

    schema = rows.schema(folder)
    kind = schema.field(cleaning.STATS).type if cleaning.STATS in schema.names else pa.struct([])
    return tuple(name for name in _names(kind) if name not in statistics.NAMES)


def compare(folder: Path, before: Ruleset, after: Ruleset, advance: Callable[[int], None] = lambda _: None) -> Foresight:
    """Judge every row by both rule sets."""
    found = Foresight()
    held: dict[str, list[tuple[Any, ...]]] = {kind: [] for kind in KINDS}
    place = 0
    for table, stats, now in _statistics(folder, {*before.statistics(), *after.statistics()}):
        found.measured_now |= now
        codes, kinds = fields.values(table, "language"), cleaning.varieties(table)
        old, new = (rules.judge(ruleset, stats, codes, kinds) for ruleset in (before, after))
        _count(found, (before, old), (after, new), {"language": codes, "source": fields.values(table, "source")})
        for kind, mask, verdicts, ruleset in (
            (KINDS[0], old.stays & ~new.stays, new, after),
            (KINDS[1], ~old.stays & new.stays, old, before),
        ):
            some = [(digest, place + row, _why(ruleset, verdicts, row, codes)) for digest, row in _digests(table, np.flatnonzero(mask))]
            held[kind] = heapq.nsmallest(EXAMPLES, [*held[kind], *some], key=lambda one: one[:2])
        place += table.num_rows
        advance(table.num_rows)
    texts = _texts(folder, {row for some in held.values() for _, row, _ in some})
    found.examples = {kind: [{**texts[row], **why} for _, row, why in some] for kind, some in held.items()}
    return found


def _count(
    found: Foresight, old: tuple[Ruleset, rules.Verdicts], new: tuple[Ruleset, rules.Verdicts], groups: dict[str, list[str]]
) -> None:
    for counter, (ruleset, verdicts) in ((found.before, old), (found.after, new)):
        names = (*ruleset.names, ledger.STAYED)
        for number, count in zip(*np.unique(verdicts.reason, return_counts=True), strict=True):
            counter[names[int(number)]] += int(count)
    stays = {"kept before": old[1].stays, "kept after": new[1].stays}
    found.changed[KINDS[0]] += int((stays["kept before"] & ~stays["kept after"]).sum())
    found.changed[KINDS[1]] += int((~stays["kept before"] & stays["kept after"]).sum())
    for grouping, each in groups.items():
        distinct, which = np.unique(np.array(each, dtype=object).astype(str), return_inverse=True)
        for name, mask in {"in": np.ones(len(each), dtype=bool), **stays}.items():
            for group, count in zip(distinct.tolist(), np.bincount(which, weights=mask, minlength=len(distinct)).tolist(), strict=True):
                found.groups[grouping].setdefault(group, Counter())[name] += int(count)


def _why(ruleset: Ruleset, verdicts: rules.Verdicts, row: int, codes: list[str]) -> dict[str, Any]:
    number, known = int(verdicts.reason[row]), {"language": codes[row]}
    if number == 0:
        return {**known, "rule": ruleset.versioned(0), "value": codes[row], "limit": " ".join(ruleset.languages)}
    return {**known, "rule": ruleset.versioned(number), "value": round(float(verdicts.value[row]), 4), "limit": float(verdicts.limit[row])}


def _digests(table: pa.Table, which: Any) -> list[tuple[str, int]]:
    """(digest, row) of the rows that may be shown: those with the smallest digests."""
    column = fields.values(table.take(which), "text_digest")
    return heapq.nsmallest(EXAMPLES, zip(column, which.tolist(), strict=True))


def _statistics(folder: Path, wanted: set[str]) -> Iterator[tuple[pa.Table, dict[str, Any], bool]]:
    """(rows, statistics, whether they were measured now), a row group or batch at a time."""
    schema = rows.schema(folder)
    kind = schema.field(cleaning.STATS).type if cleaning.STATS in schema.names else pa.struct([])
    if wanted <= set(_names(kind)):
        columns = ["text_digest", "language", "source", "meta", *(f"{cleaning.STATS}.{name}" for name in sorted(wanted))]
        for shard in rows.shards(folder):
            with pq.ParquetFile(shard) as stored:
                for group in range(stored.num_row_groups):
                    table = stored.read_row_group(group, columns=columns, use_threads=False)
                    column: Any = table.column(cleaning.STATS).combine_chunks()
                    yield table, {name: _floats(column.field(name)) for name in wanted}, False
        return
    for batch in rows.batches(folder, size=2048):
        measured = cleaning.measure(pa.Table.from_batches([batch]), cleaning.Measuring())
        yield measured.rows, measured.stats, True


def _floats(column: Any) -> Any:
    return np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.float64)


def _names(kind: Any) -> list[str]:
    return [kind.field(place).name for place in range(kind.num_fields)]


def _texts(folder: Path, wanted: set[int]) -> dict[int, dict[str, Any]]:
    """Id and the beginning of the text of those rows, by their place; row groups without any are not read."""
    found: dict[int, dict[str, Any]] = {}
    start = 0
    for shard in rows.shards(folder):
        with pq.ParquetFile(shard) as stored:
            for group in range(stored.num_row_groups):
                count = stored.metadata.row_group(group).num_rows
                if mine := sorted(row for row in wanted if start <= row < start + count):
                    table = stored.read_row_group(group, columns=["id", "text"], use_threads=False)
                    for row, one in zip(mine, table.take([row - start for row in mine]).to_pylist(), strict=True):
                        text = one["text"] or ""
                        cut = text[: ledger.EXCERPT] + ("…" if len(text) > ledger.EXCERPT else "")
                        found[row] = {"id": one["id"], "text": cut}
                start += count
    return found
