"""Parquet files, one document a row. Memory: the pages of one row group's columns that are being read, and a batch of 512 rows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from sapwood.errors import InputError, SapwoodError
from sapwood.text.sources import columns, folders
from sapwood.text.sources.columns import Columned
from sapwood.text.sources.source import Reading, Row, changed_at, unique

if TYPE_CHECKING:
    import pyarrow as pa

SUFFIXES = (".parquet", ".pq")
LARGEST_GROUP = 4 << 30
"""Bytes that a row group states for one column, unpacked. Pages are read one after the other, so it need not fit into memory."""


class Parquet(Columned):
    """One document a row of a Parquet file, or of each Parquet file of a folder."""

    kind: Literal["parquet"] = Field("parquet", description="Rows of Parquet files.")

    def check(self, workspace: Path) -> list[str]:
        try:
            self._files(workspace)
        except SapwoodError as fault:
            return [f"{fault.what}; {fault.next_step}"]
        return []

    def fingerprint(self, workspace: Path) -> str | None:
        return folders.digest(self._files(workspace))

    def size(self, workspace: Path) -> int:
        return folders.size(self._files(workspace))

    def rows(self, reading: Reading) -> Iterator[Row]:
        found = _every(self, self._files(reading.workspace), reading)
        return unique(found, folders.at(self, reading.workspace)) if self.id_column else found

    def _files(self, workspace: Path) -> folders.Listed:
        return folders.listed(self, folders.at(self, workspace), SUFFIXES)


def _every(source: Parquet, files: folders.Listed, reading: Reading) -> Iterator[Row]:
    for inside, file in files:
        try:
            yield from columns.documents(source, batches(source, file), inside, changed_at(source, file), reading)
        except InputError as fault:
            reading.failed(inside, fault.what)


def batches(source: Columned, file: Path) -> Iterator[pa.RecordBatch]:
    """The wanted columns in batches. Raises `InputError` for a damaged file, a missing column, and a row group out of proportion."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # dictionary-coded text stays so: a file of one long value and a million references to it is small in memory too
        with pq.ParquetFile(file, read_dictionary=[source.text_column], buffer_size=1 << 20, pre_buffer=False) as opened:
            columns.check_columns(source, opened.schema_arrow)
            for group in range(opened.num_row_groups):
                _check_group(opened.metadata.row_group(group))
            yield from opened.iter_batches(columns.ROWS, columns=source.wanted, use_threads=False)
    except (pa.ArrowException, OSError) as fault:
        raise InputError(f"damaged: no readable Parquet file ({str(fault)[:300]})", "check that it was copied completely") from None


def _check_group(group: object) -> None:
    count = group.num_columns  # type: ignore[attr-defined]
    largest = max((group.column(n).total_uncompressed_size for n in range(count)), default=0)  # type: ignore[attr-defined]
    if largest > LARGEST_GROUP:
        raise InputError(
            f"too large: a row group has a column of {largest} bytes, the limit is {LARGEST_GROUP}", "write smaller row groups"
        )
