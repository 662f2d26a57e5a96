"""RSS and Atom, read with feedparser. The answer's text is a JSON list with one object an entry.

feedparser takes some 8 µs for each byte of an ordinary feed, and more for a hostile one, so this belongs into a child process. It is
given a stream: from a string it would open names and addresses. Its own cleaning of HTML is not used, since only words are kept.
"""

from __future__ import annotations

import calendar
import io
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import orjson

from sapwood.errors import InputError
from sapwood.text.formats import html
from sapwood.text.formats.document import Limits, Parsed, sound

MOST_RIGHTS = 500


def read(body: bytes, limits: Limits) -> Parsed:
    """Entries with `id, link, title, text, language, author, rights, license, time, fault`, each a string, empty where unknown; `time`
    is UTC ISO. Raises `InputError` for what is no feed."""
    import feedparser

    found: Any = feedparser.parse(io.BytesIO(body), sanitize_html=False, resolve_relative_uris=False)
    if not found.version or (found.bozo and not found.entries):
        raise InputError(f"no feed: no RSS or Atom in it ({found.get('bozo_exception', 'no entry')})", "check the address")
    return Parsed(orjson.dumps([_entry(entry, found.feed) for entry in found.entries]).decode())


def _entry(entry: Any, feed: Any) -> dict[str, str]:
    known = {
        "id": entry.get("id"),
        "link": entry.get("link"),
        "language": entry.get("language") or feed.get("language"),
        "author": entry.get("author"),
        "rights": str(entry.get("rights") or feed.get("rights") or "")[:MOST_RIGHTS],
        "license": entry.get("license") or feed.get("license"),
        "time": _time(entry),
    }
    try:
        title, _ = plain(entry.get("title_detail") or {})
        bodies = [*entry.get("content", ()), entry.get("summary_detail") or {}]
        text, language = max((plain(detail) for detail in bodies), key=lambda pair: len(pair[0]))
        known |= {"title": " ".join(title.split()), "text": text, "language": language or known["language"]}
    except InputError as fault:
        known["fault"] = fault.what
    return {name: sound(str(known.get(name) or "")) for name in (*known, "title", "text", "fault")}


def plain(detail: Any) -> tuple[str, str]:
    """(text, declared language) of one text of an entry: HTML made plain, anything else as it is. Raises `InputError`."""
    value, language = str(detail.get("value") or ""), str(detail.get("language") or "")
    if "<" in value or "&" in value or detail.get("type") in ("text/html", "application/xhtml+xml"):
        return html.read(value).text, language
    return value.strip(), language


def _time(entry: Any) -> str:
    """When the entry says it was changed, else published; empty where it says neither."""
    for name in ("updated_parsed", "published_parsed"):
        if entry.get(name):
            with suppress(ValueError, OverflowError, OSError):
                return datetime.fromtimestamp(calendar.timegm(entry[name]), UTC).isoformat()
    return ""
