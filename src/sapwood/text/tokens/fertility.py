"""How well a tokenizer fits each language: bytes per token, tokens per unit, what it does not know, and whether text comes back.

A unit is a word where a script is written with spaces and a character where it is not (`sapwood.text.units`), so Chinese and English
stand in one table. Comparing tokenizers by bytes per token is fair over vocabularies of any kind; it does not say which one a model
learns better with. Special tokens are left out of every count.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from tokenizers import Tokenizer

from sapwood import report

GROUP = 1 << 20
"""Characters encoded at once: 14 MB of the library's memory on English text."""


class Fertility(NamedTuple):
    """How a tokenizer cuts one language. `unknown` is a share of tokens. `exact` is the share of texts that decoding gives back, `alike`
    the share that it gives back but for white space and the tokenizer's own normaliser. `per_unit` is None for text without letters."""

    language: str
    texts: int
    characters: int
    tokens: int
    bytes_per_token: float
    per_unit: float | None
    unknown: float
    exact: float
    alike: float


def fertility(tokenizer: Tokenizer, texts: Iterable[tuple[str, str]]) -> list[Fertility]:
    """One row for each language of the (language, text) pairs, sorted."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    unknown = unknown_id(tokenizer)
    for group in grouped(texts):
        _count(tokenizer, group, unknown, counts)
    return [_row(language, counts[language]) for language in sorted(counts)]


def table(rows: Mapping[str, Sequence[Fertility]], note: str) -> report.Block:
    """One line for each tokenizer and language."""
    columns = ("tokenizer", "language", "texts", "characters", "tokens", "bytes per token", "tokens per unit", "unknown", "exact", "alike")
    cells = [
        (name, *("-" if cell is None else round(cell, 4) if isinstance(cell, float) else cell for cell in row))
        for name, found in rows.items()
        for row in found
    ]
    more = (
        " A unit is a word, or a Chinese character. exact: texts that decoding gives back; alike: but for white space and the normaliser."
    )
    return report.table("Fertility", columns, cells, note + more)


def grouped(texts: Iterable[tuple[str, str]], most: int = GROUP) -> Iterator[list[tuple[str, str]]]:
    """The pairs in lists of about `most` characters."""
    group: list[tuple[str, str]] = []
    size = 0
    for pair in texts:
        group.append(pair)
        size += len(pair[1])
        if size >= most:
            yield group
            group, size = [], 0
    if group:
        yield group


def unknown_id(tokenizer: Tokenizer) -> int | None:
    """The id that stands for what the model does not know; None where it knows everything."""
    model = json.loads(tokenizer.to_str())["model"]
    if model["type"] == "Unigram":
        return model["unk_id"]
    named = model.get("unk_token")
    return None if named is None else tokenizer.token_to_id(named)


def _count(tokenizer: Tokenizer, group: Sequence[tuple[str, str]], unknown: int | None, counts: dict[str, Counter[str]]) -> None:
    from sapwood.text import units

    texts = [text for _, text in group]
    rows = [row.ids for row in tokenizer.encode_batch_fast(texts, add_special_tokens=False)]
    back = tokenizer.decode_batch(rows, skip_special_tokens=False)
    for (language, text), ids, given in zip(group, rows, back, strict=True):
        exact = given == text
        counts[language].update(
            {
                "texts": 1, "characters": len(text), "bytes": len(text.encode("utf-8", "replace")), "tokens": len(ids),
                "units": len(units.units(text)), "unknown": 0 if unknown is None else ids.count(unknown),
                "exact": exact, "alike": exact or _bare(tokenizer, given) == _bare(tokenizer, text),
            }
        )  # fmt: skip


def _bare(tokenizer: Tokenizer, text: str) -> str:
    """Normalised as the tokenizer does it, without white space (and without the mark that stands for it)."""
    normal = tokenizer.normalizer.normalize_str(text) if tokenizer.normalizer is not None else text
    return "".join(normal.replace("▁", " ").split())


def _row(language: str, n: Counter[str]) -> Fertility:
    tokens, texts = max(1, n["tokens"]), max(1, n["texts"])
    return Fertility(
        language,
        n["texts"],
        n["characters"],
        n["tokens"],
        n["bytes"] / tokens,
        n["tokens"] / n["units"] if n["units"] else None,
        n["unknown"] / tokens,
        n["exact"] / texts,
        n["alike"] / texts,
    )
