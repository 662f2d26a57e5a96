"""Read sources into document rows, in batches, with memory that does not grow with the source.

A row that is blank is no document: it is counted, not kept. Nothing is cleaned here: the text is what the source says, except for
what the source's format adds to it (tags, spaces between words).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from sapwood.text import rows
from sapwood.text.sources.source import Reading, Row, Say, Source

BATCH = 4096


def read(source: Source, reading: Reading, size: int = BATCH) -> Iterator[list[dict[str, Any]]]:
    """The source's rows in the columns of `rows.DOCUMENTS`, at most `size` at once.

    Raises `InputError` (missing, empty, binary, badly encoded or broken), and what fetching raises.
    """
    documents = (_document(source, row) for row in _kept(source.rows(reading), reading))
    chosen = islice(documents, source.limit or None)
    while batch := list(islice(chosen, size)):
        yield batch


def quietly(workspace: Path, say: Say = lambda _: None, skipped: Counter[str] | None = None) -> Reading:
    """A reading for one source by itself: nothing asks it to stop, and a damaged item raises."""
    from sapwood.errors import InputError

    def refuse(locator: str, why: str) -> None:
        raise InputError(f"{locator}: {why}", "mend or remove it")

    counts: Counter[str] = Counter() if skipped is None else skipped
    return Reading(workspace, workspace, say, refuse, lambda reason: counts.update([reason]), lambda: False)


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
        if row.text.strip():
            yield row
        else:
            reading.skipped("blank")
