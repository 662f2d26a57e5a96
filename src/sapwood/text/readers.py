"""Read a source into document rows, in batches, with memory that does not grow with the file.

Every fault is an `InputError` with the file, the line and what to do. A row that is blank is no document: it is counted, not kept.
Nothing is cleaned here: the text is what the source says, except for what the source's format adds to it (tags, spaces between words).
The one thing that grows is the set of row ids (16 bytes each) of a source that names its own, to refuse an id used twice.
"""

from __future__ import annotations

import csv
import json
import re
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from sapwood.errors import InputError
from sapwood.text import decode, rows
from sapwood.text.sources import AnySource, Csv, Files, JsonFile, Jsonl, Lines, Say, Sqlite, collected_at, locate, members

BATCH = 4096
LARGEST_JSON = 100_000_000

WIDE = r"\u2e80-\u303f\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff"
BESIDE_WIDE = re.compile(rf"(?<=[{WIDE}])[ \u3000]+|[ \u3000]+(?=[{WIDE}])")
TOKEN = re.compile(r"\[?(?P<word>.+?)/[A-Za-z]+(?:\][A-Za-z]+)?\Z", re.DOTALL)


class Row(NamedTuple):
    """What a reader finds: where in the source, the text, and what else is said of it."""

    locator: str
    text: str
    meta: dict[str, str]


def read(
    source: AnySource, workspace: Path, say: Say, skipped: Counter[str] | None = None, size: int = BATCH
) -> Iterator[list[dict[str, Any]]]:
    """The source's rows in the columns of `rows.DOCUMENTS`, at most `size` at once. `skipped` counts rows left out, by reason.

    Raises `InputError` (missing, empty, binary, badly encoded or broken), and what fetching a sample raises.
    """
    skipped = Counter() if skipped is None else skipped
    path = locate(source, workspace, say)
    time = "" if source.sample or isinstance(source, Files) else collected_at(path)
    documents = (_document(source, row, time) for row in _kept(_rows(source, path), skipped))
    chosen = islice(documents, source.limit or None)
    while batch := list(islice(chosen, size)):
        yield batch


def desegment(text: str) -> str:
    """Join words that were parted by spaces: spaces beside a Chinese or Japanese character go, those between Latin words stay."""
    return BESIDE_WIDE.sub("", text).strip()


def untag(line: str) -> str:
    """Plain text of a line of `word/TAG` tokens, with or without `[... ]TAG` groups. A token without a tag is kept as it is."""
    found = (TOKEN.match(token) for token in line.split())
    words = (match["word"] if match else token for match, token in zip(found, line.split(), strict=True))
    return desegment(" ".join(words))


def _document(source: AnySource, row: Row, time: str) -> dict[str, Any]:
    meta = {**({"label": source.label} if source.label else {}), **row.meta}
    time = meta.pop("collected_at", time)
    return rows.document(source.name, row.locator, row.text, language=source.language, license=source.license, collected_at=time, meta=meta)


def _kept(found: Iterator[Row], skipped: Counter[str]) -> Iterator[Row]:
    for row in found:
        if row.text.strip():
            yield row
        else:
            skipped["blank"] += 1


def _rows(source: AnySource, path: Path) -> Iterator[Row]:
    if isinstance(source, Lines):
        return _lines(source, path)
    if isinstance(source, Csv):
        return _unique(_csv(source, path), path) if source.id_column else _csv(source, path)
    if isinstance(source, Jsonl):
        return _unique(_jsonl(source, path), path) if source.id_field else _jsonl(source, path)
    if isinstance(source, JsonFile):
        return _json(source, path)
    if isinstance(source, Sqlite):
        return _unique(_sqlite(source, path), path)
    return _files(source, path)


def _unique(found: Iterator[Row], path: Path) -> Iterator[Row]:
    seen: set[bytes] = set()
    for row in found:
        key = bytes.fromhex(rows.document_id("", row.locator))
        if key in seen:
            raise InputError(f"{path.name}: the id {row.locator!r} is used twice", "name a column that identifies a row, or leave it empty")
        seen.add(key)
        yield row


def _lines(source: Lines, path: Path) -> Iterator[Row]:
    for number, line in decode.lines(path, decode.encoding_of(path)):
        columns = line.split("\t", source.skip_columns) if source.skip_columns else [line]
        if source.skip_columns and line.strip() and len(columns) <= source.skip_columns:
            raise InputError(
                f"{path.name}: line {number} has {len(columns)} columns, {source.skip_columns} are to be skipped", "lower skip_columns"
            )
        yield Row(str(number), _formatted(source, columns[-1]), {})


def _formatted(source: Lines, text: str) -> str:
    if source.format == "tagged":
        return untag(text)
    if source.format == "segmented":
        for mark in source.turns:
            text = text.replace(mark, "\n")
        return "\n".join(desegment(turn) for turn in text.split("\n") if turn.strip())
    return text


def _csv(source: Csv, path: Path) -> Iterator[Row]:
    encoding = decode.encoding_of(path)
    csv.field_size_limit(decode.LONGEST_LINE)  # the module's own 128 KiB would refuse ordinary documents
    with path.open(encoding=encoding, newline="") as stream:
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
                yield Row(cells[ident] if ident is not None else str(number), cells[text], meta)
        except csv.Error as fault:
            raise InputError(f"{path.name}: line {reader.line_num}: {fault}", "check quotes and delimiter") from None


def _column(path: Path, header: list[str], name: str) -> int | None:
    if not name:
        return None
    if name not in header:
        raise InputError(f"{path.name}: no column {name!r}", f"columns are {', '.join(header)}")
    return header.index(name)


def _jsonl(source: Jsonl, path: Path) -> Iterator[Row]:
    for number, line in decode.lines(path, decode.encoding_of(path)):
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
        yield Row(ident, _sound(text), {"label": str(label)} if label not in (None, "") else {})


def _json(source: JsonFile, path: Path) -> Iterator[Row]:
    """The whole file is held in memory, so it may have 100 MB at most; larger ones belong into JSON lines."""
    try:
        loaded = json.loads(decode.whole(path, LARGEST_JSON))
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
        meta = {key: value for key, value in (("label", label), ("title", _sound(title))) if value}
        yield Row(name, _sound(f"{title}\n{text}" if title else text), meta)


def _field(where: str, found: dict[str, Any], name: str) -> Any:
    if name not in found:
        raise InputError(f"{where}: no key {name!r}", f"keys are {', '.join(found)}")
    return found[name]


def _sound(text: str) -> str:
    """JSON can carry half a surrogate pair, which no file can: it becomes U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _sqlite(source: Sqlite, path: Path) -> Iterator[Row]:
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
                yield Row(str(ident), whole, {"title": title} if title else {})
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


def _files(source: Files, folder: Path) -> Iterator[Row]:
    for inside, file in members(source, folder):
        yield Row(inside, decode.whole(file) if file.stat().st_size else "", {"collected_at": collected_at(file)})
