"""IP and MAC addresses.

Only addresses that may be routed are taken: a private, loopback or documentation address names no one, and `1.2.3.4` behind a word
such as version is none. MAC: six pairs with `:` or `-`; broadcast and all zero are left alone.

Not found: addresses written as one integer or in octal, MAC in Cisco's groups of four.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import AddressValueError, IPv4Address, IPv6Address

from sapwood.text.pii.contact import before, numbered
from sapwood.text.pii.finding import IP, MAC, Finding

V4 = re.compile(r"(?<![A-Za-z0-9.])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?![A-Za-z0-9]|\.[0-9])")
V4_DOTS, V4_DIGITS = 3, 7
"""Sections and weather tables (`1.30.90.5`) have fewer digits; so have 1 % of addresses, which then need a word before them."""
SAYS_IP = re.compile(r"(?:\bIP|\bhost|\bserver|\baddress|地址|主机|服务器|登录)[^0-9]{0,6}\Z", re.IGNORECASE)
COLONS = re.compile(":[0-9A-Fa-f]{0,4}:")
HYPHENS = re.compile("-[0-9A-Fa-f]{2}-[0-9A-Fa-f]{2}-[0-9A-Fa-f]{2}-")
HEX = "0123456789ABCDEFabcdef"
PAIRS = re.compile("(?:[0-9A-Fa-f]{2}([:-]))(?:[0-9A-Fa-f]{2}\\1){4}[0-9A-Fa-f]{2}")
LONGEST = 39
"""Characters of an IPv6 address."""


def v4(text: str, start: int, end: int) -> Iterator[Finding]:
    """IPv4 addresses in `text[start:end]`."""
    if text.count(".", start, end) < V4_DOTS:
        return
    for match in V4.finditer(text, start, min(len(text), end + 2)):
        try:
            routed = IPv4Address(match.group()).is_global
        except AddressValueError:
            continue
        sure = sum(map(str.isdigit, match.group())) >= V4_DIGITS or SAYS_IP.search(before(text, match.start()))
        if routed and sure and not numbered(text, match.start()):
            yield Finding(IP, match.start(), match.end(), 0.9, "a routed IPv4 address")


def v6_and_mac(text: str) -> Iterator[Finding]:
    """IPv6 and MAC addresses: whole words of hexadecimal digits and `:` or `-`."""
    for pattern, mark in ((COLONS, ":"), (HYPHENS, "-")):
        place = 0 if mark in text else len(text)
        while match := pattern.search(text, place):
            start, end = _word(text, match.start(), match.end(), HEX + mark)
            place = max(end, match.end() - 1)
            if found := _judged(text, start, end):
                yield found


def _word(text: str, start: int, end: int, letters: str) -> tuple[int, int]:
    """The longest run of `letters` around `text[start:end]`, cut at one character more than an address may have."""
    head, tail = text[max(0, start - LONGEST) : start], text[end : end + LONGEST]
    return start - len(head) + len(head.rstrip(letters)), end + len(tail) - len(tail.lstrip(letters))


def _judged(text: str, start: int, end: int) -> Finding | None:
    word = text[start:end].rstrip(":-")
    end = start + len(word)
    if word[:1] in (":", "-") and word[1:2] not in (":", "-"):  # what stands between a name and its value
        start, word = start + 1, word[1:]
    beside = text[start - 1 : start] + text[end : end + 1].strip(":-")
    if len(word) > LONGEST or any(letter.isascii() and (letter.isalnum() or letter in "_.") for letter in beside.rstrip(".")):
        return None
    if PAIRS.fullmatch(word):
        same = len(set(word) - set(":-")) == 1
        return None if same else Finding(MAC, start, end, 0.95, "six pairs")
    if word.count(":") < 2 or not any(letter.isdigit() for letter in word):
        return None
    try:
        routed = IPv6Address(word).is_global
    except AddressValueError:
        return None
    return Finding(IP, start, end, 0.9, "a routed IPv6 address") if routed else None
