"""Which language a text is in: the script decides where it can, then English function words, then py3langid's model.

Han without kana is `zh`, kana is `ja`, Hangul `ko`, Thai `th` and so on: no classifier is asked, so a two-character Chinese line is
right. Text of which every sixth word is one of the commonest English ones is `en`. All other text goes to the model (first 1,000
characters; .82 right at 20 characters, .96 at 200). Texts whose winner has too little evidence are `und`.

`variety` names what one code does not say: `zh-Hant` and `zh-Hans` by the characters that only one of the two scripts has (what GB 2312
lacks of Big5, and the reverse; of 1,033 Linux manual pages in both, none was taken for the other), `mixed` where another script has a
quarter of the units.

It does not tell Mandarin from Cantonese, Taiwan from Hong Kong, or Chinese from Japanese written without kana; it gives one language
for a mixed text, with the share of it; program code is mostly called `en` here (`statistics` knows the share of code lines).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from sapwood.text import langid, units

LOOK = 1000  # characters; past that py3langid is right on all of the 33 languages tried
HAN, KANA, LATIN = (units.NAMES.index(name) for name in ("han", "kana", "latin"))
OF_SCRIPT = {"bopomofo": "zh", "thai": "th", "lao": "lo", "burmese": "my", "khmer": "km", "hangul": "ko", "greek": "el", "hebrew": "he"}
BY_SCRIPT = {units.NAMES.index(script): code for script, code in OF_SCRIPT.items()}
UNSPACED = re.compile("[" + "".join(f"{chr(a)}-{chr(b)}" for name in units.UNSPACED for a, b in units.SCRIPTS[name]) + "]+")
KANA_SHARE = 0.05  # of Han and kana: Chinese text with the odd の stays Chinese
CONFIDENCE = 0.25  # of py3langid's calibrated probability
FEW_UNITS = 3  # words; in less Latin text than this only a clear winner counts
CLEAR = 0.5
MIXED = 0.25  # of the units, in other scripts
UNKNOWN = "und"
NO_LANGUAGE = {"zxx", "mul", ""}
ENGLISH = frozenset(
    [
        "the",
        "of",
        "and",
        "to",
        "is",
        "that",
        "for",
        "with",
        "this",
        "be",
        "are",
        "by",
        "from",
        "which",
        "it",
        "was",
        "not",
        "have",
        "has",
        "can",
        "will",
        "you",
    ]
)
ENGLISH_SHARE, ENGLISH_WORDS = 1 / 6, 12
"""Share of these among at least so many words. It settles 86 % of English pages at a tenth of the model's cost; of 2,117 pages that it
called English, the model called 2,117 English."""
SIMPLIFIED, TRADITIONAL = 1, 2


class Language(NamedTuple):
    """`code` is ISO 639-1 or `und`; `share` the part of the units (words, characters) in that language's scripts; `score` the
    probability that py3langid's model gives, 1 where script or function words decide; `variety` is "" where there is nothing to add."""

    code: str
    share: float
    score: float = 1.0
    variety: str = ""


def identify(text: str) -> Language:
    return identify_all([text])[0]


def identify_all(texts: Sequence[str]) -> list[Language]:
    """Each text by itself; batching changes the speed only (some 30,000 Chinese or 10,000 English documents a CPU second)."""
    return [found for start, end in units.chunks(texts) for found in _identified([text[:LOOK] for text in texts[start:end]])]


def script_counts(texts: Sequence[str]) -> Any:
    """int64[n, len(units.NAMES)]: units (words or characters) by script in each text. Numbers are counted nowhere."""
    width = len(units.NAMES)
    rows, numbers = units.unit_scripts(texts)
    return np.bincount(rows * width + numbers, minlength=len(texts) * width).reshape(len(texts), width)


def variant_counts(texts: Sequence[str]) -> tuple[Any, Any]:
    """int64[n] twice: characters that only simplified, and that only traditional Chinese has."""
    points = np.frombuffer("\0".join(texts).encode("utf-32-le", "surrogatepass"), dtype="<u4")
    variants = _variants().take(points, mode="clip")
    lengths = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
    ends = np.cumsum(lengths + 1)
    simplified, traditional = (
        np.bincount(np.searchsorted(ends, np.flatnonzero(variants == kind), side="right"), minlength=len(texts))
        for kind in (SIMPLIFIED, TRADITIONAL)
    )
    return simplified, traditional


def _identified(heads: Sequence[str]) -> list[Language]:
    counts = script_counts(heads)
    totals, kana = counts.sum(axis=1), counts[:, KANA].copy()
    counts[:, HAN] += kana
    counts[:, KANA] = 0
    scripts = counts.argmax(axis=1)
    most = counts[np.arange(len(heads)), scripts]
    shares = np.round(most / np.maximum(totals, 1), 4)
    japanese = kana > KANA_SHARE * counts[:, HAN]
    found: list[Language | None] = [
        _by_rule(head, script, int(count), ja, share)
        for head, script, count, ja, share in zip(heads, scripts.tolist(), most, japanese.tolist(), shares.tolist(), strict=True)
    ]
    asked = [row for row, known in enumerate(found) if known is None]
    for row, (code, confidence) in zip(asked, langid.classify_all([_spaced(heads[row]) for row in asked]), strict=True):
        sure = confidence >= (CLEAR if most[row] < FEW_UNITS else CONFIDENCE) and code not in NO_LANGUAGE
        found[row] = Language(code if sure else UNKNOWN, float(shares[row]), confidence)
    return _with_varieties(heads, [known for known in found if known is not None])


def _by_rule(head: str, script: int, count: int, japanese: bool, share: float) -> Language | None:
    """None where the model must be asked."""
    if not count:
        return Language(UNKNOWN, 0.0, 0.0)
    if script == HAN:
        return Language("ja" if japanese else "zh", share)
    if script in BY_SCRIPT:
        return Language(BY_SCRIPT[script], share)
    if script == LATIN:
        words = head.lower().split()
        if len(words) >= ENGLISH_WORDS and sum(map(ENGLISH.__contains__, words)) >= ENGLISH_SHARE * len(words):
            return Language("en", share)
    return None


def _with_varieties(heads: Sequence[str], found: list[Language]) -> list[Language]:
    chinese = [row for row, known in enumerate(found) if known.code == "zh"]
    simplified, traditional = variant_counts([heads[row] for row in chinese])
    for row, plain, full in zip(chinese, simplified.tolist(), traditional.tolist(), strict=True):
        if plain != full:
            found[row] = found[row]._replace(variety="zh-Hans" if plain > full else "zh-Hant")
    return [known._replace(variety="mixed") if known.code != UNKNOWN and known.share <= 1 - MIXED else known for known in found]


def _spaced(head: str) -> str:
    """Without the characters of unspaced scripts, which say nothing about a language that has spaces."""
    return head if head.isascii() else UNSPACED.sub(" ", head)


@cache
def _variants() -> Any:
    """uint8[units.POINTS] from two standards of one language: a common character that GB 2312 has and Big5 lacks is simplified."""
    table = np.zeros(units.POINTS, dtype=np.uint8)
    for point in range(0x4E00, 0xA000):
        simplified, traditional = (_encodes(chr(point), standard) for standard in ("gb2312", "big5"))
        if simplified != traditional:
            table[point] = SIMPLIFIED if simplified else TRADITIONAL
    return table


def _encodes(letter: str, standard: str) -> bool:
    try:
        letter.encode(standard)
    except UnicodeEncodeError:
        return False
    return True
