"""Write rows to a payload as they come, so that an artifact larger than memory can be made. The bytes equal those of `rows.write`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sapwood.text import rows

GROUP = 16_384
"""Rows of a row group, as in `rows.write`: whatever the batches were, the same rows give the same bytes."""


class Writer:
    """A context that takes rows one batch after the other. Holds at most one row group and one batch in memory."""

    def __init__(self, folder: Path, schema: pa.Schema = rows.DOCUMENTS) -> None:
        self.schema, self.count = schema, 0
        self._waiting: list[Mapping[str, Any]] = []
        self._file = pq.ParquetWriter(folder / rows.FILE, schema, compression="zstd", store_schema=False)

    def add(self, batch: Iterable[Mapping[str, Any]]) -> None:
        self._waiting.extend(batch)
        while len(self._waiting) >= GROUP:
            self._write(self._waiting[:GROUP])
            del self._waiting[:GROUP]

    def _write(self, group: list[Mapping[str, Any]]) -> None:
        self._file.write_table(pa.Table.from_pylist(group, schema=self.schema), row_group_size=GROUP)
        self.count += len(group)

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, kind: object, *rest: object) -> None:
        if kind is None and (self._waiting or self.count == 0):
            self._write(self._waiting)
        self._file.close()
