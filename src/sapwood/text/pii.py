"""Personal data by pattern and checksum: e-mail, phone, Chinese ID number, bank card. Names of types follow Presidio.

Look-arounds are ASCII, so that a number is found right next to Chinese text; full-width digits count as digits. An ID number must
pass GB 11643 and hold a real date, a card must pass Luhn and begin as a card does: order numbers mostly do not.

It does not find names, addresses, landlines, national numbers outside mainland China without `+`, or anything written in words
("one three eight ..."); it is a mask against accidents, not a proof of anonymity.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import date
from typing import NamedTuple

EMAIL, PHONE, ID_NUMBER, CARD = "EMAIL_ADDRESS", "PHONE_NUMBER", "CN_ID_NUMBER", "CREDIT_CARD"
TYPES = (EMAIL, PHONE, ID_NUMBER, CARD)


class Finding(NamedTuple):
    """`text[start:end]` is of `entity_type`; `score` in (0, 1] says how sure the pattern is."""

    entity_type: str
    start: int
    end: int
    score: float


FULL_WIDTH = re.compile("[\uff0b\uff0d\uff0e\uff10-\uff19\uff20-\uff3a\uff3f\uff41-\uff5a\u2010-\u2015]")
NARROW: Mapping[int, int] = {
    **{point: point - 0xFEE0 for point in range(0xFF0B, 0xFF5B) if FULL_WIDTH.match(chr(point))},
    **dict.fromkeys(range(0x2010, 0x2016), ord("-")),
}
"""One character to one character, so that offsets stay right."""

WORTH_A_LOOK = re.compile(r"@|[0-9](?:[ -]?[0-9]){6}")

PATTERN = re.compile(
    r"""
    (?P<EMAIL_ADDRESS>(?<![A-Za-z0-9._%+-])[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}@(?:[A-Za-z0-9-]{1,63}\.){1,6}[A-Za-z]{2,24}(?![A-Za-z0-9-]))
  | (?P<CN_ID_NUMBER>(?<![A-Za-z0-9])[1-9][0-9]{5}(?:18|19|20)[0-9]{2}[01][0-9][0-3][0-9][0-9]{3}[0-9Xx](?![A-Za-z0-9]))
  | (?P<CN_MOBILE>(?<![A-Za-z0-9.])(?:(?:\+|00)86[ -]?|86[ -])?1[3-9][0-9](?:[ -]?[0-9]{4}){2}(?![0-9A-Za-z]|[.-][0-9]))
  | (?P<CREDIT_CARD>(?<![A-Za-z0-9.-])[2-6][0-9]{3}
        (?:(?:[ -][0-9]{4}){2,3}[ -][0-9]{1,7}|[ -][0-9]{6}[ -][0-9]{5}|[0-9]{9,15})(?![A-Za-z0-9]|[.-][0-9]))
  | (?P<ABROAD>(?<![A-Za-z0-9+])\+[1-9][0-9]{0,2}(?:[ ()-]{0,2}[0-9]{1,4}){2,6}(?![0-9A-Za-z]))
    """,
    re.VERBOSE,
)
"""One pass; at one place the first alternative that fits wins, then its check decides. Bounded repeats: linear time."""

WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)


def find(text: str) -> list[Finding]:
    """Findings in the order of the text, none inside another."""
    if not text.isascii() and FULL_WIDTH.search(text):
        text = text.translate(NARROW)
    if not WORTH_A_LOOK.search(text):
        return []
    found, place = [], 0
    while match := PATTERN.search(text, place):
        kind = match.lastgroup or ""
        name, score, holds = CHECKS[kind]
        if holds(match.group()):
            found.append(Finding(name, match.start(), match.end(), score))
            place = match.end()
        else:  # another alternative may fit a little further on, as a mobile number behind a wrong card
            place = match.start() + 1
    return found


def mask(text: str) -> tuple[str, dict[str, int]]:
    """The text with each finding replaced by its type, as `<EMAIL_ADDRESS>`, and how many of each type. Idempotent."""
    found = find(text)
    if not found:
        return text, {}
    pieces, place = [], 0
    for finding in found:
        pieces += [text[place : finding.start], f"<{finding.entity_type}>"]
        place = finding.end
    counts = Counter(finding.entity_type for finding in found)
    return "".join([*pieces, text[place:]]), dict(sorted(counts.items()))


def is_id_number(number: str) -> bool:
    """GB 11643-1999: 17 digits with a birth date, and a check character (ISO 7064 MOD 11-2)."""
    try:
        born = date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    except ValueError:
        return False
    rest = sum(weight * int(digit) for weight, digit in zip(WEIGHTS, number, strict=False)) % 11
    return born.year >= 1850 and number[17].upper() == "10X98765432"[rest]


def is_card(number: str) -> bool:
    """ISO/IEC 7812: 14 to 19 digits that pass Luhn and are not all the same."""
    digits = [int(digit) for digit in number if digit.isdigit()]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return 14 <= len(digits) <= 19 and len(set(digits)) > 1 and (sum(doubled) + sum(digits[-1::-2])) % 10 == 0


def _is_phone_abroad(number: str) -> bool:
    """A number that its country's plan holds."""
    import phonenumbers

    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(number))
    except phonenumbers.NumberParseException:
        return False


def _any(_: str) -> bool:
    return True


CHECKS: Mapping[str, tuple[str, float, Callable[[str], bool]]] = {
    "EMAIL_ADDRESS": (EMAIL, 1.0, _any),
    "CN_ID_NUMBER": (ID_NUMBER, 1.0, is_id_number),
    "CN_MOBILE": (PHONE, 0.9, _any),
    "CREDIT_CARD": (CARD, 0.9, is_card),
    "ABROAD": (PHONE, 0.9, _is_phone_abroad),
}
