"""What a split has to know of each row, gathered in one stream: its place in the draw, stratum, groups, moment, whether it is held out.

Memory: 8 bytes a row for the draw, 4 for the stratum, 8 for each group field, 8 for the time, besides the index of the texts; and every
distinct combination of the stratified fields once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import xxhash

from sapwood.text import fields
from sapwood.text.parts import moments, split

Array = np.ndarray[Any, Any]


class Asked(NamedTuple):
    """Which fields decide. `hold_out` is (field, values), `time` a field; "" and None for neither."""

    stratify: tuple[str, ...]
    group: tuple[str, ...] = ()
    time: str = ""
    hold_out: tuple[str, tuple[str, ...]] | None = None

    @property
    def names(self) -> list[str]:
        """Every field, each once."""
        held = (self.hold_out[0],) if self.hold_out else ()
        return [name for name in dict.fromkeys((*self.stratify, *held, *self.group, self.time)) if name]

    @property
    def shown(self) -> tuple[str, ...]:
        """The fields by which the report counts rows."""
        return tuple(dict.fromkeys((*self.stratify, *((self.hold_out[0],) if self.hold_out else ()))))


class Sides:
    """Fed batch by batch; then its arrays have one entry a row, in the order of arrival."""

    def __init__(self, asked: Asked, seed: int) -> None:
        self.asked, self.seed = asked, seed
        self._known: dict[tuple[str, ...], int] = {}
        self._draw: list[Array] = []
        self._stratum: list[Array] = []
        self._groups: list[list[Array]] = [[] for _ in asked.group]
        self._moment: list[Array] = []

    def add(self, batch: pa.RecordBatch) -> None:
        """The columns `id` and those of `asked.names`."""
        self._draw.append(split.draws(fields.values(batch, "id"), self.seed))
        keys = zip(*(fields.values(batch, name) for name in self.asked.shown), strict=True) if self.asked.shown else [()] * batch.num_rows
        self._stratum.append(np.fromiter((self._known.setdefault(key, len(self._known)) for key in keys), np.int32, batch.num_rows))
        for codes, name in zip(self._groups, self.asked.group, strict=True):
            codes.append(group_codes(fields.values(batch, name)))
        if self.asked.time:
            self._moment.append(moments.moments(fields.values(batch, self.asked.time)))

    @property
    def draw(self) -> Array:
        return _one(self._draw, np.uint64)

    @property
    def cells(self) -> list[tuple[str, ...]]:
        """The distinct values of `asked.shown`, by the numbers in `cell`."""
        return list(self._known)

    @property
    def cell(self) -> Array:
        """int32[n]: the place in `cells`."""
        return _one(self._stratum, np.int32)

    def strata(self) -> Array:
        """int64[n]: rows with equal stratified fields, numbered in the order of their values."""
        width = len(self.asked.stratify)
        ranks = {key: rank for rank, key in enumerate(sorted({key[:width] for key in self._known}))}
        numbers = np.array([ranks[key[:width]] for key in self._known], dtype=np.int64)
        return numbers[self.cell] if len(numbers) else np.zeros(0, dtype=np.int64)

    def groups(self) -> list[Array]:
        """int64[n] a group field: a code for each value, -1 where the row has none."""
        return [_one(codes, np.int64) for codes in self._groups]

    def moment(self) -> Array:
        """int64[n]: microseconds, `moments.NEVER` where the row tells none."""
        return _one(self._moment, np.int64)

    def held(self) -> Array | None:
        """bool[n]: the rows that are held out; None when nothing is."""
        if self.asked.hold_out is None:
            return None
        place, values = self.asked.shown.index(self.asked.hold_out[0]), set(self.asked.hold_out[1])
        wanted = np.array([key[place] in values for key in self._known], dtype=bool)
        return wanted[self.cell] if len(wanted) else np.zeros(0, dtype=bool)


def group_codes(values: Sequence[str]) -> Array:
    """63 bits of a hash of each value; -1 for none. Two of a million values meet with probability 5e-8."""
    hashed = (xxhash.xxh3_64_intdigest(value.encode("utf-8", "surrogatepass")) >> 1 if value else -1 for value in values)
    return np.fromiter(hashed, np.int64, len(values))


def _one(pieces: list[Array], kind: Any) -> Array:
    """The pieces as one array, joined once."""
    if len(pieces) != 1:
        pieces[:] = [np.concatenate(pieces) if pieces else np.zeros(0, dtype=kind)]
    return pieces[0]
