"""Units of text: words where a script is written with spaces, characters where it is not, and shingles over them.

A unit is a maximal run of letters, marks and digits of a spaced script (Latin, Cyrillic, Arabic, Hangul, Devanagari, ...)
or one character of an unspaced one (Han, kana, bopomofo, Thai, Lao, Burmese, Khmer). A shingle is `k` units in a row, so it is
words-5 in English, characters-5 in Chinese, and in mixed text each script run brings its own kind of unit.
Shingles are hashed from a normal form (NFKC, case folded, letters and digits only) that is used for nothing else.

It does not segment Chinese into words and does not tell traditional from simplified script: 體 and 体 are two units.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import xxhash

Array = np.ndarray[Any, Any]

SPACE, SYMBOL, WORD, CHARACTER = range(4)
"""Classes of a code point. Spaces and controls; punctuation, symbols and emoji; part of a word; a unit by itself."""

SCRIPTS: dict[str, tuple[tuple[int, int], ...]] = {
    "han": ((0x2E80, 0x2FDF), (0x3005, 0x3007), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3FFFD)),
    "kana": ((0x3041, 0x30FF), (0x31F0, 0x31FF), (0xFF66, 0xFF9F), (0x1B000, 0x1B16F)),
    "bopomofo": ((0x3105, 0x312F), (0x31A0, 0x31BF)),
    "thai": ((0x0E01, 0x0E7F),),
    "lao": ((0x0E81, 0x0EFF),),
    "burmese": ((0x1000, 0x109F),),
    "khmer": ((0x1780, 0x17FF),),
    "hangul": ((0x1100, 0x11FF), (0x3131, 0x318F), (0xAC00, 0xD7A3), (0xFFA0, 0xFFDC)),
    "latin": ((0x41, 0x5A), (0x61, 0x7A), (0xAA, 0xAA), (0xBA, 0xBA), (0xC0, 0x24F), (0x1E00, 0x1EFF), (0xFF21, 0xFF3A), (0xFF41, 0xFF5A)),
    "cyrillic": ((0x400, 0x52F),),
    "greek": ((0x370, 0x3FF), (0x1F00, 0x1FFF)),
    "arabic": ((0x600, 0x6FF), (0x750, 0x77F)),
    "hebrew": ((0x590, 0x5FF),),
    "devanagari": ((0x900, 0x97F),),
}
UNSPACED = ("han", "kana", "bopomofo", "thai", "lao", "burmese", "khmer")
NAMES = ("none", *SCRIPTS, "other")
"""Script names by their number in `script_table`. `none`: digits, spaces and symbols; `other`: letters of all other scripts."""

HARD = 0xFFFFFFFF
POINTS = 0x40000  # planes 0 to 3: all letters; what lies above is tags, selectors and private use
CHUNK_ROWS, CHUNK_CHARACTERS = 4096, 1 << 20  # about 60 MB of working memory
HASH_BITS = np.uint64(52)  # a chunk's row number sits in the other 12, so that one sort does all its rows
PRIME = 0x9E3779B97F4A7C15


class Shingles(NamedTuple):
    """Distinct shingle hashes of n texts. Row i has `values[offsets[i]:offsets[i + 1]]` (uint64, ascending).

    `keys`: 16 bytes a row, equal when the texts have the same units in the same order; b"" for a text of white space only.
    `windows`: shingles a row counting repeats; `units`: units a row. 8 bytes a shingle, about 40 a row.
    """

    keys: list[bytes]
    units: Array
    windows: Array
    offsets: Array
    values: Array

    @property
    def sizes(self) -> Array:
        return np.diff(self.offsets)


@cache
def script_table() -> Array:
    """uint8[POINTS]: the number in `NAMES` of each letter's or mark's script."""
    table = np.full(POINTS, len(NAMES) - 1, dtype=np.uint8)
    for number, name in enumerate(SCRIPTS, start=1):
        for first, last in SCRIPTS[name]:
            table[first : last + 1] = number
    digits = [point for point in _irregular() if unicodedata.category(chr(point)) == "Nd"]
    table[digits] = 0
    table[class_table() < WORD] = 0
    return table


@cache
def class_table() -> Array:
    """uint8[POINTS]: SPACE, SYMBOL, WORD or CHARACTER for each code point. Built once, in about 30 ms."""
    kinds = {"L": WORD, "M": WORD, "N": WORD, "Z": SPACE, "C": SPACE, "P": SYMBOL, "S": SYMBOL}
    table = np.full(POINTS, WORD, dtype=np.uint8)
    for point in _irregular():
        table[point] = kinds[unicodedata.category(chr(point))[0]]
    for name in UNSPACED:
        for first, last in SCRIPTS[name]:
            part = table[first : last + 1]
            part[part == WORD] = CHARACTER
    return table


@cache
def _irregular() -> tuple[int, ...]:
    """Code points outside the big blocks of plain Han and Hangul, which are letters and their own normal form."""
    blocks = ((0x3400, 0x4DC0), (0x4E00, 0x9FFD), (0xAC00, 0xD7A4), (0x20000, 0x2F800), (0x2FA20, POINTS))
    edges = [0, *(edge for block in blocks for edge in block), POINTS]
    return tuple(point for first, last in zip(edges[::2], edges[1::2], strict=True) for point in range(first, last))


@cache
def _folded_table() -> Array:
    """uint32[POINTS]: the one code point of the normal form; 0 where it has no letter; HARD where it takes the whole text to
    tell: several letters (ß, ﬁ), marks and jamo that join with what stands before them."""
    table = np.arange(POINTS, dtype=np.uint32)
    classes = class_table()
    for point in _irregular():
        letter = chr(point)
        if classes[point] == SPACE:
            table[point] = 0
            continue
        if unicodedata.category(letter)[0] == "M" or 0x1100 <= point < 0x1200:
            table[point] = HARD
            continue
        form = normal_form(letter)
        letters = any(classes[ord(part)] >= WORD for part in form if ord(part) < POINTS)
        table[point] = 0 if not letters else ord(form) if len(form) == 1 else HARD
    return table


def code_points(text: str) -> Array:
    """uint32 code points; what lies above plane 3 becomes a space."""
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")
    return np.where(points < POINTS, points, 0)


def normal_form(text: str) -> str:
    """For hashing and comparing only, never for kept text: NFKC and case folded."""
    return text.lower() if text.isascii() else unicodedata.normalize("NFKC", text).casefold()


def units(text: str) -> list[str]:
    """The units of a text in their order, as written: `units("买了iPhone 15")` is `["买", "了", "iPhone", "15"]`."""
    classes = class_table()[code_points(text)]
    kept = np.flatnonzero(classes >= WORD)
    if not len(kept):
        return []
    starts = kept[_begins(classes)[kept]]
    ends = np.append(starts[1:], len(text))
    return [_trimmed(text, classes, start, end) for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]


def script_runs(text: str) -> list[tuple[str, int, int]]:
    """(script, start, end) of the text. Digits, spaces and symbols join the run before them."""
    numbers = script_table()[code_points(text)]
    letters = np.flatnonzero(numbers)
    if not len(letters):
        return [("none", 0, len(text))] if text else []
    firsts = letters[np.flatnonzero(np.diff(numbers[letters], prepend=0))].tolist()
    edges = [0, *firsts[1:], len(text)]
    return [(NAMES[numbers[first]], start, end) for first, start, end in zip(firsts, edges, edges[1:], strict=False)]


def classes_of(texts: Sequence[str]) -> tuple[Array, Array]:
    """(class, row) of every character of the texts, and of one space between two of them."""
    return class_table()[code_points("\0".join(texts))], _row_numbers(texts)


def unit_scripts(texts: Sequence[str]) -> tuple[Array, Array]:
    """(row, script number) of every unit of the texts that begins with a letter."""
    points = code_points("\0".join(texts))
    numbers = script_table()[points]
    begins = _begins(class_table()[points]) & (numbers > 0)
    return _row_numbers(texts)[begins], numbers[begins]


def shingles(text: str, k: int = 5) -> Array:
    """Distinct hashes of the text's shingles: uint64, ascending, 52 bits used."""
    return shingle([text], k).values


