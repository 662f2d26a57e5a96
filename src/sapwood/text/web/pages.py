"""What is in one page: its text, and for HTML its links, its canonical address and the licence it states."""

from __future__ import annotations

from typing import NamedTuple

from sapwood.errors import InputError
from sapwood.text import decode

FORMATS = {
    "text/html": "html",
    "application/xhtml+xml": "html",
    "text/plain": "text",
    "text/markdown": "text",
    "application/pdf": "pdf",
    "application/epub+zip": "epub",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
}
"""Media types that are read, and the format that reads them."""


class Content(NamedTuple):
    """`canonical`, `licence` and `links` are as they stand in the page: not resolved, not checked."""

    text: str
    title: str = ""
    language: str = ""
    canonical: str = ""
    licence: str = ""
    links: tuple[str, ...] = ()
    base: str = ""


def media_type(header: str) -> tuple[str, str]:
    """(media type in lower case, declared charset or empty) of a Content-Type."""
    kind, _, rest = header.partition(";")
    charset = next(
        (part.split("=", 1)[1].strip().strip("\"'") for part in rest.split(";") if part.strip().lower().startswith("charset=")), ""
    )
    return kind.strip().lower(), charset


def read_html(name: str, body: bytes, charset: str) -> Content:
    """The content of an HTML page. Raises `InputError` (undecodable, nested too deep)."""
    from sapwood.text.formats import html

    markup = decode.text_of(body, name, charset or html.declared_charset(body))
    page = html.read(markup)
    found = _outward(markup)
    return Content(page.text, page.title, page.language, page.canonical, found.licence, found.links, found.base)


def read_text(name: str, body: bytes, charset: str) -> Content:
    """The content of a plain text. Raises `InputError`."""
    return Content(decode.text_of(body, name, charset).replace("\r\n", "\n").replace("\r", "\n"))


def format_of(header: str) -> str:
    """The format of an answer by its Content-Type. Raises `InputError` for one that is not read."""
    kind, _ = media_type(header)
    if kind not in FORMATS:
        raise InputError(f"not read: {kind or 'a body without a type'}", "leave it out")
    return FORMATS[kind]


def _outward(markup: str) -> Content:
    """Where a page points to. With `nofollow` for robots, or for one link, that is not followed."""
    from selectolax.lexbor import LexborHTMLParser

    tree = LexborHTMLParser(markup)
    base = next((node.attributes.get("href") or "" for node in tree.css("base[href]")), "")
    licence = next((node.attributes.get("href") or "" for node in tree.css("a[rel~=license][href], link[rel~=license][href]")), "")
    asked = " ".join(node.attributes.get("content") or "" for node in tree.css("meta[name=robots i], meta[name=sapwood i]")).lower()
    if "nofollow" in asked or "none" in asked.replace(",", " ").split():
        return Content("", licence=licence, base=base)
    links = [node.attributes.get("href") or "" for node in tree.css("a[href]:not([rel~=nofollow])")]
    return Content("", licence=licence, base=base, links=tuple(dict.fromkeys(link for link in links if link and not link.startswith("#"))))
