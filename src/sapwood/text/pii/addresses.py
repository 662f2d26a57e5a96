"""Postal addresses: chains of province, city, district, road and number in Chinese; number, street and suffix, or PO box, in English.

Chinese: a number with 号, 弄, 栋 or 室 behind a road's or an estate's suffix. Read backwards from there to a known place (`places`), or to
the last word that cannot be in an address (在, 到, 于, ...); it counts with a place, an administrative suffix (区, 县, 镇, ...), or a word such as
地址 before it. English: a number, one to four capitalised words and a street's suffix, with unit, city, state and code where they follow.

Not found: addresses of other countries, streets without a number or a suffix (`12 Broadway`), places alone, and a Chinese road and number
alone in running text (长安街1号), which is as often a sight as a home.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from sapwood.text.pii.finding import ADDRESS, Finding
from sapwood.text.pii.places import first_place

NUMERALS = "0123456789〇零一二三四五六七八九十百甲乙丙丁ABCDEFGHabcdefgh-—之附"
ANCHOR = re.compile("[号號弄栋棟幢室](?![线線文令机機])")
HEAD = re.compile(r"[\u4e00-\u9fffA-Za-z0-9· ]+\Z")
STOPS = re.compile("[有还還叫说說在到往从從于於是为為的了我你您他她它们住寄送址至请請把给給来去见将收件位至号號室]| (?=[A-Za-z0-9 ])")
ADMIN = re.compile("[省市县縣区區镇鎮乡鄉旗盟州]|街道|新区")
ROAD = re.compile(
    "(?:路|街|道|巷|弄|胡同|里|段|村|屯|组|組|园|園|苑|小区|社区|社區|公寓|大厦|大廈|广场|廣場|中心|新村|家园|庄|莊|坊|庭|府|城|座|营)[东西南北中東]?[段路]?[ ]?\\Z"
)
NAMED = re.compile(
    "(?:地址|住址|家住|现住|住在|居住|收货|收件|寄到|寄往|寄至|送到|送至|送往|门牌|住所|搬到|在|位于)[^\\u4e00-\\u9fff]{0,3}\\Z"
)
NUMBERED = re.compile("[0-9〇零一二三四五六七八九十百]")
UNIT = "(?:号楼|號樓|号院|栋|棟|幢|座|单元|單元|层|層|楼|樓|室|户|戶|号|號|房|弄)"
TAIL = re.compile(
    f"(?:院|楼|大院)?(?:[ ]?(?:[\\u4e00-\\u9fff]{{2,8}}(?:花园|花園|小区|苑|大厦|大廈|公寓|广场|廣場|家园|新村|中心))?"
    f"[ ]?[0-9A-Za-z一二三四五六七八九十甲乙丙丁东西南北]{{1,5}}{UNIT}(?:之[0-9一二三四五六七八九十]{{1,3}})?|[ ]?[0-9]{{1,4}}-[0-9]{{1,4}}(?:-[0-9]{{1,4}})?(?:{UNIT})?){{0,6}}"
)
LONGEST_HEAD, LONGEST_GAP = 48, 12


def chinese(text: str) -> Iterator[Finding]:
    """Addresses with a number and 号, 弄, 栋 or 室."""
    done = 0
    for anchor in ANCHOR.finditer(text):
        if anchor.start() < done:
            continue
        head = text[max(done, anchor.start() - LONGEST_HEAD) : anchor.start()]
        road = head.rstrip(NUMERALS)
        number = head[len(road) :]
        if not NUMBERED.search(number) or not ROAD.search(road):
            continue
        found = _begin(text, anchor.start() - len(number) - len(road), road)
        if found is not None:
            start, score = found
            tail = TAIL.match(text, anchor.end())
            done = tail.end() if tail else anchor.end()
            yield Finding(ADDRESS, start, done, score, "a chain down to a number")


def _begin(text: str, offset: int, road: str) -> tuple[int, float] | None:
    """(where the address begins, score); None when nothing says that it is one. `road` begins at `offset` of the text."""
    run = HEAD.search(road)
    segment = run.group() if run else ""
    place = first_place(segment)
    stops = [stop.end() for stop in STOPS.finditer(segment)]
    last = stops[-1] if stops else 0
    if place >= 0 and place >= last and _chained(segment[place:]):
        return offset + len(road) - len(segment) + place, 0.9
    rest = segment[last:].lstrip(" ")
    later = first_place(rest)
    rest = rest[later:] if later >= 0 else rest
    start = offset + len(road) - len(rest)
    if not 2 <= len(rest) <= LONGEST_HEAD or not _chained(rest):
        return None
    if later >= 0 or ADMIN.search(rest, 1):
        return start, 0.8
    return (start, 0.6) if NAMED.search(text[max(0, start - 8) : start]) else None


def _chained(segment: str) -> bool:
    """Whether no part between two suffixes is longer than a name of a place."""
    return all(len(part) <= LONGEST_GAP for part in re.split("[省市县縣区區镇鎮乡鄉旗盟州路街道巷弄段村里 ]", segment))


SUFFIXES = [
    "Street",
    "St",
    "Avenue",
    "Ave",
    "Road",
    "Rd",
    "Boulevard",
    "Blvd",
    "Lane",
    "Ln",
    "Drive",
    "Dr",
    "Court",
    "Ct",
    "Place",
    "Pl",
    "Square",
    "Sq",
    "Terrace",
    "Way",
    "Parkway",
    "Pkwy",
    "Highway",
    "Hwy",
    "Close",
    "Crescent",
    "Gardens",
    "Grove",
    "Row",
    "Mews",
    "Walk",
    "Circle",
    "Cir",
    "Trail",
    "Alley",
    "Plaza",
]
STREET = re.compile(
    r"(?<![A-Za-z0-9.,$€£#-])[0-9]{1,5}[A-Za-z]?(?:[-/][0-9]{1,4})?,? (?:(?:N|S|E|W|NE|NW|SE|SW)\.? )?"
    rf"(?:(?:[A-Z][A-Za-z'’-]*|St\.|[0-9]{{1,3}}(?:st|nd|rd|th)) ){{1,4}}?(?:{'|'.join(SUFFIXES)})(?![A-Za-z])\.?(?: (?:N|S|E|W|NE|NW|SE|SW|North|South|East|West)(?![A-Za-z]))?"
    r"(?:,? (?:Apt|Apartment|Suite|Ste|Unit|Flat|Floor|Room|Rm|#)\.? ?#?[0-9A-Z]{1,5}(?![A-Za-z0-9]))?"
    r"(?P<city>,? (?:[A-Z][a-z'’-]+ ?){1,3},? (?:[A-Z]{2} [0-9]{5}(?:-[0-9]{4})?|[A-Z]{1,2}[0-9][0-9A-Z]? [0-9][A-Z]{2}|[A-Z]{2}(?![A-Za-z])))?"
)
ORDINAL = re.compile("(?:st|nd|rd|th) ")
BOX = re.compile(
    r"(?<![A-Za-z0-9])(?:P\.? ?O\.?|Post Office) ?[Bb][Oo][Xx] [0-9]{1,6}(?![0-9A-Za-z])(?:,? (?:[A-Z][a-z]+ ?){1,3},? [A-Z]{2} [0-9]{5})?"
)
SAYS_YEAR = re.compile(
    r"(?:\b(?:in|since|of|the|by|until|during|after|before|and|early|late|around|circa|\w{3,9}ary|March|April|May|June|July|August|\w+ember|October))[ ,]+\Z",
    re.IGNORECASE,
)


def english(text: str, place: int) -> Finding | None:
    """The address whose number begins in the few characters before `place`, where a digit stands before a capitalised word."""
    start = _back(text, place)
    if ORDINAL.match(text, place) and text[start - 1 : start] == " ":
        start = _back(text, start - 1)
    match = STREET.match(text, start)
    if not match:
        return None
    year = re.match("(?:1[5-9]|20)[0-9]{2} ", match.group())
    if year and not match["city"] and SAYS_YEAR.search(text[max(0, start - 14) : start]):
        return None
    return Finding(ADDRESS, start, match.end(), 0.9 if match["city"] else 0.75, "a number and a street")


def _back(text: str, place: int) -> int:
    """Where the number that ends at `place` begins."""
    start = place
    while start > max(0, place - 12) and (text[start - 1].isdigit() or text[start - 1] in "-/"):
        start -= 1
    return start


def boxes(text: str) -> Iterator[Finding]:
    """PO boxes."""
    for match in BOX.finditer(text):
        yield Finding(ADDRESS, match.start(), match.end(), 0.9, "a PO box")