def shingle(texts: Sequence[str], k: int = 5) -> Shingles:
    """The shingles of many texts at once. A row depends on its own text only, not on its neighbours or on chunks."""
    parts = [_shingle_chunk(texts[start:end], k) for start, end in chunks(texts)]
    sizes = np.concatenate([part.sizes for part in parts]) if parts else np.zeros(0, dtype=np.int64)
    return Shingles(
        keys=[key for part in parts for key in part.keys],
        units=_joined([part.units for part in parts], np.int64),
        windows=_joined([part.windows for part in parts], np.int64),
        offsets=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        values=_joined([part.values for part in parts], np.uint64),
    )


def chunks(texts: Sequence[str]) -> Iterator[tuple[int, int]]:
    """(start, end) of consecutive rows that fit one chunk of rows and characters."""
    start, characters = 0, 0
    for row, text in enumerate(texts):
        if row > start and (row - start >= CHUNK_ROWS or characters + len(text) > CHUNK_CHARACTERS):
            yield start, row
            start, characters = row, 0
        characters += len(text)
    if start < len(texts):
        yield start, len(texts)


def _trimmed(text: str, classes: Array, start: int, end: int) -> str:
    """The unit that starts at `start`; what lies between it and the next unit is cut off."""
    stop = start + 1
    if classes[start] == WORD:
        while stop < end and classes[stop] == WORD:
            stop += 1
    return text[start:stop]


