"""What is measured of a text, once, so that rules can be judged over it again and again: one float64 each, by name.

All of it comes from three passes over the texts of a chunk together: a histogram of kinds of code points by line, the hashes of their
units (words or characters, from `shingling`), and the set of their lines. A text's numbers depend on that text only.
Shares lie in 0 to 1. Repetition is measured from 20 shingles on; what is shorter has 0.

It does not measure fluency, truth, toxicity or usefulness; `code` is told by punctuation and goes wrong on tables of symbols.
Sources: the measures of Gopher (Rae et al. 2021, table A1), C4 (Raffel et al. 2020) and FineWeb (Penedo et al. 2024), over units that
hold for Chinese.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from sapwood.text import units
from sapwood.text.near import shingling
from sapwood.text.quality import spacing, terms

SHINGLE = 5
JUDGED_WINDOWS = 20
"""Fewer shingles than this say nothing about repetition."""
CHUNK = 1 << 18  # characters at once: the arrays stay in the processor's cache
CODE_SHARE = 0.1
"""A line of code has such a share of brackets and operators, ends with `{`, `}` or `;`, or is indented and ends as statements do. With half
of the lines of a text so, this finds 88 % of Python files and all C headers tried, and takes 0 to 4 % of manuals for code."""

DESCRIBED = {
    "characters": "code points",
    "units": "words of spaced scripts, characters of unspaced ones",
    "lines": "lines that are not empty",
    "mean_line": "characters a line",
    "mean_unit": "letters and digits a unit",
    "symbols": "share of punctuation, symbols and emoji in what is visible",
    "digits": "share of digits in what is visible",
    "capitals": "share of capitals among Latin letters",
    "repeated_shingles": "share of runs of 5 units that were there before",
    "repeated_lines": "share of characters in lines that were there before",
    "repeated_paragraphs": "share of characters in paragraphs that were there before",
    "bullets": "share of lines that begin with a bullet or dash",
    "ellipses": "share of lines that end with an ellipsis",
    "ended": "share of lines that end with a full stop, question or exclamation mark",
    "code": "share of lines that look like program code",
    "han": "share of Han characters among letters",
    "kana": "share of kana among letters",
    "hangul": "share of Hangul among letters",
    "latin": "share of Latin letters among letters",
    "cyrillic": "share of Cyrillic letters among letters",
    "arabic": "share of Arabic letters among letters",
    "other_letters": "share of letters of all other scripts",
    "language_share": "share of units in the scripts of the text's language, in its first 1,000 characters",
    "language_score": "probability of the language",
    **{f"stop_words_{language}": f"share of units that are common function words ({language})" for language in terms.STOP_WORDS},
    **{f"mentions_{group}": f"terms that name the group {group}, a text" for group in terms.IDENTITY},
}
NAMES = tuple(DESCRIBED)
"""Every statistic, in the order of the stored columns. Hits of word lists come after them, by the lists' names."""

(SPACE, NEWLINE, SYMBOL, STOP, CODE, BULLET, DIGIT, CAPITAL, LATIN, HAN, KANA, HANGUL, CYRILLIC, ARABIC, LETTER, CHARACTER) = range(16)
LETTERS = range(CAPITAL, CHARACTER + 1)
STOPS, BULLETS, OPERATORS = '.?!。？！．…”"’」』', "•‣●○·◦▪–—*-－・", "(){}[]<>=;_#&|$@~^\\/+"
ELLIPSIS, DOT = 0x2026, 0x2E


class Measured(NamedTuple):
    """`values[i]` belongs to `names[i]`: float64[n] for n texts. `units`: (hashes, row) for those who look for more terms."""

    names: tuple[str, ...]
    values: Any


def measure(texts: Sequence[str], lists: terms.Terms | None = None) -> dict[str, Any]:
    """float64[n] by name: all of `NAMES` but the two about language (see `with_language`), and hits of each list per 1,000 units."""
    parts = [_measured(texts[start:end], lists) for start, end in units.chunks(texts, CHUNK)]
    names = parts[0] if parts else _measured([""], lists)
    return {name: np.concatenate([part[name] for part in parts]) if parts else np.zeros(0) for name in names}


