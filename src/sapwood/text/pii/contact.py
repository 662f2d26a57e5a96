"""E-mail addresses and telephone numbers.

Telephone numbers: mainland mobiles by shape; every other number must be valid in its country's plan (phonenumbers, Google's
libphonenumber). A national number outside the mainland needs its usual grouping (`020 7946 0958`, `(650) 253-0000`), and a bare
local one (`62345678`) needs a word such as tel or 电话 before it. A number right behind a word such as order or 单号 is none.

Not found: addresses in words (`name at example dot com`), local parts or domains outside ASCII, numbers spelt in words or Chinese numerals.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from sapwood.text.pii.finding import EMAIL, PHONE, Finding

LOCAL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._%+-"
DOMAIN = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,6}(xn--[A-Za-z0-9-]{2,59}|[A-Za-z]{2,24})(?![A-Za-z0-9-])")
FILES = frozenset(
    [
        "png",
        "jpg",
        "jpeg",
        "gif",
        "svg",
        "webp",
        "ico",
        "bmp",
        "css",
        "js",
        "jsx",
        "ts",
        "tsx",
        "py",
        "html",
        "htm",
        "json",
        "xml",
        "yml",
        "yaml",
        "txt",
        "md",
        "zip",
    ]
)
"""`icon@2x.png` is a file. Of these `md`, `py` and `zip` are domains too; mail from them is rarer than such files."""
LONGEST_LOCAL = 64


def emails(text: str) -> Iterator[Finding]:
    """`local@domain.tld`. The local part begins with a letter or digit and has at most 64 characters."""
    place = text.find("@")
    while place >= 0:
        head = text[max(0, place - LONGEST_LOCAL - 1) : place]
        local = head[len(head.rstrip(LOCAL)) :].lstrip("._%+-")
        domain = DOMAIN.match(text, place + 1) if 0 < len(local) <= LONGEST_LOCAL else None
        if domain and domain[1].lower() not in FILES:
            yield Finding(EMAIL, place - len(local), domain.end(), 1.0, "local@domain")
        place = text.find("@", place + 1)


class Shape(NamedTuple):
    """How a country's numbers are written. `loose`: only behind a word that says telephone."""

    region: str
    pattern: re.Pattern[str]
    why: str
    loose: bool = False


def _shape(region: str, pattern: str, why: str, loose: bool = False) -> Shape:
    return Shape(region, re.compile(rf"(?:{pattern})(?![0-9A-Za-z]|[.-][0-9])"), why, loose)


