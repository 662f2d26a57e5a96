"""What a finder says, how a text is read by every finder, and which of two findings that overlap is taken.

`narrowed` maps one character to one character (full-width letters, digits and marks, typographic dashes, no-break spaces), so that
an offset in the narrowed text is the offset in the text. The text that is kept is never changed by it.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from typing import NamedTuple

EMAIL, PHONE, ID_NUMBER, CARD, IBAN = "EMAIL_ADDRESS", "PHONE_NUMBER", "CN_ID_NUMBER", "CREDIT_CARD", "IBAN_CODE"
IP, MAC, PASSPORT, PLATE, ADDRESS = "IP_ADDRESS", "MAC_ADDRESS", "PASSPORT", "LICENSE_PLATE", "POSTAL_ADDRESS"
TYPES = (EMAIL, IBAN, ID_NUMBER, CARD, MAC, IP, PASSPORT, PLATE, PHONE, ADDRESS)
"""Built-in types in the order in which an overlap is decided: what a checksum proves, then what a pattern says. Types of other
finders (PERSON) come after all of them."""


class Finding(NamedTuple):
    """`text[start:end]` is of `entity_type`; `score` in (0, 1] says how sure the finder is and `why` on what ground."""

    entity_type: str
    start: int
    end: int
    score: float
    why: str = ""


WIDE = re.compile("[\uff01-\uff5e\u2010-\u2015\u2212\u00a0\u202f\u3000]+")
WIDE_DATA = re.compile("[\uff10-\uff19\uff20-\uff3a\uff41-\uff5a\u2010-\u2015\u2212\u00a0\u202f]")
"""Full-width marks alone, which most Chinese text has, change nothing that a finder looks for."""
NARROW: Mapping[int, int] = {
    **{point: point - 0xFEE0 for point in range(0xFF01, 0xFF5F)},
    **dict.fromkeys((*range(0x2010, 0x2016), 0x2212), ord("-")),
    **dict.fromkeys((0xA0, 0x202F, 0x3000), ord(" ")),
}

PLACEHOLDER = re.compile(r"<[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*(?:_[0-9a-f]{12})?>")
"""`<EMAIL_ADDRESS>`, or with the 12 hex characters of a stable one."""


def narrowed(text: str) -> str:
    """The text as finders read it, of the same length: wide forms made narrow, placeholders blanked out."""
    if not text.isascii() and WIDE_DATA.search(text):
        text = WIDE.sub(lambda match: match.group().translate(NARROW), text)
    return PLACEHOLDER.sub(lambda match: "\0" * len(match.group()), text) if "<" in text else text


def resolved(found: Iterable[Finding]) -> list[Finding]:
    """Findings in the order of the text, none overlapping another: by `TYPES`, then the longer, then the earlier one wins."""
    ranked = sorted(found, key=lambda one: (_rank(one.entity_type), one.start - one.end, one.start, one.entity_type))
    taken: list[tuple[int, int, Finding]] = []
    for one in ranked:
        place = bisect_left(taken, (one.start,))
        free_before = place == 0 or taken[place - 1][1] <= one.start
        if free_before and (place == len(taken) or one.end <= taken[place][0]):
            taken.insert(place, (one.start, one.end, one))
    return [one for _, _, one in taken]


def _rank(entity_type: str) -> int:
    return TYPES.index(entity_type) if entity_type in TYPES else len(TYPES)
