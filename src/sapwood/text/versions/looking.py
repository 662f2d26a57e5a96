"""Look into rows: filter, search and sample them, in one stream. Memory is one batch and what is shown.

`sample` is uniform and depends on seed and ids only: the rows whose hash of (seed, id) is lowest. Growing the sample keeps what was
in it. It is not a sample by characters: a book counts as much as a tweet.
"""

from __future__ import annotations

import heapq
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from sapwood.errors import InputError
from sapwood.text import fields, rows
from sapwood.text.versions.profile import merge

Row = dict[str, Any]
MOST_STRATA = 1000


class Condition(NamedTuple):
    """`field` (a column or `meta.NAME`) is, or is not, `value`. A list column holds the value, or does not."""

    field: str
    equal: bool
    value: str


class Hit(NamedTuple):
    """One match. `times` is how many its row has."""

    id: str
    source: str
    language: str
    before: str
    match: str
    after: str
    times: int


class Found(NamedTuple):
    """`hits` are the first matches, one a row; the counts are over every row."""

    hits: list[Hit]
    rows: int
    matches: int
    seen: int
    by_source: Counter[str]
    by_language: Counter[str]


def condition(text: str) -> Condition:
    """`language=zh`, `meta.domain!=book`."""
    name, sign, value = text.partition("=")
    if not sign or not name.strip("!"):
        raise InputError(f"{text!r} is not a condition", "write FIELD=VALUE or FIELD!=VALUE, such as language=zh or meta.domain=book")
    return Condition(name.rstrip("!").strip(), not name.endswith("!"), value)


def check_fields(schema: pa.Schema, names: Iterable[str]) -> None:
    """Raises `InputError` for a field that the rows do not have."""
    for name in names:
        if name not in schema.names and not name.startswith("meta."):
            raise InputError(f"the rows have no field {name!r}", f"fields are {', '.join(schema.names)}, and meta.NAME")


def selected(folder: Path, conditions: Sequence[Condition] = (), columns: list[str] | None = None) -> Iterator[pa.Table]:
    """Batches of the rows that meet every condition; only the columns that are wanted or asked about are read."""
    schema = rows.schema(folder)
    check_fields(schema, [one.field for one in conditions])
    check_fields(schema, columns or [])
    asked = [*(columns or schema.names), *(one.field for one in conditions)]
    needed = {"meta" if name.startswith("meta.") else name for name in asked}
    for batch in rows.batches(folder, [name for name in schema.names if name in needed]):
        table = pa.Table.from_batches([batch])
        for one in conditions:
            table = table.filter(pa.array(_meets(table, one), type=pa.bool_()))
        if table.num_rows:
            yield table


def _meets(table: pa.Table, one: Condition) -> list[bool]:
    if one.field in table.column_names and pa.types.is_list(table.schema.field(one.field).type):
        return [(one.value in (held or [])) == one.equal for held in table.column(one.field).to_pylist()]
    return [(value == one.value) == one.equal for value in fields.values(table, one.field)]


def cat(folder: Path, limit: int, conditions: Sequence[Condition] = (), columns: Sequence[str] = ()) -> Iterator[Row]:
    """The first rows that meet the conditions, with the wanted columns (`meta.NAME` too) or all of them. `limit` 0: every row."""
    left = limit or -1
    for table in selected(folder, conditions, list(columns) or None):
        for row in _rows(table if left < 0 else table.slice(0, left), columns):
            yield row
            left -= 1
        if left == 0:
            return


def _rows(table: pa.Table, columns: Sequence[str]) -> list[Row]:
    if not columns:
        return table.to_pylist()
    held = {name: fields.values(table, name) if name.startswith("meta.") else table.column(name).to_pylist() for name in columns}
    return [dict(zip(held, values, strict=True)) for values in zip(*held.values(), strict=True)]


def search(folder: Path, pattern: str, regex: bool, ignore_case: bool, context: int, limit: int) -> Found:
    """Rows whose text holds the string, or matches the regular expression (Python's `re`). `context`: characters on each side."""
    try:
        wanted = re.compile(pattern if regex else re.escape(pattern), re.IGNORECASE if ignore_case else 0)
    except re.error as fault:
        raise InputError(
            f"{pattern!r} is not a regular expression: {fault}", "leave --regex out to look for the text as it stands"
        ) from None
    if not pattern:
        raise InputError("an empty pattern matches everywhere", "give the text to look for")
    hits: list[Hit] = []
    counted, seen, by_source, by_language = Counter[str](), 0, Counter[str](), Counter[str]()
    batch: Any
    for batch in rows.batches(folder, ["id", "text", "source", "language"]):
        seen += batch.num_rows
        if not regex and not ignore_case:  # Arrow looks some 20 times faster than Python
            batch = batch.filter(pc.fill_null(pc.match_substring(batch.column("text"), pattern), False))
        found: list[tuple[str, str]] = []
        for name, text, source, language in zip(*(batch.column(c).to_pylist() for c in ("id", "text", "source", "language")), strict=True):
            first = wanted.search(text or "")
            if first is None:
                continue
            number = sum(1 for _ in wanted.finditer(text))
            counted.update(rows=1, matches=number)
            found.append((source or "", language or ""))
            if len(hits) < limit:
                start, end = first.span()
                hits.append(
                    Hit(name, *found[-1], text[max(0, start - context) : start], text[start:end], text[end : end + context], number)
                )
        merge(by_source, Counter(source for source, _ in found))
        merge(by_language, Counter(language for _, language in found))
    return Found(hits, counted["rows"], counted["matches"], seen, by_source, by_language)


def sample(folder: Path, number: int, seed: int, by: str = "", conditions: Sequence[Condition] = ()) -> list[Row]:
    """`number` rows drawn by seed, in their order; with `by`, so many of each value of that field."""
    check_fields(rows.schema(folder), [by] if by else [])
    heaps: dict[str, list[tuple[int, int, Row]]] = {}
    place = 0
    table: Any
    for table in selected(folder, conditions):
        strata = fields.values(table, by) if by else [""] * table.num_rows
        for index, (name, stratum) in enumerate(zip(table.column("id").to_pylist(), strata, strict=True)):
            heap = heaps.setdefault(stratum, [])
            draw = -xxhash.xxh3_64_intdigest(name.encode(), seed=seed)
            if len(heap) < number or draw > heap[0][0]:
                entry = (draw, place + index, table.slice(index, 1).to_pylist()[0])
                (heapq.heappush if len(heap) < number else heapq.heapreplace)(heap, entry)
        place += table.num_rows
        if len(heaps) > MOST_STRATA:
            raise InputError(f"{by} has more than {MOST_STRATA} values", "stratify by a field with fewer values, such as label or language")
    return [row for _, heap in sorted(heaps.items()) for _, _, row in sorted(heap, key=lambda entry: entry[1])]
