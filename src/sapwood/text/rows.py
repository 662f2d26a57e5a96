"""Rows of text: the columns of documents and examples, their ids, and how a payload is read and written.

A document's id is a hash of (source name, locator within the source): it stays the same when the text is cleaned,
so lineage by document is a join on ids. `text_digest` follows the text. Every operator keeps the id.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

FILE = "rows.parquet"

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


def read(folder: Path, columns: list[str] | None = None) -> pa.Table:
    """The payload's rows, in their order."""
    return pq.read_table(folder / FILE, columns=columns)


def batches(folder: Path, size: int = 4096) -> Iterator[pa.RecordBatch]:
    """The payload's rows in batches of at most `size`, so that memory does not grow with the artifact."""
    with pq.ParquetFile(folder / FILE) as stored:
        yield from stored.iter_batches(batch_size=size)


def write(folder: Path, rows: pa.Table) -> None:
    """Write the payload. The bytes depend on the rows only (fixed codec, row-group size and writer version)."""
    pq.write_table(rows, folder / FILE, compression="zstd", row_group_size=16_384, store_schema=False)


def count(folder: Path) -> int:
    with pq.ParquetFile(folder / FILE) as stored:
        return int(stored.metadata.num_rows)


def meta(row: Mapping[str, Any]) -> dict[str, str]:
    loaded: dict[str, str] = json.loads(row["meta"] or "{}")
    return loaded
