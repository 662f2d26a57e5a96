"""Fields of rows by name: a column (`label`), or an entry of the JSON object in `meta` (`meta.domain`)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa

from sapwood.errors import InputError
from sapwood.text import rows as stored


def values(rows: pa.Table | pa.RecordBatch, name: str) -> list[str]:
    """One string a row; "" where the row has no such field."""
    if name.startswith("meta."):
        entry = name.removeprefix("meta.")
        return [str(orjson.loads(meta).get(entry, "")) if meta and f'"{entry}"' in meta else "" for meta in column(rows, "meta")]
    return [str(value) if value is not None else "" for value in column(rows, name)]


def column(rows: pa.Table | pa.RecordBatch, name: str) -> list[Any]:
    """The column as a list; empty strings where there is none of that name."""
    return rows.column(name).to_pylist() if name in rows.schema.names else [""] * rows.num_rows


def texts(rows: pa.Table | pa.RecordBatch) -> list[str]:
    """The texts; "" where a row has none."""
    return [text or "" for text in column(rows, "text")]


def columns_for(names: Sequence[str], schema: pa.Schema) -> list[str]:
    """The columns to read for these fields, in the order of the schema; what the schema lacks is left out."""
    wanted = {name.partition(".")[0] if name.startswith("meta.") else name for name in names}
    return [name for name in schema.names if name in wanted]


def required(name: str, schema: pa.Schema) -> None:
    """Raise `InputError` when there is no column for the field."""
    if not columns_for([name], schema):
        raise InputError(
            f"the rows have no field {name!r}", f"columns are {', '.join(schema.names)}; an entry of meta is written meta.{name}"
        )


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


def records(folder: Path, names: Sequence[str]) -> list[dict[str, str]]:
    """Every row as a dict of `id` and these fields, whole in memory: for labelled examples, which are few."""
    wanted = list(dict.fromkeys(["id", *names]))
    for name in wanted:
        required(name, stored.schema(folder))
    found: list[dict[str, str]] = []
    for batch in stored.batches(folder, columns_for(wanted, stored.schema(folder))):
        columns = [values(batch, name) for name in wanted]
        found += [dict(zip(wanted, row, strict=True)) for row in zip(*columns, strict=True)]
    return found
