"""The elements of an HTML page that have an id, one JSON line each: [id, text]. Pages in two languages often share the ids."""

from __future__ import annotations

import json

from sapwood.text import decode
from sapwood.text.formats import html
from sapwood.text.formats.document import Limits, Parsed


def read(body: bytes, limits: Limits) -> Parsed:
    """`Parsed.text` holds the lines. Raises `InputError` for a page nested too deep."""
    language, found = html.elements(decode.text_of(body, "page.html", html.declared_charset(body)))
    return Parsed("\n".join(json.dumps(one, ensure_ascii=False) for one in found), language=language)
