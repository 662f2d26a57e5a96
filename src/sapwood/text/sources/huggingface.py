"""Hugging Face data sets on disk: what `save_to_disk` wrote, or the data files that `load_dataset` reads. No network, no script is run.

Files are Arrow (stream or file), Parquet and JSON lines. A split is told as the `datasets` library tells it: by the folder, or by the
word in the file's name (`data/train-00000-of-00002.parquet`). Files of a cache, indices and states are no data.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from sapwood.errors import InputError, SapwoodError
from sapwood.text.sources import columns, folders, parquet, tables
from sapwood.text.sources.columns import Columned
from sapwood.text.sources.source import Reading, Row, changed_at, unique

if TYPE_CHECKING:
    import pyarrow as pa

JSONL = (".jsonl", ".jsonl.gz", ".jsonl.bz2", ".jsonl.xz", ".jsonl.zst")
SUFFIXES = (".arrow", ".parquet", *JSONL)
NO_DATA = re.compile(r"(^|/)(cache-[0-9a-f]+\.arrow|indices\.arrow|\.cache/.*|\.git/.*)$")


class HuggingFace(Columned):
    """One document a row of a Hugging Face data set on disk."""

    kind: Literal["huggingface"] = Field("huggingface", description="A Hugging Face data set folder on disk.")
    split: str = Field("", description="Split to read, such as train; empty reads all.")

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
        found = self._rows(reading)
        return unique(found, folders.at(self, reading.workspace)) if self.id_column else found

    def _files(self, workspace: Path) -> folders.Listed:
        root = folders.at(self, workspace)
        found = [one for one in folders.listed(self, root, SUFFIXES) if not NO_DATA.search(one[0])]
        chosen = [one for one in found if not self.split or is_of(self.split, one[0])]
        if not chosen:
            raise InputError(f"source {self.name}: no data file of split {self.split!r} in {self.path}", "check split; empty reads all")
        return chosen

    def _rows(self, reading: Reading) -> Iterator[Row]:
        for inside, file in self._files(reading.workspace):
            time = changed_at(self, file)
            try:
                if inside.endswith(JSONL):
                    yield from self._lines(inside, file, time, reading)
                else:
                    read = parquet.batches if inside.endswith(".parquet") else arrow_batches
                    yield from columns.documents(self, read(self, file), inside, time, reading)
            except InputError as fault:
                reading.failed(inside, fault.what.removeprefix(f"{file.name}: "))

    def _lines(self, inside: str, file: Path, time: str, reading: Reading) -> Iterator[Row]:
        fields = {"text_field": self.text_column, "label_field": self.label_column, "id_field": self.id_column}
        asked = tables.Jsonl(name=self.name, path=inside, meta_fields=self.meta_columns, **fields)
        for row in tables.jsonl_rows(asked, file, time, reading.failed):
            yield row if self.id_column else row._replace(locator=f"{inside}#{int(row.locator) - 1}")


def is_of(split: str, inside: str) -> bool:
    """Whether a file belongs to the split: the name stands in its path as a word, as in `train/`, `train.jsonl`, `my-train-0001.parquet`."""
    path = PurePosixPath(inside)
    words = {word for part in (*path.parts[:-1], path.name.partition(".")[0]) for word in re.split(r"[-_. ]", part)}
    return split in words or split in path.parts


def arrow_batches(source: Columned, file: Path) -> Iterator[pa.RecordBatch]:
    """The wanted columns of an Arrow stream or file, mapped into memory and cut into small batches. Raises `InputError` as for Parquet."""
    import pyarrow as pa

    try:
        with pa.memory_map(str(file)) as mapped:
            schema, found = _arrow(mapped)
            columns.check_columns(source, schema)
            for batch in found:
                batch.validate(full=True)  # offsets of a damaged file may point anywhere
                for start in range(0, batch.num_rows, columns.ROWS):
                    yield batch.select(source.wanted).slice(start, columns.ROWS)
    except (pa.ArrowException, OSError) as fault:
        raise InputError(f"damaged: no readable Arrow file ({str(fault)[:300]})", "check that it was copied completely") from None


def _arrow(mapped: Any) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    import pyarrow as pa

    try:
        stream = pa.ipc.open_stream(mapped)
    except pa.ArrowInvalid:
        file = pa.ipc.open_file(mapped)
        return file.schema, (file.get_batch(number) for number in range(file.num_record_batches))
    return stream.schema, iter(stream)
