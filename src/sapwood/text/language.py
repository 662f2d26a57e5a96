"""Which language a text is in: the script decides where it can, py3langid where it cannot.

Han without kana is `zh`, kana is `ja`, Hangul `ko`, Thai `th` and so on: no classifier is asked, so a two-character Chinese line is
right. All other text goes to py3langid (first 1,000 characters; .82 right at 20 characters, .96 at 200). Texts whose winner has too
little evidence are `und`.

It does not tell Mandarin from Cantonese, simplified from traditional (both `zh`), or Chinese from Japanese written without kana; it
gives one language for a mixed text, with the share of it; program code is mostly called `en`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from sapwood.text import units

LOOK = 1000  # characters; past that py3langid is right on all of the 33 languages tried
HAN, KANA = units.NAMES.index("han"), units.NAMES.index("kana")
OF_SCRIPT = {"bopomofo": "zh", "thai": "th", "lao": "lo", "burmese": "my", "khmer": "km", "hangul": "ko", "greek": "el", "hebrew": "he"}
BY_SCRIPT = {units.NAMES.index(script): code for script, code in OF_SCRIPT.items()}
UNSPACED = re.compile("[" + "".join(f"{chr(a)}-{chr(b)}" for name in units.UNSPACED for a, b in units.SCRIPTS[name]) + "]+")
KANA_SHARE = 0.05  # of Han and kana: Chinese text with the odd の stays Chinese
CONFIDENCE = 0.25  # of py3langid's calibrated probability
FEW_UNITS = 3  # words; in less Latin text than this only a clear winner counts
CLEAR = 0.5
UNKNOWN = "und"
NO_LANGUAGE = {"zxx", "mul"}


class Language(NamedTuple):
    """`code` is ISO 639-1 or `und`; `share` the part of the units (words, characters) in that language's scripts."""

    code: str
    share: float


def identify(text: str) -> Language:
    return identify_all([text])[0]


def identify_all(texts: Sequence[str]) -> list[Language]:
    """Each text by itself; batching changes the speed only (about 25,000 Chinese or 4,000 English documents a CPU second)."""
    heads = [text[:LOOK] for text in texts]
    counts = script_counts(heads)
    totals, kana = counts.sum(axis=1), counts[:, KANA].copy()
    counts[:, HAN] += kana
    counts[:, KANA] = 0
    scripts = counts.argmax(axis=1)
    most = counts[np.arange(len(heads)), scripts]
    shares = np.round(most / np.maximum(totals, 1), 4).tolist()
    japanese = kana > KANA_SHARE * counts[:, HAN]
    rows = zip(heads, scripts.tolist(), most.tolist(), japanese.tolist(), shares, strict=True)
    return [Language(_code(head, script, count, ja), share) for head, script, count, ja, share in rows]


def script_counts(texts: Sequence[str]) -> Any:
    """int64[n, len(units.NAMES)]: units (words or characters) by script in each text. Numbers are counted nowhere."""
    width = len(units.NAMES)
    rows, numbers = units.unit_scripts(texts)
    return np.bincount(rows * width + numbers, minlength=len(texts) * width).reshape(len(texts), width)


def _code(head: str, script: int, count: int, japanese: bool) -> str:
    if not count:
        return UNKNOWN
    if script == HAN:
        return "ja" if japanese else "zh"
    if script in BY_SCRIPT:
        return BY_SCRIPT[script]
    code, confidence = _classifier().classify(UNSPACED.sub(" ", head))
    sure = confidence >= (CLEAR if count < FEW_UNITS else CONFIDENCE)
    return code if sure and code not in NO_LANGUAGE else UNKNOWN


@cache
def _classifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
