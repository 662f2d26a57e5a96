"""Boilerplate: lines that stand in many documents of one source, such as menus, footers and notes about cookies.

Two readings tell which lines those are. The first counts in a fixed table of 16 MB (a count-min sketch: it may count too much, never too
little), so memory does not grow with the text; the second counts exactly, for the few lines that the first lets through.

A line is compared without its white space at the edges and with runs of it as one. It does not see boilerplate inside a line, nor
a line that differs from page to page; a sentence that a source rightly repeats (an address, a licence) is boilerplate to it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import xxhash

from sapwood.text.quality import spacing
from sapwood.text.quality.criteria import Boilerplate

CELLS = 1 << 21
SHOWN = 30

Batches = Callable[[], Iterable[tuple[Sequence[str], Sequence[str]]]]
"""Reads the texts and their sources once more."""


class Lines(NamedTuple):
    """`hashes`: of (source, line). `counted`: (source, line, documents) of the commonest, for the report."""

    hashes: frozenset[int]
    counted: tuple[tuple[str, str, int], ...]


def find(options: Boilerplate, batches: Batches) -> Lines:
    """Read twice and say which lines go."""
    table = np.zeros((2, CELLS), dtype=np.uint32)
    documents: Counter[str] = Counter()
    for texts, sources in batches():
        documents.update(sources)
        found = np.array([key for keys in _hashed(texts, sources, options) for key in keys], dtype=np.uint64)
        for half in (0, 1):
            cells, counted = np.unique(_cell(found, half), return_counts=True)
            table[half][cells] += counted.astype(np.uint32)
    least = {source: max(options.min_documents, options.min_share * count) for source, count in documents.items()}
    counts: Counter[int] = Counter()
    named: dict[int, tuple[str, str]] = {}
    for texts, sources in batches():
        for keys, source in zip(_hashed(texts, sources, options), sources, strict=True):
            own = np.fromiter(keys, dtype=np.uint64, count=len(keys))
            seen = np.minimum(table[0][_cell(own, 0)], table[1][_cell(own, 1)])
            for key in own[seen >= least[source]].tolist():
                counts[key] += 1
                named.setdefault(key, (source, keys[key]))
    kept = {key: count for key, count in counts.items() if count >= least[named[key][0]]}
    listed = sorted(((*named[key], count) for key, count in kept.items()), key=lambda one: (-one[2], one))
    return Lines(frozenset(kept), tuple(listed[:SHOWN]))


def remove(texts: Sequence[str], sources: Sequence[str], lines: Lines, options: Boilerplate) -> Iterator[tuple[str, int]]:
    """(text without those lines, how many went) of each text. The text stays in the normal form."""
    for text, source in zip(texts, sources, strict=True):
        kept, gone = [], 0
        for line in text.split("\n"):
            if _line(line) and len(line) <= options.max_chars and _key(source, _line(line)) in lines.hashes:
                gone += 1
            else:
                kept.append(line)
        yield (spacing.tidy("\n".join(kept)), gone) if gone else (text, 0)


def _hashed(texts: Sequence[str], sources: Sequence[str], options: Boilerplate) -> Iterator[dict[int, str]]:
    """The distinct lines of each text by their hash."""
    for text, source in zip(texts, sources, strict=True):
        bare = {_line(line) for line in text.split("\n") if len(line) <= options.max_chars}
        yield {_key(source, line): line for line in bare if line}


def _line(line: str) -> str:
    return " ".join(line.split())


def _key(source: str, line: str) -> int:
    return xxhash.xxh3_64_intdigest(f"{source}\0{line}".encode("utf-8", "surrogatepass"))


def _cell(keys: Any, half: int) -> Any:
    return ((keys >> np.uint64(32 * half)) & np.uint64(CELLS - 1)).astype(np.int64)
