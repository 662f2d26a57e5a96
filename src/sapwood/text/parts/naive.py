"""What a plain random split would have leaked: test rows that have a copy in train, exact or near.

On rows that are clustered already it is counted from the clusters. On raw rows it is measured on a sample of the plain split's test rows,
each of them looked for in the whole of its train side: exact for the sample, whose size is stated. Memory: the sample's shingles.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from sapwood.text import fields, rows, units
from sapwood.text.near import overlaps
from sapwood.text.near.signatures import LEAST
from sapwood.text.parts import split
from sapwood.text.parts.split import PARTS, TEST, TRAIN

Array = np.ndarray[Any, Any]

SAMPLE, SAMPLE_CHARACTERS = 2000, 2_000_000
TOGETHER = 8 << 20
"""Characters of train rows compared with the sample at a time: about 200 MB."""


class Leak(NamedTuple):
    """`test` rows were looked at of `of` in the plain split's test part; `exact` of them have an exact copy in train, `near` an exact or
    near one."""

    test: int
    of: int
    exact: int
    near: int


def sides(draw: Array, ratios: Mapping[str, float]) -> Array:
    """int64[n]: the part of each row in a plain random split."""
    shares = np.cumsum([ratios.get(name, 0.0) for name in PARTS])
    return np.searchsorted(shares / shares[-1], draw / 2.0**64, side="right").clip(max=len(PARTS) - 1)


def from_clusters(draw: Array, cluster: Array, exact: Array, ratios: Mapping[str, float]) -> Leak:
    """Test rows whose cluster has a row in train. `cluster` and `exact` name each row's by a row number."""
    part = sides(draw, ratios)
    in_train = np.zeros((2, len(draw)), dtype=bool)
    in_train[0, exact[part == TRAIN]] = True
    in_train[1, cluster[part == TRAIN]] = True
    test = np.flatnonzero(part == TEST)
    return Leak(len(test), len(test), int(in_train[0, exact[test]].sum()), int(in_train[1, cluster[test]].sum()))


def measured(folder: Path, ratios: Mapping[str, float], seed: int, threshold: float) -> Leak:
    """The leak of a plain random split of the rows in `folder`, which are gone through three times."""
    found = [(split.draws(fields.values(batch, "id"), seed), _lengths(batch)) for batch in rows.batches(folder, ["id", "text"])]
    draw = np.concatenate([np.zeros(0, dtype=np.uint64), *(one for one, _ in found)])
    part = sides(draw, ratios)
    test = np.flatnonzero(part == TEST)
    wanted = _sampled(test, draw, np.concatenate([np.zeros(0, dtype=np.int64), *(lengths for _, lengths in found)]))
    sample = units.shingle([text for texts in _texts(folder, wanted) for text in texts])
    keys = {key for key in sample.keys if key}
    exact: set[bytes] = set()
    near = np.zeros(len(sample.keys), dtype=bool)
    for texts in _gathered(_texts(folder, part == TRAIN)):
        train = units.shingle(texts)
        exact |= keys.intersection(train.keys)
        near[overlaps.similar_pairs(train, sample, threshold, LEAST).right] = True
    same = np.array([key in exact for key in sample.keys], dtype=bool)
    return Leak(len(same), len(test), int(same.sum()), int((same | near).sum()))


def _sampled(test: Array, draw: Array, lengths: Array) -> Array:
    """bool a row: the test rows that come first in the draw, up to `SAMPLE` rows and about `SAMPLE_CHARACTERS` characters."""
    first = test[np.argsort(draw[test], kind="stable")][:SAMPLE]
    chosen = first[: max(1, int(np.searchsorted(np.cumsum(lengths[first]), SAMPLE_CHARACTERS, "right")))]
    wanted = np.zeros(len(draw), dtype=bool)
    wanted[chosen] = True
    return wanted


def _lengths(batch: pa.RecordBatch) -> Array:
    """int64 a row: characters of the text."""
    return np.fromiter(map(len, fields.texts(batch)), np.int64, batch.num_rows)


def _texts(folder: Path, wanted: Array) -> Iterator[Sequence[str]]:
    """The texts of the wanted rows, batch by batch."""
    start = 0
    for batch in rows.batches(folder, ["text"]):
        mine = wanted[start : start + batch.num_rows]
        start += batch.num_rows
        yield fields.texts(batch.filter(pa.array(mine)))


def _gathered(batches: Iterable[Sequence[str]]) -> Iterator[list[str]]:
    """The texts in lists of about `TOGETHER` characters."""
    waiting: list[str] = []
    size = 0
    for text in (text for texts in batches for text in texts):
        waiting.append(text)
        size += len(text)
        if size >= TOGETHER:
            yield waiting
            waiting, size = [], 0
    if waiting:
        yield waiting
