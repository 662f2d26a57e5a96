"""Hashes of every run of k units of many texts: the inner loop of near-duplicates, of splits and of decontamination.

What is hashed is defined in `units`: words of spaced scripts, characters of unspaced ones, from the normal form (NFKC, case folded,
letters and digits only). A word of ASCII is taken as 8-byte loads at its start, a character by its code point, any other word as a
polynomial of its code points; a shingle is a polynomial of its units, modulo 2^64, mixed. A text's hashes depend on that text only.

Where the time goes: the loop before this one took 110 ns a character of English and 176 of Chinese; most of it was 8-byte temporaries
for every character. Here a character costs one byte (ASCII) or four, and only units, a sixth of the characters in English, are 8 bytes
wide. Chunks are small enough for the second-level cache: 9 to 14 ns a character of ASCII and 30 of Chinese, measured on a loaded machine.

Memory: about 40 bytes a character of a chunk, that is of CHUNK_CHARACTERS or of the longest text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import xxhash

from sapwood.text import units

Array = np.ndarray[Any, Any]

UNIT = 1 << 31
"""Set in a folded code point that is a unit by itself."""
CHUNK_CHARACTERS = 1 << 17
LOAD = 8
SPARE_BITS = np.uint64(64) - units.HASH_BITS
PAD = "\0" * LOAD
PRIME = 0x9E3779B97F4A7C15
MASKS = np.array([(1 << (8 * length)) - 1 for length in range(LOAD + 1)], dtype=np.uint64)


class Windows(NamedTuple):
    """Every shingle of n texts in order, repeats included: row i has the next `windows[i]` of `values` (uint64, 52 bits used).

    `keys`: uint64[n, 2], equal when the units are; zero for a text of white space. `units`: int64[n].
    """

    keys: Array
    units: Array
    windows: Array
    values: Array


def windows(texts: Sequence[str], k: int = 5) -> Iterator[Windows]:
    """The shingles of the texts, a chunk of rows at a time."""
    for start, end in units.chunks(texts, CHUNK_CHARACTERS):
        yield _chunk(texts[start:end], k)


def distinct(values: Array, lengths: Array) -> tuple[Array, Array]:
    """(the distinct hashes of each row, ascending; how many each row has). Row i brings the next `lengths[i]` of `values`, sorted in place."""
    ends = np.cumsum(lengths)
    for start, end in zip((ends - lengths).tolist(), ends.tolist(), strict=True):
        values[start:end].sort()  # row by row in the first-level cache
    new = np.ones(len(values), dtype=bool)
    new[1:] = values[1:] != values[:-1]
    new[(ends - lengths)[lengths > 0]] = True
    kept = values[new]
    before = np.concatenate([[0], np.cumsum(new)])
    return kept, before[ends] - before[ends - lengths]


def hashes(texts: Sequence[str]) -> tuple[Array, Array]:
    """(uint64 hash of every unit of the texts, row by row; int64[n] units a row)."""
    parts = [_row_hashes(texts[start:end]) for start, end in units.chunks(texts, CHUNK_CHARACTERS)]
    found = [np.concatenate([np.zeros(0, dtype=np.uint64), *part]) for part in parts]
    counts = np.fromiter((len(row) for part in parts for row in part), dtype=np.int64, count=len(texts))
    return np.concatenate([np.zeros(0, dtype=np.uint64), *found]), counts


def _chunk(texts: Sequence[str], k: int) -> Windows:
    ascii_rows = [row for row, text in enumerate(texts) if text.isascii()]
    found: list[Array] = [np.zeros(0, dtype=np.uint64)] * len(texts)
    keys: list[bytes] = [b""] * len(texts)
    counts = np.zeros(len(texts), dtype=np.int64)
    for rows, hasher in ((ascii_rows, _narrow), (_others(ascii_rows, len(texts)), _wide)):
        if not rows:
            continue
        hashed, ends = hasher([texts[row] for row in rows])
        rolled = _mixed(_rolled(hashed, k)) >> SPARE_BITS if len(hashed) >= k else np.zeros(0, dtype=np.uint64)
        view = hashed.data.cast("B")
        start = 0
        for row, end in zip(rows, ends.tolist(), strict=True):
            found[row] = rolled[start : max(start, end - k + 1)]
            keys[row] = xxhash.xxh3_128_digest(view[8 * start : 8 * end]) if end > start else _symbol_key(texts[row])
            counts[row] = end - start
            start = end
    return Windows(
        np.frombuffer(b"".join(keys), dtype="<u8").reshape(-1, 2),
        counts,
        np.maximum(counts - k + 1, 0),
        np.concatenate([np.zeros(0, dtype=np.uint64), *found]),
    )


def _row_hashes(texts: Sequence[str]) -> list[Array]:
    """The unit hashes of each text of one chunk."""
    ascii_rows = [row for row, text in enumerate(texts) if text.isascii()]
    found: list[Array] = [np.zeros(0, dtype=np.uint64)] * len(texts)
    for rows, hasher in ((ascii_rows, _narrow), (_others(ascii_rows, len(texts)), _wide)):
        if rows:
            hashed, ends = hasher([texts[row] for row in rows])
            for row, start, end in zip(rows, [0, *ends.tolist()], ends.tolist(), strict=False):
                found[row] = hashed[start:end]
    return found


def _others(rows: list[int], count: int) -> list[int]:
    return sorted(set(range(count)).difference(rows)) if len(rows) < count else []


def _narrow(texts: list[str]) -> tuple[Array, Array]:
    """(hash of every unit, the end of each text's units) of texts that are ASCII. One byte a character."""
    letters = np.frombuffer("\0".join(["", *texts, PAD]).encode().translate(_ascii_fold()), dtype=np.uint8)
    starts, ends = _runs(letters != 0)
    return _mixed(_words(letters, starts, ends)), _row_ends(texts, starts)


def _wide(texts: list[str]) -> tuple[Array, Array]:
    """As `_narrow`, for any texts. Four bytes a character."""
    texts, folded = _folded(texts)
    single = folded >= UNIT
    word = (folded != 0) ^ single
    starts, ends = _runs(word)
    values = _words(folded.astype(np.uint8), starts, ends)
    foreign = np.flatnonzero((folded > 127) & word)
    if len(foreign):
        which = np.searchsorted(starts, foreign, "right") - 1
        which = which[np.concatenate([[True], which[1:] != which[:-1]])]
        values[which] = _polynomials(folded, starts[which], ends[which])
    if single.any():
        begins = single.copy()
        begins[starts] = True
        every = np.flatnonzero(begins)
        merged = folded[every].astype(np.uint64)
        merged[~single[every]] = values
        starts, values = every, merged
    return _mixed(values), _row_ends(texts, starts)


def _folded(texts: list[str]) -> tuple[list[str], Array]:
    """(the texts, uint32 code points of the normal forms with zeros for what is no letter, before, between and after the texts).

    By table; a row with a character that takes the whole text to fold goes through `normal_form` first."""
    folded = _fold(False).take(_points(texts), mode="clip")
    if len(folded) and folded.max() == units.HARD:
        rows = np.cumsum([1, *(len(text) + 1 for text in texts)])
        hard = set((np.searchsorted(rows, np.flatnonzero(folded == units.HARD), "right") - 1).tolist())
        texts = [units.normal_form(text) if row in hard else text for row, text in enumerate(texts)]
        folded = _fold(True).take(_points(texts), mode="clip")
    return texts, folded


def _points(texts: list[str]) -> Array:
    """Code points with a zero before and between the texts and LOAD after."""
    return np.frombuffer("\0".join(["", *texts, PAD]).encode("utf-32-le", "surrogatepass"), dtype="<u4")


def _row_ends(texts: list[str], starts: Array) -> Array:
    """The number of units that begin before each text's end."""
    lengths = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
    ends: Array = np.searchsorted(starts, np.cumsum(lengths + 1))
    return ends


def _runs(inside: Array) -> tuple[Array, Array]:
    """(start, end) of every run of True. The first and last entries are False."""
    edges = np.flatnonzero(inside[1:] != inside[:-1])
    edges += 1
    return edges[0::2], edges[1::2]


def _words(letters: Array, starts: Array, ends: Array) -> Array:
    """uint64 of each word of ASCII letters: itself up to 8 bytes, past that the loads mixed in order. Nothing reads past the pad."""
    loads: Array = np.ndarray((len(letters) - LOAD + 1,), "<u8", letters.data, strides=(1,))
    lengths = ends - starts
    values = loads[starts]
    values &= MASKS.take(lengths, mode="clip")
    longer = np.flatnonzero(lengths > LOAD)
    for done in range(LOAD, int(lengths.max(initial=0)), LOAD):
        longer = longer[lengths[longer] > done]
        more = loads[starts[longer] + done]
        more &= MASKS.take(lengths[longer] - done, mode="clip")
        values[longer] = _mixed(values[longer]) * np.uint64(PRIME) + more
    return values


def _polynomials(folded: Array, starts: Array, ends: Array) -> Array:
    """uint64 of each word with other letters: a polynomial of its mixed code points."""
    lengths = ends - starts
    firsts = np.cumsum(lengths) - lengths
    within = np.arange(int(lengths.sum())) - np.repeat(firsts, lengths)
    letters = _mixed(folded[np.repeat(starts, lengths) + within].astype(np.uint64))
    powers = np.full(int(lengths.max()), PRIME, dtype=np.uint64)
    powers[0] = 1
    total: Array = np.add.reduceat(letters * np.cumprod(powers, dtype=np.uint64)[within], firsts)
    return total


def _rolled(values: Array, k: int) -> Array:
    """uint64[n - k + 1]: the polynomial of each k values in a row, by doubling: 3 products a value for k = 5."""
    if k == 1:
        return values
    half = _rolled(values, k // 2)
    rolled = half[: -(k // 2)] * np.uint64(pow(PRIME, k // 2, 1 << 64))
    rolled += half[k // 2 :]
    if k % 2:
        rolled = rolled[:-1] * np.uint64(PRIME)
        rolled += values[k - 1 :]
    return rolled


def _mixed(values: Array) -> Array:
    """A bijection that is not linear: one round of xor-shift, multiply, xor-shift. Two rounds cost 0.7 ns a unit more and changed no pair."""
    mixed: Array = values >> np.uint64(32)
    mixed ^= values
    mixed *= np.uint64(0xD6E8FEB86659FD93)
    mixed ^= mixed >> np.uint64(29)
    return mixed


def _symbol_key(text: str) -> bytes:
    """A text without letters or digits is known by its symbols; one of white space only by nothing."""
    bare = "".join(text.split())
    return xxhash.xxh3_128_digest(bare.encode("utf-8", "surrogatepass"), seed=1) if bare else bytes(16)


@cache
def _ascii_fold() -> bytes:
    """For `bytes.translate`: lower-case letters and digits, else zero."""
    return bytes(int(point) if point < 128 else 0 for point in _fold(False)[:256])


@cache
def _fold(final: bool) -> Array:
    """uint32[POINTS]: the folded code point, with UNIT set where it is a unit by itself; 0 for what is no letter; HARD where it takes
    the whole text, unless the text has been through `normal_form` and this is `final`."""
    table = units.folded_table().copy()
    if final:
        table = np.where(table == units.HARD, np.arange(len(table), dtype=np.uint32), table)
    table[-1] = 0  # where all code points above the tables are clipped to: tags, selectors, private use
    easy = np.flatnonzero(table != units.HARD)
    table[easy] |= np.where(units.class_table()[table[easy]] == units.CHARACTER, np.uint32(UNIT), np.uint32(0))
    return table