def _begins(classes: Array) -> Array:
    """bool: where a unit begins."""
    before = np.concatenate([[SPACE], classes[:-1]])
    begins: Array = (classes == CHARACTER) | ((classes == WORD) & (before != WORD))
    return begins


def _shingle_chunk(texts: Sequence[str], k: int) -> Shingles:
    hashes, rows = _unit_hashes(texts)
    counts = np.bincount(rows, minlength=len(texts))
    windows = np.maximum(counts - k + 1, 0)
    inside = np.flatnonzero(rows[: len(rows) - k + 1] == rows[k - 1 :]) if len(rows) >= k else np.zeros(0, dtype=np.int64)
    total = np.zeros(len(inside), dtype=np.uint64)
    for place in range(k):
        total += hashes[inside + place] * np.uint64(pow(PRIME, place + 1, 1 << 64))
    tagged = (rows[inside].astype(np.uint64) << HASH_BITS) | (_mixed(total) >> np.uint64(64 - int(HASH_BITS)))
    tagged.sort()
    tagged = tagged[np.concatenate([[True], tagged[1:] != tagged[:-1]])] if len(tagged) else tagged  # np.unique is 20 times slower
    sizes = np.bincount((tagged >> HASH_BITS).astype(np.int64), minlength=len(texts))
    values = tagged & np.uint64((1 << int(HASH_BITS)) - 1)
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    return Shingles(_keys(texts, hashes, counts), counts, windows, offsets, values)


def _unit_hashes(texts: Sequence[str]) -> tuple[Array, Array]:
    """(uint64 hash, row) of every unit of the normal forms. A word's hash is a polynomial over its mixed code points."""
    points, rows = _folded(texts)
    classes = class_table()[points]
    kept = classes >= WORD
    begins = np.flatnonzero(_begins(classes)[kept])
    if not len(begins):
        return np.zeros(0, dtype=np.uint64), np.zeros(0, dtype=np.int64)
    letters = _mixed(points[kept].astype(np.uint64))
    within = np.arange(len(letters)) - np.repeat(begins, np.diff(begins, append=len(letters)))
    return np.add.reduceat(letters * _powers(int(within.max()) + 1)[within], begins), rows[kept][begins]


def _folded(texts: Sequence[str]) -> tuple[Array, Array]:
    """(code point, row) of the normal forms. By table, and through `normal_form` for the few rows that need it (8 times faster)."""
    rows = _row_numbers(texts)
    points = _folded_table()[code_points("\0".join(texts))]
    hard = set(rows[points == HARD].tolist())
    if not hard:
        return points, rows
    formed = [normal_form(text) if row in hard else text for row, text in enumerate(texts)]
    plain = code_points("\0".join(formed))
    points = _folded_table()[plain]
    return np.where(points == HARD, plain, points), _row_numbers(formed)


def _row_numbers(texts: Sequence[str]) -> Array:
    """The row of every character of the texts joined by one separator."""
    lengths = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
    return np.repeat(np.arange(len(texts)), lengths + 1)[: max(0, int(lengths.sum()) + len(texts) - 1)]


def _powers(count: int) -> Array:
    powers = np.full(count, PRIME, dtype=np.uint64)
    powers[0] = 1
    product: Array = np.cumprod(powers, dtype=np.uint64)
    return product


def _mixed(values: Array) -> Array:
    """The finaliser of splitmix64 (Steele, Lea, Flood 2014): every input bit moves every output bit."""
    values = values + np.uint64(PRIME)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: Array = values ^ (values >> np.uint64(31))
    return mixed


def _keys(texts: Sequence[str], hashes: Array, counts: Array) -> list[bytes]:
    """A text without letters or digits is known by its symbols; one of white space only by nothing."""
    ends = np.cumsum(counts).tolist()
    view = memoryview(hashes.tobytes())
    return [
        xxhash.xxh3_128_digest(view[8 * (end - count) : 8 * end]) if count else _symbol_key(text)
        for text, count, end in zip(texts, counts.tolist(), ends, strict=True)
    ]


def _symbol_key(text: str) -> bytes:
    bare = "".join(text.split())
    return xxhash.xxh3_128_digest(bare.encode("utf-8", "surrogatepass"), seed=1) if bare else b""


def _joined(parts: list[Array], kind: Any) -> Array:
    return np.concatenate(parts) if parts else np.zeros(0, dtype=kind)
