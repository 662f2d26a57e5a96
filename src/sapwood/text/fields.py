"""Fields of rows by name: a column (`label`), or an entry of the JSON object in `meta` (`meta.domain`)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa


def values(rows: pa.Table, name: str) -> list[str]:
    """One string a row; "" where the row has no such field."""
    if name.startswith("meta."):
        entry = name.removeprefix("meta.")
        return [str(json.loads(meta or "{}").get(entry, "")) if f'"{entry}"' in (meta or "") else "" for meta in column(rows, "meta")]
    return [str(value) if value is not None else "" for value in column(rows, name)]


def column(rows: pa.Table, name: str) -> list[Any]:
    """The column as a list; empty strings where there is none of that name."""
    return rows.column(name).to_pylist() if name in rows.column_names else [""] * rows.num_rows


def replaced(rows: pa.Table, name: str, values: Sequence[Any]) -> pa.Table:
    """The rows with one column's values changed; its type and place stay."""
    place = rows.schema.get_field_index(name)
    return rows.set_column(place, rows.schema.field(place), pa.array(values, type=rows.schema.field(place).type))


def with_meta(rows: pa.Table, added: Sequence[Mapping[str, str]]) -> pa.Table:
    """The rows with entries added to each row's `meta`."""
    merged = [
        json.dumps({**json.loads(old or "{}"), **new}, ensure_ascii=False, sort_keys=True) if new else old
        for old, new in zip(column(rows, "meta"), added, strict=True)
    ]
    return replaced(rows, "meta", merged)