def _measured(texts: Sequence[str], lists: terms.Terms | None) -> dict[str, Any]:
    hashes, each = shingling.hashes(texts)
    rows, counts = np.repeat(np.arange(len(texts)), each), each.astype(np.float64)
    found = {"characters": np.fromiter(map(len, texts), dtype=np.float64, count=len(texts)), "units": counts}
    found |= _of_code_points(texts, counts)
    found["repeated_shingles"] = _repeated_shingles(hashes, rows, len(texts))
    found["repeated_lines"], found["repeated_paragraphs"] = _repeated_lines(texts, found["lines"])
    each = np.maximum(counts, 1)
    for name, hits in zip(terms.built_in().groups, terms.count(terms.built_in(), hashes, rows, len(texts)).T, strict=True):
        found[name] = hits / each if name.startswith("stop_words") else hits
    if lists is not None:
        hits = terms.count(lists, hashes, rows, len(texts))
        found |= {name: 1000 * hits[:, place] / each for place, name in enumerate(lists.groups)}
    return found


def _of_code_points(texts: Sequence[str], counts: Any) -> dict[str, Any]:
    """What is told by kinds of code points, in each line and then in each text."""
    points = spacing.points_of(texts, "\n")
    kinds = _kinds().take(points, mode="clip")
    breaks = np.flatnonzero(points == 0x0A)
    starts, ends = breaks[:-1] + 1, breaks[1:]
    numbers = np.repeat(np.arange(0, 16 * len(starts), 16, dtype=np.int64), np.diff(breaks))
    numbers += kinds[1:]
    lines = np.bincount(numbers, minlength=16 * len(starts)).reshape(-1, 16)
    lines[:, NEWLINE] = 0
    lengths = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
    first_line = np.searchsorted(starts, np.cumsum(lengths + 1) - lengths)
    totals = np.add.reduceat(lines, first_line, axis=0).astype(np.float64)
    visible_in_line = lines[:, SYMBOL:].sum(axis=1)
    alive = visible_in_line > 0

    def share_of_lines(mask: Any) -> Any:
        return np.add.reduceat((mask & alive).astype(np.float64), first_line) / np.maximum(count, 1)

    count = np.add.reduceat(alive.astype(np.float64), first_line)
    visible, letters = totals[:, SYMBOL:].sum(axis=1), totals[:, CAPITAL:].sum(axis=1)
    marks, latin = totals[:, SYMBOL:DIGIT].sum(axis=1), totals[:, CAPITAL] + totals[:, LATIN]
    first, last = _edges(kinds, starts, ends, alive)
    dots = (points[last] == ELLIPSIS) | ((points[last] == DOT) & (points[last - 1] == DOT) & (points[np.maximum(last - 2, 0)] == DOT))
    indented = kinds[starts] == SPACE
    code = (lines[:, CODE] >= CODE_SHARE * visible_in_line) | _is_one_of(points[last], "{};")
    code |= indented & _is_one_of(points[last], "([,:)=\\")
    scripts = {"han": HAN, "kana": KANA, "hangul": HANGUL, "cyrillic": CYRILLIC, "arabic": ARABIC}
    return {
        "lines": count,
        "mean_line": np.where(count > 0, np.add.reduceat((ends - starts) * alive, first_line) / np.maximum(count, 1), 0.0),
        "mean_unit": (letters + totals[:, DIGIT]) / np.maximum(counts, 1),
        "symbols": marks / np.maximum(visible, 1),
        "digits": totals[:, DIGIT] / np.maximum(visible, 1),
        "capitals": totals[:, CAPITAL] / np.maximum(latin, 1),
        "bullets": share_of_lines(kinds[first] == BULLET),
        "ellipses": share_of_lines(dots),
        "ended": share_of_lines(kinds[last] == STOP),
        "code": share_of_lines(code),
        **{name: totals[:, kind] / np.maximum(letters, 1) for name, kind in scripts.items()},
        "latin": latin / np.maximum(letters, 1),
        "other_letters": (totals[:, LETTER] + totals[:, CHARACTER]) / np.maximum(letters, 1),
    }


