"""Cleaning of rows, batch by batch: normal form, boilerplate, language, statistics, verdicts; one reason for each row that goes.

Pure over Arrow tables. A row depends on its own text only (and on the lines that `boilerplate` found beforehand), never on its
neighbours or on where batches begin. Memory is about 20 times the text of one batch. What each step does not do is said in its module.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sapwood.text import fields, language, rows
from sapwood.text.quality import boilerplate, normalise, rules, statistics, terms
from sapwood.text.quality.criteria import Boilerplate, Ruleset

STATS = "stats"
CODE_LINES, CODE_SHARE = 3, 0.5
"""A text of so many lines, of which this share looks like program code, has the variety `code`."""
PLAIN = ("", "zh-Hans")
"""Varieties that go without saying."""


@dataclass(frozen=True)
class Measuring:
    """How rows are prepared: `lists` are word lists to count; `lines` go as boilerplate, by `options`."""

    lists: terms.Terms | None = None
    lines: boilerplate.Lines | None = None
    options: Boilerplate = field(default_factory=Boilerplate)

    @property
    def names(self) -> tuple[str, ...]:
        """The statistics that it gives."""
        return (*statistics.NAMES, *(self.lists.groups if self.lists else ()))


class Measured(NamedTuple):
    """Rows with their new text, language and digest; statistics by name; what was changed, counted by step."""

    rows: pa.Table
    stats: dict[str, Any]
    changes: Counter[str]


def measure(table: pa.Table, how: Measuring) -> Measured:
    """Prepare and measure every row. Rows whose stored statistics fit their text are taken as they are."""
    stored = _stored(table, how)
    if stored is None:
        return _measure(table, how)
    stats, stale = stored
    if not len(stale):
        return Measured(table, stats, Counter())
    again = _measure(table.take(stale), how)
    for name in stats:
        stats[name][stale] = again.stats.get(name, np.nan)
    order = np.arange(table.num_rows)
    order[stale] = table.num_rows + np.arange(len(stale))
    mended = pa.concat_tables([table.drop_columns([STATS]), again.rows.drop_columns([STATS])]).take(order)
    return Measured(with_stats(mended, stats).select(table.column_names), stats, again.changes)


def with_stats(table: pa.Table, stats: Mapping[str, Any]) -> pa.Table:
    """The rows with their statistics in the column `stats`, a struct of float64."""
    column = pa.StructArray.from_arrays([pa.array(values, type=pa.float64()) for values in stats.values()], names=list(stats))
    bare = table.drop_columns([STATS]) if STATS in table.column_names else table
    return bare.append_column(STATS, column)


def schema_after(schema: pa.Schema, how: Measuring) -> pa.Schema:
    """The columns of cleaned rows: those that came, with statistics measured again where the stored ones do not do."""
    return schema_with_stats(schema, how) if STATS in schema.names and not _suffices(schema.field(STATS).type, how) else schema


def schema_with_stats(schema: pa.Schema, how: Measuring) -> pa.Schema:
    place = schema.get_field_index(STATS)
    bare = schema.remove(place) if place >= 0 else schema
    return bare.append(pa.field(STATS, pa.struct([(name, pa.float64()) for name in how.names])))


def varieties(table: pa.Table | pa.RecordBatch) -> list[str]:
    """The variety of each row's language, from `meta`; "" is the plain one."""
    return fields.values(table, "meta.variety")


def mark(table: pa.Table, verdicts: rules.Verdicts, ruleset: Ruleset, codes: Sequence[str]) -> pa.Table:
    """The dropped rows alone, with `dropped`, `value`, `limit` and `rule` (with its version) in their meta."""
    gone = np.flatnonzero(~verdicts.stays)
    added = []
    for row in gone.tolist():
        number = int(verdicts.reason[row])
        value, limit = f"{verdicts.value[row]:g}", f"{verdicts.limit[row]:g}"
        if number == 0:
            value, limit = codes[row], " ".join(ruleset.languages)
        added.append({"dropped": ruleset.names[number], "value": value, "limit": limit, "rule": ruleset.versioned(number)})
    return fields.with_meta(table.take(pa.array(gone, type=pa.int64())), added)


