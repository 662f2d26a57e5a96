"""Packed tokens on disk: plain numpy files that are memory-mapped, so that any sequence is one seek away. No pickle anywhere.

    tokens.json            what this is: version, length, dtype, tokenizer's digest, separators, how many of everything
    tokens-00000.npy       uint16 or uint32 [sequences, length]: the tokens, filled up with `fill`
    segments-00000.npy     SEGMENT [segments]: which document lies where in which sequence
    starts-00000.npy       int64 [sequences + 1]: sequence i has the segments starts[i]:starts[i + 1] of its shard
    learned-00000.npy      bool [sequences, length]: where a loss is taken; only where documents say so
    documents.parquet      id, source, url, language, tokens: row n is document n

All shards but the last have `per_shard` sequences. Writing holds one sequence and 16,384 documents; reading maps what is asked for.
The files do not say what the tokens mean: that is the tokenizer's, whose sha256 `tokens.json` names.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from sapwood.errors import Corrupt, InputError
from sapwood.text.tokens import packing
from sapwood.text.tokens.encoding import Document

Array = NDArray[Any]
FILE, FORMAT = "tokens.json", 1
SHARD_BYTES = 128 << 20
SEGMENT = np.dtype([("document", "<u4"), ("at", "<u4"), ("length", "<u4"), ("offset", "<u8")])
"""`length` tokens from the document's `offset`-th on, at place `at` of the sequence. 20 bytes."""
DOCUMENTS_FILE = "documents.parquet"
_COLUMNS = {name: pa.string() for name in ("id", "source", "url", "language")} | {"tokens": pa.int64()}
DOCUMENTS = pa.schema([pa.field(name, kind) for name, kind in _COLUMNS.items()])
GROUP = 16_384


class Stored(NamedTuple):
    """One sequence of a shard, whole: `tokens` [length], `learned` bool [length] (False on fill), `segments` SEGMENT [n]."""

    number: int
    tokens: Array
    learned: Array
    segments: Array

    @property
    def used(self) -> int:
        return int(self.segments["length"].sum())

    def blocks(self) -> Array:
        """int32 [length]: the number of the segment each token is in, -1 on fill. Attention stays in a block where two are equal."""
        found = np.full(len(self.tokens), -1, dtype=np.int32)
        found[: self.used] = np.repeat(np.arange(len(self.segments), dtype=np.int32), self.segments["length"])
        return found


class NpyWriter:
    """An .npy file that grows by rows. numpy leaves room in the header for the first axis to grow, so it is written again at the end."""

    def __init__(self, path: Path, dtype: Any, row: tuple[int, ...] = ()) -> None:
        self.dtype, self.row, self.rows = np.dtype(dtype), row, 0
        self.stream: BinaryIO = path.open("wb")
        self._header()

    def add(self, values: Array) -> None:
        self.stream.write(np.ascontiguousarray(values, dtype=self.dtype).data)
        self.rows += 1 if self.row and values.ndim == len(self.row) else len(values)

    def close(self) -> None:
        self.stream.seek(0)
        self._header()
        self.stream.close()

    def _header(self) -> None:
        shape = (self.rows, *self.row)
        descr = np.lib.format.dtype_to_descr(self.dtype)
        np.lib.format.write_array_header_1_0(self.stream, {"descr": descr, "fortran_order": False, "shape": shape})