def _is_one_of(points: Any, letters: str) -> Any:
    return np.isin(points, [ord(letter) for letter in letters])


def _edges(kinds: Any, starts: Any, ends: Any, alive: Any) -> tuple[Any, Any]:
    """Positions of the first and the last visible code point of each line; of a line without any, its edges."""
    first, last = starts.copy(), np.maximum(ends - 1, 0)
    for edge, step in ((first, 1), (last, -1)):
        moving = np.flatnonzero(alive & (kinds[edge] == SPACE))
        while len(moving):
            edge[moving] += step
            moving = moving[kinds[edge[moving]] == SPACE]
    return first, last


def _repeated_shingles(hashes: Any, rows: Any, texts: int) -> Any:
    """1 - distinct / all runs of 5 units. Hashes keep 64 bits less those of the row, so that one sort does all rows."""
    count = len(hashes) - SHINGLE + 1
    if count < 1:
        return np.zeros(texts)
    mixed = hashes[:count].copy()
    for step in range(1, SHINGLE):
        mixed *= terms.PRIME
        mixed += hashes[step : step + count]
    mixed ^= mixed >> np.uint64(29)
    inside = rows[:count] == rows[SHINGLE - 1 :]
    bits = max(1, int(texts - 1).bit_length())
    tagged = ((rows[:count].astype(np.uint64) << np.uint64(64 - bits)) | ((mixed * terms.PRIME) >> np.uint64(bits)))[inside]
    tagged.sort()
    windows = np.bincount(rows[:count][inside], minlength=texts)
    again = tagged[1:][tagged[1:] == tagged[:-1]] >> np.uint64(64 - bits)
    repeats = np.bincount(again.astype(np.int64), minlength=texts)
    return np.where(windows >= JUDGED_WINDOWS, repeats / np.maximum(windows, 1), 0.0)


def _repeated_lines(texts: Sequence[str], lines: Any) -> tuple[Any, Any]:
    of_lines, of_paragraphs = np.zeros(len(texts)), np.zeros(len(texts))
    for row in np.flatnonzero(lines > 1).tolist():
        of_lines[row] = _repeated(texts[row].split("\n"))
        if "\n\n" in texts[row]:
            of_paragraphs[row] = _repeated(texts[row].split("\n\n"))
    return of_lines, of_paragraphs


def _repeated(pieces: list[str]) -> float:
    distinct = set(pieces)
    if len(distinct) == len(pieces):
        return 0.0
    total = sum(map(len, pieces))
    return 1 - sum(map(len, distinct)) / total if total else 0.0


@cache
def _kinds() -> Any:
    """uint8[units.POINTS]: one of 16 kinds for each code point. The last entry stands for what lies above."""
    classes, scripts = units.class_table(), units.script_table()
    table = np.array([SPACE, SYMBOL, LETTER, CHARACTER], dtype=np.uint8)[classes]
    kinds = {"han": HAN, "kana": KANA, "hangul": HANGUL, "cyrillic": CYRILLIC, "arabic": ARABIC, "latin": LATIN}
    for name, kind in kinds.items():
        table[(scripts == units.NAMES.index(name)) & (classes >= units.WORD)] = kind
    for first, last in units.SCRIPTS["latin"]:
        table[[point for point in range(first, last + 1) if chr(point).isupper()]] = CAPITAL
    spread = [point for point in range(0x11000) if unicodedata.category(chr(point)) == "Nd"]
    table[spread] = DIGIT
    for kind, members in ((CODE, OPERATORS), (STOP, STOPS), (BULLET, BULLETS)):
        table[[ord(member) for member in members]] = kind
    table[0x0A] = NEWLINE
    return table