def _stored(table: pa.Table, how: Measuring) -> tuple[dict[str, Any], Any] | None:
    """(statistics, rows that must be measured again) of a table that brings them; None where it does not, or must change its text."""
    if STATS not in table.column_names or not _suffices(table.schema.field(STATS).type, how):
        return None
    column = table.column(STATS).combine_chunks()
    known = _names(column.type)
    stats = {name: np.array(pc.struct_field(column, name).to_numpy(zero_copy_only=False), dtype=np.float64) for name in known}
    lengths = pc.fill_null(pc.utf8_length(table.column("text")), 0).to_numpy()
    return stats, np.flatnonzero(~(stats["characters"] == lengths))


def _suffices(stored: pa.StructType, how: Measuring) -> bool:
    return how.lines is None and set(how.names) <= set(_names(stored))


def _names(stored: pa.StructType) -> list[str]:
    return [stored.field(place).name for place in range(stored.num_fields)]


def _measure(table: pa.Table, how: Measuring) -> Measured:
    texts, changes = _prepared(table, how)
    found = language.identify_all(texts)
    measured = statistics.measure(texts, how.lists)
    measured["language_share"] = np.array([one.share for one in found])
    measured["language_score"] = np.array([one.score for one in found])
    stats = {name: measured[name] for name in how.names}
    kinds = [_variety(*one) for one in zip(found, stats["code"].tolist(), stats["lines"].tolist(), strict=True)]
    changed = _rewritten(table, texts)
    changed = fields.replaced(changed, "language", [one.code for one in found])
    changed = _with_varieties(changed, kinds)
    return Measured(with_stats(changed, stats) if STATS in table.column_names else changed, stats, changes)


def _prepared(table: pa.Table, how: Measuring) -> tuple[list[str], Counter[str]]:
    """The texts in their normal form, without boilerplate."""
    changes: Counter[str] = Counter()
    normals = normalise.normalise_all(fields.texts(table))
    changes.update(f"normalised: {step}" for normal in normals for step in normal.steps)
    texts = [normal.text for normal in normals]
    if how.lines is not None and how.lines.hashes:
        found = list(boilerplate.remove(texts, fields.values(table, "source"), how.lines, how.options))
        texts = [text for text, _ in found]
        changes["boilerplate: lines"] += sum(gone for _, gone in found)
        changes["boilerplate: documents"] += sum(gone > 0 for _, gone in found)
    return texts, changes


def _rewritten(table: pa.Table, texts: Sequence[str]) -> pa.Table:
    """With new texts, and new digests where the text changed."""
    old, digests = table.column("text").to_pylist(), table.column("text_digest").to_pylist()
    if old == list(texts):
        return table
    renewed = [have if was == text else rows.text_digest(text) for was, text, have in zip(old, texts, digests, strict=True)]
    return fields.replaced(fields.replaced(table, "text", texts), "text_digest", renewed)


def _variety(found: language.Language, code: float, lines: float) -> str:
    return "code" if code >= CODE_SHARE and lines >= CODE_LINES else "" if found.variety in PLAIN else found.variety


def _with_varieties(table: pa.Table, kinds: Sequence[str]) -> pa.Table:
    """`meta.variety` is set, or taken out where there is nothing to say."""
    metas = fields.column(table, "meta")
    told = varieties(table)
    if told == list(kinds):
        return table
    renewed = []
    for meta, was, now in zip(metas, told, kinds, strict=True):
        if was == now:
            renewed.append(meta)
            continue
        body = {key: value for key, value in json.loads(meta or "{}").items() if key != "variety"}
        body |= {"variety": now} if now else {}
        renewed.append(json.dumps(body, ensure_ascii=False, sort_keys=True))
    return fields.replaced(table, "meta", renewed)