class ShardWriter:
    """A context that takes documents with `document` and sequences with `add`. `masked` writes the `learned` files."""

    def __init__(self, folder: Path, length: int, vocab: int, fill: int, masked: bool, shard_bytes: int = SHARD_BYTES) -> None:
        self.folder, self.length, self.fill, self.masked = folder, length, fill, masked
        self.dtype = np.dtype("<u2" if vocab <= 1 << 16 else "<u4")
        self.per_shard = max(1, shard_bytes // (length * self.dtype.itemsize))
        self.sequences = self.segments = self.documents = self.tokens = 0
        self._shard: dict[str, NpyWriter] = {}
        self._segments_here = 0
        self._waiting: list[tuple[Any, ...]] = []
        self._table = pq.ParquetWriter(folder / DOCUMENTS_FILE, DOCUMENTS, compression="zstd", store_schema=False)

    def document(self, read: Document, tokens: int) -> None:
        self._waiting.append((read.id, read.source, read.url, read.language, tokens))
        self.documents += 1
        if len(self._waiting) == GROUP:
            self._flush()

    def add(self, sequence: packing.Sequence) -> None:
        if self.sequences % self.per_shard == 0:
            self._begin()
        row = np.full(self.length, self.fill, dtype=self.dtype)
        learned = np.zeros(self.length, dtype=bool)
        segments = np.zeros(len(sequence), dtype=SEGMENT)
        at = 0
        for i, piece in enumerate(sequence):
            end = at + len(piece.ids)
            row[at:end] = piece.ids
            learned[at:end] = True if piece.learned is None else piece.learned
            segments[i] = (piece.document, at, end - at, piece.offset)
            at = end
        self.sequences, self.tokens = self.sequences + 1, self.tokens + at
        self.segments, self._segments_here = self.segments + len(segments), self._segments_here + len(segments)
        self._shard["tokens"].add(row)
        self._shard["segments"].add(segments)
        self._shard["starts"].add(np.array([self._segments_here]))
        if self.masked:
            self._shard["learned"].add(learned)

    def header(self, **more: Any) -> None:
        """Close the files and write `tokens.json`, the last file of a folder that is whole."""
        self._end()
        self._flush()
        self._table.close()
        body = {
            "format": FORMAT, "length": self.length, "dtype": self.dtype.str, "fill": self.fill, "masked": self.masked,
            "sequences": self.sequences, "per_shard": self.per_shard, "segments": self.segments, "documents": self.documents,
            "tokens": self.tokens, **more,
        }  # fmt: skip
        (self.folder / FILE).write_text(json.dumps(body, indent=1, sort_keys=True) + "\n", encoding="utf-8")

    def _begin(self) -> None:
        self._end()
        number, wide = self.sequences // self.per_shard, (self.length,)
        kinds = {"tokens": (self.dtype, wide), "segments": (SEGMENT, ()), "starts": (np.dtype("<i8"), ())}
        kinds |= {"learned": (np.dtype(bool), wide)} if self.masked else {}
        self._shard = {name: NpyWriter(self.folder / f"{name}-{number:05d}.npy", *kind) for name, kind in kinds.items()}
        self._shard["starts"].add(np.array([0]))
        self._segments_here = 0

    def _end(self) -> None:
        for file in self._shard.values():
            file.close()
        self._shard = {}

    def _flush(self) -> None:
        columns = [[row[place] for row in self._waiting] for place in range(len(DOCUMENTS))]
        arrays = [pa.array(column, type=field.type) for column, field in zip(columns, DOCUMENTS, strict=True)]
        self._table.write_table(pa.Table.from_arrays(arrays, schema=DOCUMENTS), row_group_size=GROUP)
        self._waiting = []


class Packed:
    """A tokens payload, opened for reading. Sequences are numbered from 0 through all shards. Safe to open in many processes.

    Raises `InputError` for a folder that is none and `Corrupt` for shards that do not fit `tokens.json`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.header = _header(folder)
        self.length, self.count = int(self.header["length"]), int(self.header["sequences"])
        self.per_shard, self.fill = int(self.header["per_shard"]), int(self.header["fill"])
        for number in range(-(-self.count // self.per_shard)):
            here = min(self.per_shard, self.count - number * self.per_shard)
            shape, dtype = self._file("tokens", number).shape, self._file("tokens", number).dtype
            if shape != (here, self.length) or dtype.str != self.header["dtype"] or len(self._file("starts", number)) != here + 1:
                raise Corrupt(f"{folder.name}: shard {number} does not fit {FILE}", "sapwood store verify")

    def __len__(self) -> int:
        return self.count

    def sequence(self, number: int) -> Stored:
        """Copies of one sequence's arrays. Raises `InputError` past the end."""
        if not 0 <= number < self.count:
            raise InputError(f"there is no sequence {number}", f"the last one is {self.count - 1}")
        shard, place = divmod(number, self.per_shard)
        start, end = self._file("starts", shard)[place : place + 2]
        segments = np.array(self._file("segments", shard)[start:end])
        tokens = np.array(self._file("tokens", shard)[place])
        if self.header["masked"]:
            learned = np.array(self._file("learned", shard)[place])
        else:
            learned = np.arange(self.length) < int(segments["length"].sum())
        return Stored(number, tokens, learned, segments)

    def documents(self, numbers: Sequence[int]) -> dict[int, dict[str, Any]]:
        """The rows of those documents by their numbers, reading only the row groups they are in."""
        found: dict[int, dict[str, Any]] = {}
        wanted = sorted(set(numbers))
        with pq.ParquetFile(self.folder / DOCUMENTS_FILE) as stored:
            first = 0
            for group in range(stored.num_row_groups):
                size = stored.metadata.row_group(group).num_rows
                here = [number for number in wanted if first <= number < first + size]
                if here:
                    rows = stored.read_row_group(group).take(pa.array([number - first for number in here])).to_pylist()
                    found.update(zip(here, rows, strict=True))
                first += size
        return found

    def _file(self, name: str, shard: int) -> Array:
        return _mapped(str(self.folder / f"{name}-{shard:05d}.npy"))


@lru_cache(maxsize=256)
def _mapped(path: str) -> Array:
    try:
        mapped: Array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as fault:
        raise Corrupt(f"{Path(path).name}: cannot be read ({fault})", "sapwood store verify") from None
    return mapped


def _header(folder: Path) -> Mapping[str, Any]:
    try:
        header = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{folder.name}: there is no {FILE} in it", "give a tokens artifact, made by the pack stage") from None
    except ValueError as fault:
        raise Corrupt(f"{folder.name}: {FILE} is damaged ({fault})", "sapwood store verify") from None
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise InputError(f"{folder.name}: this is not version {FORMAT} of the format", "make it again with the pack stage")
    return header
