"""From text to token ids to padded batches: the one path that training, evaluation and serving share.

Input text = prefix + text; special tokens come from the tokenizer's post-processor; at most `max_tokens` ids in all.
Needs `tokenizers` and numpy only, so that a server without torch reads text exactly as training did.
What it does NOT do: warn when text was cut. Ask `count` first where over-long input has to be refused.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from sapwood.errors import InputError

Ids = NDArray[np.int64]
PAD_NAMES = ("[PAD]", "<pad>", "<|pad|>", "<|endoftext|>")


def load_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer of a model, tokenizer or bundle folder, with its own truncation and padding switched off."""
    file = folder / "tokenizer.json"
    if not file.is_file():
        raise InputError(f"{folder.name}: there is no tokenizer.json in it", "give a tokenizer, model or bundle artifact")
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as fault:  # tokenizers raises the bare Exception class
        raise InputError(f"{file.name}: not a tokenizer file ({fault})", "make it again with the tokenizer stage") from None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def pad_id(tokenizer: Tokenizer) -> int:
    """The id that fills a batch; 0 where the tokenizer names none (masked positions are never read)."""
    return next((found for name in PAD_NAMES if (found := tokenizer.token_to_id(name)) is not None), 0)


def whole(texts: Sequence[str], prefix: str = "") -> list[str]:
    """Prefix + text, with lone surrogates replaced (the tokenizer would refuse them)."""
    return [(prefix + text).encode("utf-8", "replace").decode("utf-8") for text in texts]


def encode(tokenizer: Tokenizer, texts: Sequence[str], prefix: str = "", max_tokens: int = 512) -> list[Ids]:
    """One int64 array of ids a text, special tokens included, cut to `max_tokens`. The tokenizer is not changed."""
    room = max_tokens - tokenizer.num_special_tokens_to_add(False)
    if room < 1:
        raise InputError(f"max_tokens {max_tokens} leaves no room for text", f"set max_tokens to {max_tokens - room + 1} or more")
    rows = tokenizer.encode_batch_fast(whole(texts, prefix), add_special_tokens=False)
    for row in rows:
        row.truncate(room)
    return [np.asarray(tokenizer.post_process(row).ids, dtype=np.int64) for row in rows]


def count(tokenizer: Tokenizer, texts: Sequence[str], prefix: str = "") -> Ids:
    """Tokens of each text, special tokens included, before any cut."""
    special = tokenizer.num_special_tokens_to_add(False)
    rows = tokenizer.encode_batch_fast(whole(texts, prefix), add_special_tokens=False)
    return np.asarray([len(row.ids) + special for row in rows], dtype=np.int64)


def pad(rows: Sequence[Ids], fill: int = 0, multiple: int = 1) -> tuple[Ids, Ids]:
    """(ids, mask), both (rows, width) int64, padded on the right: encoders read their first token as the whole text.

    `width` is the longest row, rounded up to `multiple`.
    """
    longest = max((len(row) for row in rows), default=0)
    width = -(-longest // multiple) * multiple
    ids = np.full((len(rows), width), fill, dtype=np.int64)
    mask = np.zeros((len(rows), width), dtype=np.int64)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = row
        mask[i, : len(row)] = 1
    return ids, mask


def batches(
    lengths: Sequence[int] | Ids, tokens_per_batch: int, order: Sequence[int] | Ids | None = None, padding: float = math.inf
) -> list[Ids]:
    """Index arrays whose padded size (rows x longest) is at most `tokens_per_batch`; a longer single row goes alone.

    `order` says which rows, and which first (every row by default). They are sorted by length before they are cut, so
    that batches hold rows of like length; equal lengths keep their order. Padded to its longest row, no batch has more
    than `padding` tokens of padding. A batch that is cut has one of few numbers of rows, see `few`.
    """
    sizes = np.asarray(lengths, dtype=np.int64)
    rows = np.arange(len(sizes)) if order is None else np.asarray(order, dtype=np.int64)
    rows = rows[np.argsort(sizes[rows], kind="stable")]
    cuts: list[Ids] = []
    start, upto = 0, np.concatenate([[0], np.cumsum(sizes[rows])])
    for stop, size in enumerate(sizes[rows]):
        while start < stop:
            padded = size * (stop + 1 - start)
            if padded <= tokens_per_batch and padded - (upto[stop + 1] - upto[start]) <= padding:
                break
            cuts.append(rows[start : start + few(stop - start)])
            start += len(cuts[-1])
    return [*cuts, rows[start:]] if len(rows) else []


def few(rows: int) -> int:
    """The largest of 1, 2, 3, 4, 6, 8, 12, 16, 24, ... that is at most `rows`.

    For each new shape that a bf16 product meets, oneDNN writes machine code: 2 to 25 ms and about 1 MB each, some 20 products a shape in
    an encoder. With any number of rows the training of a BERT of 2 million weights spent two thirds of its time on that (decision 11).
    """
    power = 1 << (rows.bit_length() - 1)
    return power + power // 2 if rows >= power + power // 2 else power
