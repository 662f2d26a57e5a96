"""Tables: rows of CSV, JSON lines, one JSON file (each packed or not), and a table of a SQLite file.

Every fault is an `InputError` with the file, the line and what to do: a broken row ends the run, since a quote or a brace that is out of
place makes every later row doubtful. JSON can carry half a surrogate pair, which no file can: it becomes U+FFFD.
"""

from __future__ import annotations

import csv
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from pydantic import Field

from sapwood.errors import InputError
from sapwood.text import decode
from sapwood.text.formats.document import sound
from sapwood.text.sources.source import Encoded, Located, Reading, Row, changed_at, locate, unique

LARGEST_JSON = 100_000_000


class Csv(Encoded):
    """One document a row of a CSV file with a header."""

    kind: Literal["csv"] = Field("csv", description="Rows of a CSV file.")
    text_column: str = Field("text", description="Column with the text.")
    label_column: str = Field("", description="Column with the label, written to meta.label.")
    id_column: str = Field("", description="Column that identifies a row; the row's number when empty.")
    delimiter: str = Field(",", min_length=1, max_length=1, description="Character between columns.")

    def rows(self, reading: Reading) -> Iterator[Row]:
        path = locate(self, reading)
        found = _csv(self, path, changed_at(self, path))
        return unique(found, path) if self.id_column else found


class Jsonl(Encoded):
    """One document a line of JSON."""

    kind: Literal["jsonl"] = Field("jsonl", description="One JSON object a line.")
    text_field: str = Field("text", description="Key of the text.")
    label_field: str = Field("", description="Key of the label, written to meta.label.")
    id_field: str = Field("", description="Key that identifies a row; the line's number when empty.")
    meta_fields: tuple[str, ...] = Field((), description="Keys kept in meta, as text.")

    def rows(self, reading: Reading) -> Iterator[Row]:
        path = locate(self, reading)
        found = jsonl_rows(self, path, changed_at(self, path))
        return unique(found, path) if self.id_field else found


class JsonFile(Encoded):
    """One document an entry of a JSON file that holds a list of objects, or an object of objects."""

    kind: Literal["json"] = Field("json", description="Entries of one JSON file.")
    text_field: str = Field("text", description="Key of the text.")
    label_field: str = Field("", description="Key of the label, written to meta.label.")
    title_field: str = Field("", description="Key of a title, put before the text as its first line and kept in meta.title.")

    def rows(self, reading: Reading) -> Iterator[Row]:
        path = locate(self, reading)
        return _json(self, path, changed_at(self, path))


class Sqlite(Located):
    """One document a row of a table in a SQLite file, which is opened read-only."""

    kind: Literal["sqlite"] = Field("sqlite", description="Rows of a table in a SQLite file.")
    table: str = Field(min_length=1, description="Table to read.")
    text_column: str = Field("text", description="Column with the text.")
    id_column: str = Field("id", description="Column that identifies a row; rows are read in its order.")
    title_columns: tuple[str, ...] = Field((), description="Columns put before the text as its first line and kept in meta.title.")

    def rows(self, reading: Reading) -> Iterator[Row]:
        path = locate(self, reading)
        found = _sqlite(self, path, changed_at(self, path))
        return unique(found, path)


def _csv(source: Csv, path: Path, time: str) -> Iterator[Row]:
    encoding = decode.encoding_of(path, forced=source.encoding)
    csv.field_size_limit(decode.LONGEST_LINE)  # the module's own 128 KiB would refuse ordinary documents
    with decode.opened(path, encoding, newline="") as stream:
        reader = csv.reader(stream, delimiter=source.delimiter, strict=True)
        try:
            header = next(reader)
            text, label, ident = (_column(path, header, name) for name in (source.text_column, source.label_column, source.id_column))
            for number, cells in enumerate(reader, 1):
                if not cells:
                    continue
                if len(cells) != len(header):
                    raise InputError(
                        f"{path.name}: line {reader.line_num} has {len(cells)} columns, the header has {len(header)}",
                        "check quotes and delimiter",
                    )
                meta = {"label": cells[label]} if label is not None and cells[label] else {}
                assert text is not None
                yield Row(cells[ident] if ident is not None else str(number), cells[text], meta, collected_at=time)
        except csv.Error as fault:
            raise InputError(f"{path.name}: line {reader.line_num}: {fault}", "check quotes and delimiter") from None


def _column(path: Path, header: list[str], name: str) -> int | None:
    if not name:
        return None
    if name not in header:
        raise InputError(f"{path.name}: no column {name!r}", f"columns are {', '.join(header)}")
    return header.index(name)


