"""Tables: rows of CSV, JSON lines, one JSON file (each packed or not), and a table of a SQLite file.

A broken line of JSON lines is one recorded failure. In the other kinds every fault is an `InputError` with the file, the line and what
to do: there a quote or a brace that is out of place makes every later row doubtful, so a broken row ends the run. JSON can carry half a surrogate pair, which no file can: it becomes U+FFFD.

Other columns are kept as meta where the recipe names them, as text and without the empty ones. With a column for the time, `collected_at`
is what a row says and never the file's time; what is no time is kept in meta.time. A key that JSON lines name must stand in one line at
least, which is told at the end of the file.

A SQLite file may have committed rows in a write-ahead log beside it. They are read, and belong to its fingerprint; for that SQLite itself
needs its lock file (-shm) beside them, so the folder must be writable. The file and its log are not written.
"""

from __future__ import annotations

import csv
import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from pydantic import Field

from sapwood.artifact import file_sha256
from sapwood.errors import InputError
from sapwood.text import decode
from sapwood.text.formats.document import sound
from sapwood.text.sources.source import Encoded, Located, Reading, Row, changed_at, locate, place, unique

LARGEST_JSON = 100_000_000
Failed = Callable[[str, str], None]
"""`Reading.failed`: (where, why)."""
NOT_OPENED = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_BUSY)


class Csv(Encoded):
    """One document a row of a CSV file with a header."""

    kind: Literal["csv"] = Field("csv", description="Rows of a CSV file.")
    text_column: str = Field("text", description="Column with the text.")
    label_column: str = Field("", description="Column with the label, written to meta.label.")
    id_column: str = Field("", description="Column that identifies a row; the row's number when empty.")
    meta_columns: tuple[str, ...] = Field((), description="Columns kept in meta, as text.")
    time_column: str = Field("", description="Column with the ISO time of the row, written to collected_at.")
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
    time_field: str = Field("", description="Key of the ISO time, written to collected_at.")

    def rows(self, reading: Reading) -> Iterator[Row]:
        path = locate(self, reading)
        found = _with_every_key(self, path, jsonl_rows(self, path, changed_at(self, path), reading.failed, keys := Keys()), keys)
        return unique(found, path) if self.id_field else found


class JsonFile(Encoded):
    """One document an entry of a JSON file that holds a list of objects, or an object of objects."""

    kind: Literal["json"] = Field("json", description="Entries of one JSON file.")
    text_field: str = Field("text", description="Key of the text.")
    label_field: str = Field("", description="Key of the label, written to meta.label.")
    title_field: str = Field("", description="Key of a title, put before the text as its first line and kept in meta.title.")
    meta_fields: tuple[str, ...] = Field((), description="Keys kept in meta, as text.")
    time_field: str = Field("", description="Key of the ISO time, written to collected_at.")

    def rows(self, reading: Reading) -> Iterator[Row]:
        path = locate(self, reading)
        return _with_every_key(self, path, _json(self, path, changed_at(self, path), keys := Keys()), keys)


class Sqlite(Located):
    """One document a row of a table in a SQLite file, which is opened read-only."""

    kind: Literal["sqlite"] = Field("sqlite", description="Rows of a table in a SQLite file.")
    table: str = Field(min_length=1, description="Table to read.")
    text_column: str = Field("text", description="Column with the text.")
    id_column: str = Field("id", description="Column that identifies a row; rows are read in its order.")
    title_columns: tuple[str, ...] = Field((), description="Columns put before the text as its first line and kept in meta.title.")
    meta_columns: tuple[str, ...] = Field((), description="Columns kept in meta, as text.")
    time_column: str = Field("", description="Column with the ISO time of the row, written to collected_at.")

    def fingerprint(self, workspace: Path) -> str | None:
        return super().fingerprint(workspace) if self.sample else sqlite_digest(place(self, workspace))

    def rows(self, reading: Reading) -> Iterator[Row]:
        path = locate(self, reading)
        return identified(_sqlite(self, path, changed_at(self, path)), path)


@dataclass
class Keys:
    """What the entries of a JSON source have: the keys of the first one, and those of `named` that any of them has."""

    first: tuple[str, ...] = ()
    found: frozenset[str] = frozenset()

    def see(self, entry: dict[str, Any], named: tuple[str, ...]) -> None:
        self.first = self.first or tuple(entry)
        self.found |= {name for name in named if name in entry}


