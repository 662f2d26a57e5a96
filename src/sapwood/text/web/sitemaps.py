"""Addresses in a sitemap: XML (also an index of sitemaps, also gzip) or plain lines.

The few tags are found by pattern and no XML parser runs, so entities cannot expand. Dates and priorities are not read.
"""

from __future__ import annotations

import html
import re
from typing import NamedTuple

from sapwood.errors import InputError
from sapwood.outgoing.request import Caps, gunzipped

LOCATION = re.compile(r"<(?:\w+:)?loc>\s*(?:<!\[CDATA\[)?\s*([^<>\]]{1,8000}?)\s*(?:\]\]>)?\s*</(?:\w+:)?loc>")
INDEX = re.compile(r"<(?:\w+:)?sitemapindex[\s>]")
MOST = 50_000
"""Addresses in one sitemap, by its protocol."""


class Sitemap(NamedTuple):
    """`nested`: its addresses are sitemaps themselves."""

    nested: bool
    urls: list[str]


def read(url: str, body: bytes, caps: Caps) -> Sitemap:
    """The addresses of a sitemap in their order. Raises `InputError` when there is none in it."""
    if body.startswith(b"\x1f\x8b"):
        unpacked = bytearray()
        for piece in gunzipped(url, [body], caps):
            unpacked += piece
            if len(unpacked) > caps.body:
                raise InputError(f"{url}: the sitemap unpacks to more than {caps.body} bytes", "give a smaller sitemap")
        body = bytes(unpacked)
    text = body.decode("utf-8-sig", "replace")
    if "<" in text:
        urls = [html.unescape(found) for found in LOCATION.findall(text)]
    else:
        urls = [line.strip() for line in text.splitlines() if line.strip().startswith(("http://", "https://"))]
    if not urls:
        raise InputError(f"{url}: no address in this sitemap", "check that it is one")
    return Sitemap(INDEX.search(text[:2000]) is not None, urls[:MOST])
