"""Write rows one batch after the other, into shards whose bytes depend on the rows only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sapwood.text import rows

GROUP_ROWS, GROUP_BYTES = 16_384, 16 << 20
"""A row group is full at so many rows, or with the row that reaches so many bytes of text. 4096 short rows fit; one book fits."""
SHARD_BYTES = 128 << 20
"""A shard is closed at the first full group past so many bytes of text: small enough to move, large enough to compress."""


class Writer:
    """A context that takes rows as mappings (`add`) or as Arrow (`add_table`). Holds one row group and one batch in memory.

    Where batches begin and end leaves no trace: the same rows give the same files.
    """

    def __init__(self, folder: Path, schema: pa.Schema = rows.DOCUMENTS) -> None:
        self.folder, self.schema, self.count = folder, schema, 0
        self._waiting: list[pa.Table] = []
        self._rows = self._bytes = 0
        self._shards = self._written = 0
        self._file: pq.ParquetWriter | None = None

    def add(self, batch: Iterable[Mapping[str, Any]]) -> None:
        self.add_table(pa.Table.from_pylist(list(batch), schema=self.schema))

    def add_table(self, batch: pa.Table | pa.RecordBatch) -> None:
        """Rows as Arrow; columns that the schema does not name are left out, and a missing one is a `KeyError`."""
        table = pa.Table.from_batches([batch]) if isinstance(batch, pa.RecordBatch) else batch
        table = table.select(self.schema.names).cast(self.schema)
        lengths = pc.fill_null(pc.binary_length(table.column("text")), 0).to_numpy()
        start = 0
        while start < table.num_rows:
            ends = np.searchsorted(np.cumsum(lengths[start : start + GROUP_ROWS]), GROUP_BYTES - self._bytes) + 1
            stop = min(start + int(ends), start + GROUP_ROWS - self._rows, table.num_rows)
            self._waiting.append(table.slice(start, stop - start))
            self._rows, self._bytes = self._rows + stop - start, self._bytes + int(lengths[start:stop].sum())
            start = stop
            if self._rows >= GROUP_ROWS or self._bytes >= GROUP_BYTES:
                self._write()

    def _write(self) -> None:
        if self._file is None:
            path = self.folder / f"rows-{self._shards:05d}.parquet"
            self._file = pq.ParquetWriter(path, self.schema, compression="zstd", store_schema=False)
        group = pa.concat_tables(self._waiting) if self._waiting else self.schema.empty_table()
        self._file.write_table(group.combine_chunks(), row_group_size=GROUP_ROWS)
        self.count += group.num_rows
        self._written += self._bytes
        self._waiting, self._rows, self._bytes = [], 0, 0
        if self._written >= SHARD_BYTES:
            self._close()

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file, self._written, self._shards = None, 0, self._shards + 1

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, kind: object, *rest: object) -> None:
        if kind is None and (self._rows or (self._file is None and not self._shards)):
            self._write()
        self._close()
