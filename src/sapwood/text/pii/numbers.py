"""Numbers that a checksum or an issuer's rule tells: Chinese ID cards, bank cards, IBAN; and passports and number plates.

ID cards: GB 11643-1999 (18 characters: region, birth date, ISO 7064 MOD 11-2), with or without blanks or hyphens between its parts.
The 15-digit form of before 1999 has no check digit, so it needs a word such as 身份证 or ID card before it. Bank cards: ISO/IEC 7812, an
issuer's prefix with its lengths, Luhn. IBAN: ISO 13616, the country's length, ISO 7064 MOD 97-10.
A passport number is a letter and digits like any product code, so it is found behind the word passport or 护照 only.

Not found: other countries' ID numbers, tax and social security numbers, account numbers without IBAN.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date

from sapwood.text.pii.contact import before, numbered
from sapwood.text.pii.finding import CARD, IBAN, ID_NUMBER, PASSPORT, PLATE, Finding

WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
REGIONS = frozenset((11, 12, 13, 14, 15, 21, 22, 23, *range(31, 38), *range(41, 47), *range(50, 55), *range(61, 66), 71, 81, 82, 83))
"""First two digits of GB/T 2260: provinces, Taiwan, Hong Kong, Macao."""

ID18 = re.compile(r"(?<![A-Za-z0-9])[1-8][0-9]{5}([ -]?)(?:18|19|20)[0-9]{6}\1[0-9]{3}[0-9Xx](?![A-Za-z0-9])")
ID15 = re.compile(r"(?<![A-Za-z0-9])[1-8][0-9]{14}(?![A-Za-z0-9])")
SAYS_ID = re.compile(r"(?:身份证|身份證|证件|公民|\bID|\bidentity)[^0-9]{0,18}\Z", re.IGNORECASE)

PREFIXES: tuple[tuple[int, int, tuple[int, ...]], ...] = (
    (2200, 2204, (16, 17, 18, 19)),  # Mir
    (2221, 2720, (16,)),  # Mastercard
    (3000, 3059, (14, 16, 17, 18, 19)),  # Diners Club
    (3400, 3499, (15,)),  # American Express
    (3528, 3589, (16, 17, 18, 19)),  # JCB
    (3600, 3699, (14, 16, 17, 18, 19)),  # Diners Club
    (3700, 3799, (15,)),  # American Express
    (3800, 3999, (14, 16, 17, 18, 19)),  # Diners Club
    (4000, 4999, (16, 19)),  # Visa
    (5100, 5599, (16,)),  # Mastercard
    (6011, 6013, (16, 17, 18, 19)),  # Discover; Bank of China
    (6200, 6299, (16, 17, 18, 19)),  # UnionPay
    (6440, 6599, (16, 17, 18, 19)),  # Discover
    (8100, 8199, (16, 17, 18, 19)),  # UnionPay
    (9558, 9559, (19,)),  # ICBC
)
"""(first four digits from, to, lengths): ISO/IEC 7812 issuers, debit cards of China included. Maestro's other ranges are left out:
any 12 to 19 digits that begin with 5 or 6 would do."""
CARD_SHAPE = re.compile(
    r"(?<![A-Za-z0-9.-])[2-689][0-9]{3}(?:[0-9]{10,15}|([ -])[0-9]{4}\1[0-9]{4}\1[0-9]{4}(?:\1[0-9]{1,3})?"
    r"|([ -])[0-9]{6}\2[0-9]{4,5}|[0-9]{2}[ -][0-9]{10,13})(?![A-Za-z0-9]|[.-][0-9])"
)

IBAN_LENGTHS = {
    code: int(length)
    for length, codes in {
        "15": "NO", "16": "BE", "18": "DK FI FO GL NL", "19": "MK SI", "20": "AT BA EE KZ LT LU XK", "21": "CH HR LI LV",
        "22": "BG BH CR DE GB GE IE ME RS VA", "23": "AE GI IL IQ OM SO TL", "24": "AD CZ ES MD PK RO SA SE SK TN VG LY",
        "25": "PT ST", "26": "IS TR", "27": "FR GR IT MC MR SM BI DJ", "28": "AL AZ BY CY DO GT HU LB NI PL SV",
        "29": "BR EG PS QA UA", "30": "JO KW MU YE", "31": "MT SC", "32": "LC", "33": "RU",
    }.items()
    for code in codes.split()
}  # fmt: skip
"""ISO 13616 registry: characters of an IBAN by country."""
IBAN_START = re.compile(r"[A-Z](?<![A-Za-z0-9].)[A-Z][0-9]{2}(?=[ -]?[A-Z0-9])")
IBAN_BODY = re.compile(r"(?:[ -]?[A-Z0-9]){15,33}")

SAYS_PASSPORT = re.compile(r"(?:护照|護照|passport)[^0-9]{0,14}\Z", re.IGNORECASE)
PASSPORT_SHAPE = re.compile(r"(?<![A-Za-z0-9])(?:[A-Z]{1,2}[0-9]{7,8}|[0-9]{8,9})(?![A-Za-z0-9]|[.-][0-9])")

PLATE_SHAPE = re.compile(
    "[京津沪滬渝冀豫云雲辽遼黑湘皖鲁魯新苏蘇浙赣贛鄂桂甘晋晉蒙陕陝吉闽閩贵貴粤粵川青藏琼瓊宁寧][A-HJ-NP-Z][ ·•・.-]?"
    "(?:[0-9]{5}[A-K]|[A-K][A-HJ-NP-Z0-9][0-9]{4}|[A-HJ-NP-Z0-9]{4}[A-HJ-NP-Z0-9挂掛学學警港澳])(?![A-Za-z0-9])"
)
"""GA 36: a province, a letter, five characters, or six on a new-energy car."""


def is_id_number(number: str) -> bool:
    """18 characters: a province of GB/T 2260, a real date since 1850, and the check character."""
    try:
        born = date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    except ValueError:
        return False
    rest = sum(weight * int(digit) for weight, digit in zip(WEIGHTS, number, strict=False)) % 11
    return int(number[:2]) in REGIONS and born.year >= 1850 and number[17].upper() == "10X98765432"[rest]


def is_old_id_number(number: str) -> bool:
    """15 digits: a province and a date of the 20th century. One random number in 90 passes."""
    try:
        date(1900 + int(number[6:8]), int(number[8:10]), int(number[10:12]))
    except ValueError:
        return False
    return int(number[:2]) in REGIONS


def is_card(number: str) -> bool:
    """An issuer's prefix with one of its lengths, and Luhn. Separators are allowed."""
    digits = [int(digit) for digit in number if digit.isdigit()]
    head = int("".join(map(str, digits[:4])) or 0)
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    issued = any(low <= head <= high and len(digits) in lengths for low, high, lengths in PREFIXES)
    return issued and (sum(doubled) + sum(digits[-1::-2])) % 10 == 0


