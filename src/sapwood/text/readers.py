"""Read sources into document rows, in batches bounded in rows and bytes, with memory that does not grow with the source.

A row that is blank is no document: it is counted, not kept. Nothing is cleaned here: the text is what the source says, except for
what the source's format adds to it (tags, spaces between words), and for personal data where it is to be masked.
"""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from sapwood.errors import InputError, Interrupted
from sapwood.text import rows
from sapwood.text.sources import journal
from sapwood.text.sources.source import Reading, Row, Say, Source

BATCH = 4096
BATCH_CHARACTERS = 8 << 20
"""Characters after which a batch is full: 16 to 32 MB in memory, whatever the length of the documents."""


def read(source: Source, reading: Reading, size: int = BATCH) -> Iterator[list[dict[str, Any]]]:
    """The source's rows in the columns of `rows.DOCUMENTS`, at most `size` at once.

    Raises `InputError` (missing, empty, binary, badly encoded or broken), `Interrupted` once the run is to stop, and what fetching raises.
    """
    found = journal.rows(source, reading) if source.resumes else map(reading.mask, source.rows(reading))
    batch: list[dict[str, Any]] = []
    characters = 0
    for row in islice(_kept(found, reading), source.limit or None):
        batch.append(_document(source, row))
        characters += len(row.text)
        if len(batch) >= size or characters >= BATCH_CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


def quietly(workspace: Path, say: Say = lambda _: None, skipped: Counter[str] | None = None) -> Reading:
    """A reading for one source by itself: nothing asks it to stop, and a damaged item raises. Its scratch goes with it."""

    def refuse(locator: str, why: str) -> None:
        raise InputError(f"{locator}: {why}", "mend or remove it")

    counts: Counter[str] = Counter() if skipped is None else skipped
    scratch = Path(tempfile.mkdtemp(prefix="sapwood-"))
    reading = Reading(workspace, scratch, say, refuse, lambda reason: counts.update([reason]), lambda: False)
    weakref.finalize(reading, shutil.rmtree, scratch, ignore_errors=True)
    return reading


def _document(source: Source, row: Row) -> dict[str, Any]:
    return rows.document(
        source.name,
        row.locator,
        row.text,
        url=row.url,
        language=row.language or source.language,
        license=row.license or source.license,
        collected_at=row.collected_at,
        meta={**({"label": source.label} if source.label else {}), **row.meta},
    )


def _kept(found: Iterator[Row], reading: Reading) -> Iterator[Row]:
    for row in found:
        if reading.stopping():
            raise Interrupted("stopped while reading", "run the same command again")
        if row.text.strip():
            yield row
        else:
            reading.skipped("blank")
