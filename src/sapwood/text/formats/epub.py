"""Epub to text: the parts of the book in reading order, each read as HTML. Title and language are those of the package document.

It does not read books under DRM, and leaves out pictures, styles, scripts and parts that the reading order does not name.
"""

from __future__ import annotations

import posixpath
from urllib.parse import unquote

from sapwood.errors import InputError
from sapwood.text import decode
from sapwood.text.formats import html
from sapwood.text.formats.document import LONGEST, Limits, Parsed
from sapwood.text.formats.package import Package, refuse_entities

CONTAINER = "META-INF/container.xml"
RIGHTS = "META-INF/rights.xml"
PARTS = ("application/xhtml+xml", "text/html", "application/x-dtbook+xml")


def read(body: bytes, limits: Limits) -> Parsed:
    """The book's text, a blank line between parts; meta.parts. Raises `InputError` for what is no readable epub."""
    package = Package(body, limits.bytes)
    if RIGHTS in package.names:
        raise InputError("encrypted: the book is under digital rights management", "get a copy without it")
    root = next((e.get("full-path", "") for e in package.xml(CONTAINER).iter() if e.tag.endswith("}rootfile")), "")
    book = package.xml(root)
    base = posixpath.dirname(root)
    hrefs = {
        e.get("id", ""): posixpath.normpath(posixpath.join(base, unquote(e.get("href", "").partition("#")[0])))
        for e in book.iter()
        if e.tag.endswith("}item") and e.get("media-type", "") in PARTS
    }
    order = [hrefs[e.get("idref", "")] for e in book.iter() if e.tag.endswith("}itemref") and e.get("idref", "") in hrefs]
    parts, length = [], 0
    for name in dict.fromkeys(order):
        body = package.member(name)
        refuse_entities(body, name)
        text = html.read(decode.text_of(body, name, "utf-8")).text
        length += len(text)
        if length > LONGEST:
            raise InputError(f"too long: more than {LONGEST} characters in one document", "split it")
        parts.append(text)
    if not any(parts):
        raise InputError("no text: the book's reading order names no part with text", "check the file")
    title, language = (_first(book, name) for name in ("title", "language"))
    return Parsed("\n\n".join(part for part in parts if part), title[:500], language, {"parts": str(len(parts))})


def _first(book: object, name: str) -> str:
    found = (e.text or "" for e in book.iter() if e.tag == f"{{http://purl.org/dc/elements/1.1/}}{name}")  # type: ignore[attr-defined]
    return " ".join(next(found, "").split())