def jsonl_rows(source: Jsonl, path: Path, time: str) -> Iterator[Row]:
    """The rows of one file; the locator is the id field or the line number. Raises `InputError` for a line that is no JSON object."""
    for number, line in decode.lines(path, decode.encoding_of(path, forced=source.encoding)):
        if not line.strip():
            continue
        where = f"{path.name}: line {number}"
        try:
            found = json.loads(line)
        except (json.JSONDecodeError, RecursionError) as fault:
            raise InputError(f"{where} is no JSON ({fault})", "each line must be one JSON object") from None
        if not isinstance(found, dict):
            raise InputError(f"{where} is no JSON object", "each line must be one JSON object")
        text = _field(where, found, source.text_field)
        if not isinstance(text, str):
            raise InputError(f"{where}: {source.text_field!r} is not a string", "name the key that holds the text")
        label = found.get(source.label_field) if source.label_field else None
        ident = str(_field(where, found, source.id_field)) if source.id_field else str(number)
        meta = {name: sound(str(found[name])) for name in source.meta_fields if found.get(name) is not None}
        yield Row(ident, sound(text), meta | ({"label": sound(str(label))} if label not in (None, "") else {}), collected_at=time)


def _json(source: JsonFile, path: Path, time: str) -> Iterator[Row]:
    """The whole file is held in memory, so it may have 100 MB at most; larger ones belong into JSON lines."""
    try:
        loaded = json.loads(decode.whole(path, LARGEST_JSON, source.encoding))
    except (json.JSONDecodeError, RecursionError) as fault:
        raise InputError(f"{path.name} is no JSON ({fault})", "give a JSON file, or kind jsonl for one object a line") from None
    if not isinstance(loaded, list | dict):
        raise InputError(f"{path.name} holds no list and no object", "it must hold the documents as a list or an object of objects")
    entries = loaded.items() if isinstance(loaded, dict) else ((str(number), entry) for number, entry in enumerate(loaded))
    for name, found in entries:
        where = f"{path.name}: entry {name[:80]!r}"
        if not isinstance(found, dict):
            raise InputError(f"{where} is no object", "each entry must be an object with the text under a key")
        text = _field(where, found, source.text_field)
        if not isinstance(text, str):
            raise InputError(f"{where}: {source.text_field!r} is not a string", "name the key that holds the text")
        title = str(_field(where, found, source.title_field)) if source.title_field else ""
        label = str(found.get(source.label_field) or "") if source.label_field else ""
        meta = {key: value for key, value in (("label", label), ("title", sound(title))) if value}
        yield Row(name, sound(f"{title}\n{text}" if title else text), meta, collected_at=time)


def _field(where: str, found: dict[str, Any], name: str) -> Any:
    if name not in found:
        raise InputError(f"{where}: no key {name!r}", f"keys are {', '.join(found)}")
    return found[name]


def _sqlite(source: Sqlite, path: Path, time: str) -> Iterator[Row]:
    if path.stat().st_size == 0:
        raise InputError(f"{path.name}: the file is empty", "check that it was written completely")
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro&immutable=1", uri=True)) as opened:
            _check_table(source, path, opened)
            columns = ", ".join(_quoted(name) for name in (source.id_column, source.text_column, *source.title_columns))
            # the names were found in the schema and are quoted, so nothing of the recipe is run as SQL
            for ident, text, *titles in opened.execute(
                f"SELECT {columns} FROM {_quoted(source.table)} ORDER BY {_quoted(source.id_column)}"
            ):
                title = " ".join(str(part) for part in titles if part not in (None, ""))
                body = "" if text is None else str(text)
                whole = f"{title}\n{body}" if title and body.strip() else body
                yield Row(str(ident), whole, {"title": title} if title else {}, collected_at=time)
    except sqlite3.Error as fault:
        raise InputError(f"{path.name}: not a readable SQLite file ({fault})", "check that it was copied completely") from None


def _check_table(source: Sqlite, path: Path, opened: sqlite3.Connection) -> None:
    tables = [name for (name,) in opened.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view') ORDER BY name")]
    if source.table not in tables:
        raise InputError(f"{path.name}: no table {source.table!r}", f"tables are {', '.join(tables)}")
    columns = [row[1] for row in opened.execute(f"PRAGMA table_info({_quoted(source.table)})")]
    for name in (source.id_column, source.text_column, *source.title_columns):
        if name not in columns:
            raise InputError(f"{path.name}: table {source.table} has no column {name!r}", f"columns are {', '.join(columns)}")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