def _csv(source: Csv, path: Path, time: str) -> Iterator[Row]:
    encoding = decode.encoding_of(path, forced=source.encoding)
    csv.field_size_limit(decode.LONGEST_LINE)  # the module's own 128 KiB would refuse ordinary documents
    with decode.opened(path, encoding, newline="") as stream:
        reader = csv.reader(stream, delimiter=source.delimiter, strict=True)
        try:
            header = next(reader, [])
            if not any(name.strip() for name in header):
                raise InputError(
                    f"{path.name}: the first line is blank", "the first line must name the columns; take out what stands before it"
                )
            text, label, ident, when = (
                _column(path, header, name) for name in (source.text_column, source.label_column, source.id_column, source.time_column)
            )
            others = [(name, _column(path, header, name)) for name in source.meta_columns]
            for number, cells in enumerate(reader, 1):
                if not cells:
                    continue
                if len(cells) != len(header):
                    raise InputError(
                        f"{path.name}: line {reader.line_num} has {len(cells)} columns, the header has {len(header)}",
                        "check quotes and delimiter",
                    )
                meta = {name: cells[at] for name, at in others if at is not None and cells[at]}
                if label is not None and cells[label]:
                    meta["label"] = cells[label]
                written = time if when is None else timed(cells[when], meta)
                assert text is not None
                yield Row(cells[ident] if ident is not None else str(number), cells[text], meta, collected_at=written)
        except csv.Error as fault:
            raise InputError(f"{path.name}: line {reader.line_num}: {fault}", "check quotes and delimiter") from None


def _column(path: Path, header: list[str], name: str) -> int | None:
    if not name:
        return None
    if name not in header:
        raise InputError(f"{path.name}: no column {name!r}", f"columns are {', '.join(header)}")
    return header.index(name)


def jsonl_rows(source: Jsonl, path: Path, time: str, failed: Failed, keys: Keys | None = None) -> Iterator[Row]:
    """The rows of one file; the locator is the id field or the line number. `keys` learns which keys there are. A line that is no JSON
    object with a text is told to `failed` and left out: lines stand on their own, so the others are not in doubt."""
    for number, line in decode.lines(path, decode.encoding_of(path, forced=source.encoding)):
        if not line.strip():
            continue
        where = f"{path.name}: line {number}"
        try:
            found = json.loads(line)
        except (json.JSONDecodeError, RecursionError) as fault:
            failed(where, f"no JSON: {fault}")
            continue
        why = _not_a_row(source, found)
        if why:
            failed(where, why)
            continue
        if keys is not None:
            keys.see(found, (*source.meta_fields, source.time_field))
        ident = str(found[source.id_field]) if source.id_field else str(number)
        meta = kept(found, source.meta_fields)
        label = found.get(source.label_field) if source.label_field else None
        if label not in (None, ""):
            meta["label"] = sound(str(label))
        written = timed(found.get(source.time_field), meta) if source.time_field else time
        yield Row(ident, sound(found[source.text_field]), meta, collected_at=written)


def _not_a_row(source: Jsonl, found: Any) -> str:
    """Why a line's value gives no row; empty when it gives one."""
    if not isinstance(found, dict):
        return "no JSON object: each line must be one"
    for name in (source.text_field, source.id_field):
        if name and name not in found:
            return f"no key {name!r}: keys are {', '.join(found)}"[:300]
    return "" if isinstance(found[source.text_field], str) else f"{source.text_field!r} is not a string: name the key that holds the text"


def _with_every_key(source: Jsonl | JsonFile, path: Path, found: Iterator[Row], keys: Keys) -> Iterator[Row]:
    """The rows; `InputError` at their end for a key kept in meta, or of the time, that no entry has."""
    yield from found
    for name in (*source.meta_fields, source.time_field):
        if name and keys.first and name not in keys.found:
            raise InputError(f"{path.name}: no entry has the key {name!r}", f"keys of the first one are {', '.join(keys.first)}")


def kept(found: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, str]:
    """The named values as text; those that are missing, null or empty are left out."""
    return {name: sound(str(found[name])) for name in names if found.get(name) not in (None, "")}


def timed(value: Any, meta: dict[str, str]) -> str:
    """A row's time as `collected_at`. What is no time is written to meta.time instead, if nothing stands there."""
    found = _utc(value)
    if not found and value not in (None, ""):
        meta.setdefault("time", sound(str(value)))
    return found


def _utc(value: Any) -> str:
    """UTC ISO time to the second; a time without a zone is taken for UTC. Empty for what is no time."""
    try:
        if isinstance(value, str):
            value = datetime.fromisoformat(value.strip())
        if isinstance(value, date) and not isinstance(value, datetime):
            value = datetime(value.year, value.month, value.day)
        if not isinstance(value, datetime):
            return ""
        return (value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)).isoformat(timespec="seconds")
    except (ValueError, OverflowError):  # the second: before the year 1 or after 9999 once it is UTC
        return ""


