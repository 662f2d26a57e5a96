"""Numbers that are appended and read back by position: in memory up to a budget, past it in one file."""

from __future__ import annotations

import os
from bisect import bisect_right
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


class Spill:
    """A growing uint64 array. The first `budget` bytes stay in memory; all that comes later lies in `path`, which `close` removes.

    What is read is copied out with `pread`, not mapped, so that resident memory holds only what is in use.
    """

    def __init__(self, path: Path, budget: int) -> None:
        self.path, self.count = path, 0
        self._left = budget // 8
        self._pieces: list[Array] = []
        self._starts: list[int] = []
        self._kept = 0
        self._file: int | None = None

    def append(self, values: Array) -> None:
        values = np.ascontiguousarray(values, dtype=np.uint64)
        if self._file is None and self._kept + len(values) <= self._left:
            self._starts.append(self._kept)
            self._pieces.append(values)
            self._kept += len(values)
        else:
            self._write(values)
        self.count += len(values)

    def read(self, start: int, stop: int) -> Array:
        """uint64[stop - start], a copy where it spans pieces or lies in the file."""
        parts = [self._held(start, min(stop, self._kept))] if start < self._kept else []
        if stop > self._kept:
            parts.append(self._stored(max(start, self._kept) - self._kept, stop - self._kept))
        return parts[0] if len(parts) == 1 else np.concatenate([np.zeros(0, dtype=np.uint64), *parts])

    def close(self) -> None:
        self._pieces, self._starts = [], []
        if self._file is not None:
            os.close(self._file)
            self.path.unlink(missing_ok=True)
            self._file = None

    def _write(self, values: Array) -> None:
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        view = values.data.cast("B")
        while len(view):
            view = view[os.write(self._file, view) :]

    def _held(self, start: int, stop: int) -> Array:
        first = bisect_right(self._starts, start) - 1
        parts = []
        while start < stop:
            piece, begin = self._pieces[first], self._starts[first]
            parts.append(piece[start - begin : stop - begin])
            start, first = min(stop, begin + len(piece)), first + 1
        return parts[0] if len(parts) == 1 else np.concatenate([np.zeros(0, dtype=np.uint64), *parts])

    def _stored(self, start: int, stop: int) -> Array:
        assert self._file is not None, "read past the end"
        data = bytearray()
        while len(data) < 8 * (stop - start):
            piece = os.pread(self._file, 8 * (stop - start) - len(data), 8 * start + len(data))
            assert piece, "read past the end"
            data += piece
        return np.frombuffer(data, dtype=np.uint64)
