"""Rows of text: the columns of documents and examples, their ids, and how a payload is read and written.

A document's id is a hash of (source name, locator within the source): it stays the same when the text is cleaned,
so lineage by document is a join on ids. `text_digest` follows the text. Every operator keeps the id.

A payload is one or more shards, `rows-00000.parquet` and so on, whose row groups are bounded in rows and in bytes: the unit in
which text is read, worked on and written, so that memory depends on neither the artifact nor the length of its documents.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sapwood.errors import Corrupt

DOCUMENTS = pa.schema(
    [
        ("id", pa.string()),
        ("text", pa.large_string()),
        ("source", pa.string()),
        ("url", pa.string()),
        ("language", pa.string()),
        ("license", pa.string()),
        ("collected_at", pa.string()),
        ("meta", pa.string()),  # a JSON object of strings: portable where map types are not
        ("text_digest", pa.string()),
        ("parents", pa.list_(pa.string())),
    ]
)
EXAMPLES = DOCUMENTS.append(pa.field("label", pa.string()))


def document_id(source: str, locator: str) -> str:
    """32 hex characters from (source name, locator within the source)."""
    return hashlib.sha256(f"{source}\0{locator}".encode()).hexdigest()[:32]


def text_digest(text: str) -> str:
    """32 hex characters of the text's sha256. Lone surrogates are replaced first."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:32]


def document(source: str, locator: str, text: str, **fields: Any) -> dict[str, Any]:
    """One row with every column filled; `meta` may be a mapping of strings."""
    meta = fields.get("meta") or {}
    return {
        "id": document_id(source, locator),
        "text": text,
        "source": source,
        "url": fields.get("url", ""),
        "language": fields.get("language", ""),
        "license": fields.get("license", ""),
        "collected_at": fields.get("collected_at", ""),
        "meta": json.dumps(dict(meta), ensure_ascii=False, sort_keys=True),
        "text_digest": text_digest(text),
        "parents": [],
    }


def table(rows: Iterable[Mapping[str, Any]], schema: pa.Schema = DOCUMENTS) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=schema)


def shards(folder: Path) -> list[Path]:
    """The payload's files in the order of their rows. Raises `Corrupt` when there is none: even no rows are one empty shard."""
    found = sorted(folder.glob("rows-*.parquet"))
    if not found:
        raise Corrupt(f"{folder.name}: no rows-*.parquet in this payload", "sapwood store verify")
    return found


def schema(folder: Path) -> pa.Schema:
    """The payload's columns. A stage that passes rows on writes with this schema, so that columns it does not know are kept."""
    return pq.read_schema(shards(folder)[0])


def read(folder: Path, columns: list[str] | None = None) -> pa.Table:
    """The payload's rows, in their order, all at once: for what is known to be small. Large text goes through `batches`."""
    return pa.concat_tables(pq.read_table(shard, columns=columns) for shard in shards(folder))


def batches(folder: Path, columns: list[str] | None = None, size: int = 4096) -> Iterator[pa.RecordBatch]:
    """The payload's rows in batches of at most `size`, in their order. Memory does not grow with the artifact: one row group at a time."""
    for shard in shards(folder):
        with pq.ParquetFile(shard) as stored:
            for group in range(stored.num_row_groups):
                yield from stored.iter_batches(size, row_groups=[group], columns=columns, use_threads=False)


def write(folder: Path, rows: pa.Table) -> None:
    """Write the whole payload. The bytes depend on the rows only, as in `Writer`."""
    from sapwood.text.writer import Writer

    with Writer(folder, rows.schema) as out:
        out.add_table(rows)


def count(folder: Path) -> int:
    return sum(int(pq.read_metadata(shard).num_rows) for shard in shards(folder))


def meta(row: Mapping[str, Any]) -> dict[str, str]:
    loaded: dict[str, str] = json.loads(row["meta"] or "{}")
    return loaded