def is_iban(number: str) -> bool:
    """The country's length and MOD 97-10. `number` without separators, upper case."""
    if IBAN_LENGTHS.get(number[:2]) != len(number):
        return False
    return int("".join(str(int(letter, 36)) for letter in number[4:] + number[:4])) % 97 == 1


def id_numbers(text: str, start: int, end: int) -> Iterator[Finding]:
    """ID numbers that begin in `text[start:end]`."""
    for match in ID18.finditer(text, start, min(len(text), end + 2)):
        if is_id_number(re.sub("[ -]", "", match.group())):
            yield Finding(ID_NUMBER, match.start(), match.end(), 1.0, "GB 11643 checksum")
    for match in ID15.finditer(text, start, min(len(text), end + 2)):
        if is_old_id_number(match.group()) and SAYS_ID.search(before(text, match.start())):
            yield Finding(ID_NUMBER, match.start(), match.end(), 0.8, "15 digits with a date, named so")


def cards(text: str, start: int, end: int) -> Iterator[Finding]:
    """Bank cards that begin in `text[start:end]`."""
    place = start
    while match := CARD_SHAPE.search(text, place, min(len(text), end + 2)):
        holds = is_card(match.group()) and not numbered(text, match.start())
        if holds:
            yield Finding(CARD, match.start(), match.end(), 0.95, "issuer and Luhn checksum")
        place = match.end() if holds else match.start() + 1


def ibans(text: str, start: int, end: int) -> Iterator[Finding]:
    """IBANs that have digits in `text[start:end]`."""
    for match in IBAN_START.finditer(text, max(0, start - 34), end):
        length = IBAN_LENGTHS.get(match.group()[:2], 0)
        body = IBAN_BODY.match(text, match.start())
        if not length or not body:
            continue
        stop = _after(text, match.start(), length)
        spelt = re.sub("[ -]", "", text[match.start() : stop])
        if (stop == len(text) or not text[stop].isascii() or not text[stop].isalnum()) and is_iban(spelt):
            yield Finding(IBAN, match.start(), stop, 1.0, "MOD 97 checksum")


def passports(text: str, start: int, end: int) -> Iterator[Finding]:
    """Passport numbers with digits in `text[start:end]`."""
    for match in PASSPORT_SHAPE.finditer(text, max(0, start - 2), min(len(text), end + 2)):
        if SAYS_PASSPORT.search(before(text, match.start())):
            yield Finding(PASSPORT, match.start(), match.end(), 0.9, "named so")


def plates(text: str) -> Iterator[Finding]:
    """Number plates of mainland China: two digits or more."""
    for match in PLATE_SHAPE.finditer(text):
        if sum(letter.isdigit() for letter in match.group()) >= 2 and not match.group()[-1].islower():
            yield Finding(PLATE, match.start(), match.end(), 0.9, "GA 36 shape")


def _after(text: str, start: int, characters: int) -> int:
    """The place behind that many letters and digits from `start`, blanks and hyphens between them not counted."""
    place = start
    while characters and place < len(text):
        characters -= text[place] not in " -"
        place += 1
    return place