def _json(source: JsonFile, path: Path, time: str, keys: Keys) -> Iterator[Row]:
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
        keys.see(found, (*source.meta_fields, source.time_field))
        title = str(_field(where, found, source.title_field)) if source.title_field else ""
        label = str(found.get(source.label_field) or "") if source.label_field else ""
        meta = kept(found, source.meta_fields) | kept({"label": label, "title": title}, ("label", "title"))
        when = timed(found.get(source.time_field), meta) if source.time_field else time
        yield Row(name, sound(f"{title}\n{text}" if title else text), meta, collected_at=when)


def _field(where: str, found: dict[str, Any], name: str) -> Any:
    if name not in found:
        raise InputError(f"{where}: no key {name!r}", f"keys are {', '.join(found)}")
    return found[name]


def _sqlite(source: Sqlite, path: Path, time: str) -> Iterator[Row]:
    if path.stat().st_size == 0:
        raise InputError(f"{path.name}: the file is empty", "check that it was written completely")
    logs = _logs(path)
    # immutable reads where nothing can be locked or written, but leaves out what stands in a log
    mode = "mode=ro" if logs else "mode=ro&immutable=1"
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?{mode}", uri=True)) as opened:
            _check_table(source, path, opened)
            names = _wanted(source)
            columns = ", ".join(_quoted(name) for name in names)
            # the names were found in the schema and are quoted, so nothing of the recipe is run as SQL
            for cells in opened.execute(f"SELECT {columns} FROM {_quoted(source.table)} ORDER BY {_quoted(source.id_column)}"):
                found = dict(zip(names, cells, strict=True))
                title = " ".join(kept(found, source.title_columns).values())
                body = "" if found[source.text_column] is None else str(found[source.text_column])
                meta = kept(found, source.meta_columns) | ({"title": title} if title else {})
                when = timed(found[source.time_column], meta) if source.time_column else time
                yield Row(str(found[source.id_column]), f"{title}\n{body}" if title and body.strip() else body, meta, collected_at=when)
    except sqlite3.Error as fault:
        if logs and getattr(fault, "sqlite_errorcode", 0) & 0xFF in NOT_OPENED:
            what = f"{path.name}: the changes in {logs[0].name} cannot be read ({fault})"
            step = "close the program that writes it, make its folder writable, or copy both files into a folder that is"
            raise InputError(what, step) from None
        raise InputError(f"{path.name}: not a readable SQLite file ({fault})", "check that it was copied completely") from None


def _wanted(source: Sqlite) -> list[str]:
    """The columns to read, each once."""
    named = (source.id_column, source.text_column, source.time_column, *source.title_columns, *source.meta_columns)
    return list(dict.fromkeys(name for name in named if name))


def _logs(path: Path) -> list[Path]:
    """The write-ahead log and the rollback journal beside a SQLite file, where they hold anything."""
    beside = [path.with_name(path.name + ending) for ending in ("-wal", "-journal")]
    return [log for log in beside if log.is_file() and log.stat().st_size]


def sqlite_digest(path: Path) -> str:
    """SHA-256 of a SQLite file; with its logs, of their digests together. A log that is worked into the file changes it as well."""
    told = file_sha256(path)
    logs = _logs(path)
    if not logs:
        return told
    return hashlib.sha256(
        "\0".join([told, *(f"{log.name.removeprefix(path.name)}\0{file_sha256(log)}" for log in logs)]).encode()
    ).hexdigest()


def identified(found: Iterator[Row], path: Path) -> Iterator[Row]:
    """As `unique`, for kinds whose id column cannot be left empty."""
    try:
        yield from unique(found, path)
    except InputError as fault:
        if not fault.what.endswith("is used twice"):
            raise
        raise InputError(fault.what, "give as id_column a column whose values are all different") from None


def _check_table(source: Sqlite, path: Path, opened: sqlite3.Connection) -> None:
    tables = [name for (name,) in opened.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view') ORDER BY name")]
    if source.table not in tables:
        raise InputError(f"{path.name}: no table {source.table!r}", f"tables are {', '.join(tables)}")
    columns = [row[1] for row in opened.execute(f"PRAGMA table_info({_quoted(source.table)})")]
    for name in _wanted(source):
        if name not in columns:
            raise InputError(f"{path.name}: table {source.table} has no column {name!r}", f"columns are {', '.join(columns)}")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
