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
HASH_BITS = np.uint64(52)  # of a shingle's hash; a row's or a pair's number sits in the other 12, so that one sort does many


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
    table[0xFE00:0xFE10] = SPACE  # variation selectors are marks that only say how the symbol before them looks
    for name in UNSPACED:
        for first, last in SCRIPTS[name]:
            part = table[first : last + 1]
            part[part == WORD] = CHARACTER
    table[-1] = SPACE  # no character, so it can stand for all that lies above
    return table


@cache
def _irregular() -> tuple[int, ...]:
    """Code points outside the big blocks of plain Han and Hangul, which are letters and their own normal form."""
    blocks = ((0x3400, 0x4DC0), (0x4E00, 0x9FFD), (0xAC00, 0xD7A4), (0x20000, 0x2F800), (0x2FA20, POINTS))
    edges = [0, *(edge for block in blocks for edge in block), POINTS]
    return tuple(point for first, last in zip(edges[::2], edges[1::2], strict=True) for point in range(first, last))


@cache
def folded_table() -> Array:
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


def unit_scripts(texts: Sequence[str]) -> tuple[Array, Array]:
    """(row, script number) of every unit of the texts that begins with a letter."""
    points = np.frombuffer("\0".join(["", *texts]).encode("utf-32-le", "surrogatepass"), dtype="<u4")
    numbers = script_table().take(points, mode="clip")
    begins = np.flatnonzero(_begins(class_table().take(points, mode="clip")) & (numbers > 0))
    lengths = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
    return np.searchsorted(np.cumsum(lengths + 1), begins, side="left"), numbers[begins]


def shingles(text: str, k: int = 5) -> Array:
    """Distinct hashes of the text's shingles: uint64, ascending, 52 bits used."""
    return shingle([text], k).values


def shingle(texts: Sequence[str], k: int = 5) -> Shingles:
    """The shingles of many texts at once. A row depends on its own text only, not on its neighbours or on chunks."""
    from sapwood.text.near import shingling

    parts = list(shingling.windows(texts, k))
    values = _joined([part.values for part in parts], np.uint64)
    windows = _joined([part.windows for part in parts], np.int64)
    values, sizes = shingling.distinct(values, windows)
    return Shingles(
        keys=[key if key.strip(b"\0") else b"" for part in parts for key in map(bytes, part.keys)],
        units=_joined([part.units for part in parts], np.int64),
        windows=windows,
        offsets=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        values=values,
    )


def chunks(texts: Sequence[str], most: int = CHUNK_CHARACTERS) -> Iterator[tuple[int, int]]:
    """(start, end) of consecutive rows that fit one chunk of rows and `most` characters."""
    start, characters = 0, 0
    for row, text in enumerate(texts):
        if row > start and (row - start >= CHUNK_ROWS or characters + len(text) > most):
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


def _joined(parts: list[Array], kind: Any) -> Array:
    return np.concatenate(parts) if parts else np.zeros(0, dtype=kind)
