"""What a source gave so far, kept in scratch, so that a killed step reads no expensive file twice.

One line for each item in the order of the source: a row (masked already, if it is to be), a failure, or a skipped item. A line that was
not written completely ends the journal: it and what follows it is read again, and so are skipped items after the last row or failure,
since a source that goes on after so many items cannot know whether it had said them. Scratch belongs to the step's key, which holds the
source's parameters and the digests of its files, so what is kept there is of these files; a new version of the package starts anew.

It costs disk: the text once more, until the step is done.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import BinaryIO

import orjson

from sapwood import __version__
from sapwood.text.sources.source import Reading, Row, Source

NAME = "journal.jsonl"
HEAD = orjson.dumps({"journal": 1, "sapwood": __version__}) + b"\n"


def rows(source: Source, reading: Reading) -> Iterator[Row]:
    """The source's rows, masked; from the journal as far as it goes, then from the source itself."""
    path = reading.scratch / NAME
    known, end, at = 0, 0, 0
    waiting: list[list[object]] = []
    if path.exists():
        with path.open("rb") as stream:
            if stream.readline() == HEAD:
                end = at = len(HEAD)
                for line in stream:
                    if (entry := _entry(line)) is None:
                        break
                    at += len(line)
                    waiting.append(entry)
                    if entry[0] != "skipped":
                        known, end = known + 1, at
                        for one in waiting:
                            yield from _played(one, reading)
                        waiting.clear()
    with path.open("ab") as out:
        out.truncate(end)
        if not end:
            out.write(HEAD)
        yield from _read(source, reading, known, out)


def _read(source: Source, reading: Reading, known: int, out: BinaryIO) -> Iterator[Row]:
    def note(*entry: object) -> None:
        out.write(orjson.dumps(entry) + b"\n")
        out.flush()  # into the kernel: a killed process loses nothing, a lost machine loses the end

    def failed(locator: str, why: str) -> None:
        note("failed", locator, why)
        reading.failed(locator, why)

    def skipped(reason: str) -> None:
        note("skipped", reason)
        reading.skipped(reason)

    for row in source.rows(replace(reading, failed=failed, skipped=skipped, start=known)):
        masked = reading.mask(row)
        note("row", *masked)
        yield masked


def _entry(line: bytes) -> list[object] | None:
    """The entry of a whole line; None for one that was cut."""
    if not line.endswith(b"\n"):
        return None
    try:
        found = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, list) else None


def _played(entry: list[object], reading: Reading) -> Iterator[Row]:
    kind, *values = entry
    if kind == "row":
        yield Row(*values)  # type: ignore[arg-type]
    elif kind == "failed":
        reading.failed(*values)  # type: ignore[arg-type]
    else:
        reading.skipped(*values)  # type: ignore[arg-type]