EXTENSION = r"(?:(?: ?(?:转|轉|分机|分機|ext\.? ?|x)|-)[0-9]{1,6})?"
SHAPES = (
    _shape("", r"\+[1-9][0-9]{0,2}(?:[ ().-]{0,2}[0-9]{1,4}){2,6}", "+ and a country code"),
    _shape("CN", r"(?:(?:00)86[ -]?|86[ -])?1[3-9][0-9](?:[ -]?[0-9]{4}){2}", "a mainland mobile"),
    _shape("", r"00[1-9][0-9]{0,2}(?:[ -]{1,2}[0-9]{1,4}){2,5}", "00 and a country code"),
    _shape("CN", rf"\(0[1-9][0-9]{{1,2}}\) ?[2-9][0-9]{{2,3}}[ -]?[0-9]{{4}}{EXTENSION}", "a mainland landline"),
    _shape("CN", rf"0(?:10|2[0-9]|[3-9][0-9]{{2}})[ -]?[2-9][0-9]{{2,3}}[ -]?[0-9]{{4}}{EXTENSION}", "a mainland landline"),
    _shape("CN", r"[48]00[ -]?[0-9]{3}[ -]?[0-9]{4}|[48]00-[0-9]{4}-[0-9]{3}", "a mainland service number"),
    _shape("US", r"(?:1[ .-])?(?:\([2-9][0-9]{2}\) ?|[2-9][0-9]{2}[ .-])[2-9][0-9]{2}[ .-][0-9]{4}", "a North American number"),
    _shape(
        "GB", r"(?:\(0[1-9][0-9]{1,3}\) ?|0[1-9][0-9]{1,3}[ -])[0-9]{3,4}[ -]?[0-9]{3,4}|07[0-9]{3} ?[0-9]{3} ?[0-9]{3}", "a British number"
    ),
    _shape("TW", r"09[0-9]{2}[ -]?[0-9]{3}[ -]?[0-9]{3}|(?:\(0[2-8][0-9]?\) ?|0[2-8][0-9]?-)[0-9]{3,4}[ -]?[0-9]{4}", "a Taiwan number"),
    _shape("HK", r"[235689][0-9]{3}[ -]?[0-9]{4}", "a Hong Kong number", loose=True),
    _shape("US", r"[2-9][0-9]{2}[2-9][0-9]{6}", "a North American number", loose=True),
    _shape("", r"[2-8][0-9]{2,3}[ -]?[0-9]{4}", "a local number", loose=True),
)
"""In this order: at one place the first that fits and is valid wins."""
UNCHECKED = ("a mainland mobile", "a local number")
LAST_GROUP = re.compile(r"[ ().-]+[0-9]+\Z")
"""What follows a number in other countries' groupings may be another number: it is taken off until the plan holds the rest."""
INTERNAL = re.compile(" ?(?:转|轉|分机|分機|ext|x)")
FIRST = re.compile(r"(?<![A-Za-z0-9.])(?<![0-9][-/])[+(]?[0-9]")
SAYS_PHONE = re.compile(
    r"(?:电话|電話|手机|手機|座机|热线|熱線|传真|傳真|致电|来电|联系方式|聯絡|\b(?:tele)?phone|\btel|\bfax|\bmobile|\bmob|\bcell|\bcall|\bhotline)"
    r"(?:号码|號碼| number| no)?[^0-9A-Za-z]{0,3}(?:是|为|at|on|is)?[^0-9A-Za-z]{0,2}\Z",
    re.IGNORECASE,
)
SAYS_OTHER = re.compile(
    r"(?:订单|訂單|运单|單號|单号|流水|编号|編號|货号|型号|序列号|版本|快递|发票|合同|批号|条码|"
    r"\border|\binvoice|\bsku|\bserial|\bisbn|\bissn|\btracking|\bticket|\bbuild|\bversion|\bcommit|\breceipt|\bcontract|\bbatch|\bpart)"
    r"(?:号码|号|號| ?(?:number|num|no\.?|id|code))?[^0-9A-Za-z]{0,3}(?:是|为|is)?[^0-9A-Za-z]{0,2}\Z",
    re.IGNORECASE,
)
LOOK_BACK = 24
"""Characters before a number in which a word may say what it is."""


def before(text: str, start: int) -> str:
    return text[max(0, start - LOOK_BACK) : start]


def numbered(text: str, start: int) -> bool:
    """Whether a word right before `start` says that the number is an order, a version or the like."""
    return bool(SAYS_OTHER.search(before(text, start)))


def phones(text: str, start: int, end: int) -> Iterator[Finding]:
    """Telephone numbers that begin in `text[start:end]`, a run of digits and separators."""
    place = max(0, start - 1)
    while first := FIRST.search(text, place, end):
        place = first.start() + 1
        for shape in SHAPES:
            match = shape.pattern.match(text, first.start())
            if match and (found := _phone(text, match, shape)):
                yield found
                place = match.end()
                break


def _phone(text: str, match: re.Match[str], shape: Shape) -> Finding | None:
    said = bool(SAYS_PHONE.search(before(text, match.start())))
    if (shape.loose and not said) or (not said and numbered(text, match.start())):
        return None
    number = match.group()
    if shape.why not in UNCHECKED:
        while number and not _valid(number, shape.region):
            number = LAST_GROUP.sub("", number) if not shape.region and LAST_GROUP.search(number) else ""
    why = shape.why + (", named so" if said else "")
    return Finding(PHONE, match.start(), match.start() + len(number), 0.95 if said else 0.85, why) if number else None


def _valid(number: str, region: str) -> bool:
    """Whether the country's numbering plan holds it. `region` empty: the number begins with + or 00."""
    import phonenumbers

    spelt = INTERNAL.split(number)[0]
    if not region and not spelt.startswith("+"):
        spelt = "+" + spelt.removeprefix("00")
    if region == "CN" and spelt.count("-") > 1 and len(spelt.rsplit("-", 1)[1]) != 4:
        spelt = spelt.rsplit("-", 1)[0]
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(spelt, region or None))
    except phonenumbers.NumberParseException:
        return False
