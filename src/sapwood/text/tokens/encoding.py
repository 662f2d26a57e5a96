"""Documents as token ids, from a stream of Arrow batches.

A document's own text cannot make a separator: `[SEP]` or `<|endoftext|>` written in it is encoded as the letters it is made of. A text
past `SLICE` characters is encoded in slices that end at a line's end where one is near, so that memory does not grow with it; for
tokenizers that never join a line's end with the letter after it (all that Sapwood trains) the ids are those of the whole text.

Memory: the batch as Python strings, 52 bytes a token for the `GROUP` characters that are encoded at once, and 4 for each token of the batch.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from tokenizers import Tokenizer

from sapwood.errors import InputError
from sapwood.text import fields

Array = NDArray[Any]
GROUP = 1 << 20
SLICE = 1 << 18
NEAR = 1 << 14
"""How far back from a slice's end a line's end is looked for, in characters."""


class Document(NamedTuple):
    """`ids` are uint32 without special tokens. `learned` is bool for each of them, False where no loss is to be taken; None: all True."""

    id: str
    source: str
    url: str
    language: str
    ids: Array
    learned: Array | None = None


def documents(batches: Iterable[pa.RecordBatch], tokenizer: Tokenizer, unlearned: str = "") -> Iterator[Document]:
    """The rows in their order. `unlearned` names a column or an entry of meta with [[start, end], ...], the characters no loss is taken on.

    The tokenizer is set to read special tokens as text. Raises `InputError` for a field that there is not, and for spans that are none.
    """
    tokenizer.encode_special_tokens = True
    tokenizer.no_truncation()
    tokenizer.no_padding()
    for batch in batches:
        if unlearned:
            fields.required(unlearned, batch.schema)
        texts = fields.texts(batch)
        spans = [_spans(value) for value in fields.values(batch, unlearned)] if unlearned else [()] * len(texts)
        columns = (fields.values(batch, name) for name in ("id", "source", "url", "language"))
        encoded = _encoded(tokenizer, texts, spans if unlearned else None)
        for id, source, url, language, (ids, learned) in zip(*columns, encoded, strict=True):
            yield Document(id, source, url, language, ids, learned)


def slices(text: str, most: int, near: int) -> list[str]:
    """The text cut into parts of at most `most` characters: after a line's end that no white space follows, if one is near."""
    parts, start = [], 0
    while len(text) - start > most:
        end = start + most
        cut = end
        for at in range(end, max(start, end - near), -1):
            if text[at - 1] == "\n" and not text[at].isspace():
                cut = at
                break
        parts.append(text[start:cut])
        start = cut
    return [*parts, text[start:]]


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Encode with that many threads inside; 0 leaves it to the library (every core). The library makes its pool at first use and keeps
    it, so in one process only 1 is sure to hold later; the ids are the same with any number."""
    wanted = {"TOKENIZERS_PARALLELISM": "false" if count == 1 else "true", "RAYON_NUM_THREADS": str(count) if count else None}
    before = {name: os.environ.get(name) for name in wanted}
    _setenv({name: value for name, value in wanted.items() if value is not None})
    try:
        yield
    finally:
        _setenv(before)


def _setenv(values: dict[str, str | None] | dict[str, str]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _encoded(tokenizer: Tokenizer, texts: Sequence[str], spans: Sequence[Any] | None) -> Iterator[tuple[Array, Array | None]]:
    parts = [(row, part) for row, text in enumerate(texts) for part in slices(text, SLICE, NEAR)]
    row, held, starts = 0, list[tuple[Array, Array | None]](), 0
    for at, (ids, ends) in zip(parts, _ids(tokenizer, [part for _, part in parts], spans is not None), strict=True):
        if at[0] != row:
            yield _joined(held)
            row, held, starts = at[0], [], 0
        held.append((ids, None if spans is None else _learned(ends + starts, spans[row])))
        starts += len(at[1])
    if parts:
        yield _joined(held)


def _ids(tokenizer: Tokenizer, parts: Sequence[str], offsets: bool) -> Iterator[tuple[Array, Array]]:
    """(ids, offsets) of each part; the offsets, int64[n, 2] in characters, are empty unless asked for (they take twice the time)."""
    encode = tokenizer.encode_batch if offsets else tokenizer.encode_batch_fast
    start, size = 0, 0
    for end, part in enumerate(parts, start=1):
        size += len(part)
        if size < GROUP and end < len(parts):
            continue
        for row in encode(parts[start:end], add_special_tokens=False):
            yield np.array(row.ids, dtype=np.uint32), np.array(row.offsets if offsets else [], dtype=np.int64).reshape(-1, 2)
        start, size = end, 0


def _joined(parts: Sequence[tuple[Array, Array | None]]) -> tuple[Array, Array | None]:
    if len(parts) == 1:
        return parts[0]
    masks = [mask for _, mask in parts if mask is not None]
    return np.concatenate([ids for ids, _ in parts]), np.concatenate(masks) if masks else None


def _learned(offsets: Array, spans: Sequence[tuple[int, int]]) -> Array:
    """False for tokens with at least one character inside a span."""
    learned = np.ones(len(offsets), dtype=bool)
    for start, end in spans:
        learned &= (offsets[:, 1] <= start) | (offsets[:, 0] >= end)
    return learned


def _spans(value: str) -> tuple[tuple[int, int], ...]:
    if not value:
        return ()
    try:
        found = json.loads(value)
        spans = tuple((int(start), int(end)) for start, end in found)
    except (ValueError, TypeError) as fault:
        raise InputError(f"{value[:60]!r} is no list of [start, end] ({fault})", "give spans of characters, such as [[0, 12]]") from None
    if any(start < 0 or end < start for start, end in spans):
        raise InputError(f"{value[:60]!r} has a span that ends before it starts", "give spans of characters, such as [[0, 12]]")
    return spans
