"""Pages as they came, kept in one SQLite file, so that a page is sent again only if it changed, and a killed reading goes on.

Kept are the compressed body, `ETag`, `Last-Modified`, and since when the page's text is what it is. Bodies are raw: what was not masked
yet lies here too. The file is a cache: removing it costs requests, and the times at which pages were first seen.
"""

from __future__ import annotations

import sqlite3
import zlib
from pathlib import Path
from typing import NamedTuple

SCHEMA = """
create table if not exists reading (began text not null);
create table if not exists page (
    url text primary key, final text not null, type text not null, etag text not null, modified text not null,
    body blob not null, text_digest text not null, since text not null, visited text not null);
"""


class Page(NamedTuple):
    """A page as it came last. `final`: its URL after redirects; `since`: UTC ISO time from which its text is the same."""

    url: str
    final: str
    type: str
    etag: str
    modified: str
    body: bytes
    text_digest: str = ""
    since: str = ""
    visited: str = ""


class Kept:
    """The pages of one source. Every change is written at once."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)  # what lies here may be personal: for this user's eyes
        self._db = sqlite3.connect(path, timeout=60, isolation_level=None)
        self._db.execute("pragma journal_mode=wal")
        self._db.executescript(SCHEMA)

    def begin(self, now: str, oldest: str) -> str:
        """When the reading began that was killed or stopped before it was whole, if that was after `oldest`; else `now`, noted."""
        row = self._db.execute("select max(began) from reading where began > ?", (oldest,)).fetchone()
        if row[0] is None:
            self.end()
            self._db.execute("insert into reading values (?)", (now,))
        return row[0] or now

    def end(self) -> None:
        """The reading is over: the next one asks for every page."""
        self._db.execute("delete from reading")

    def get(self, url: str) -> Page | None:
        row = self._db.execute("select * from page where url = ?", (url,)).fetchone()
        return Page(*row)._replace(body=zlib.decompress(row[5])) if row else None

    def put(self, page: Page) -> None:
        self._db.execute("insert or replace into page values (?,?,?,?,?,?,?,?,?)", page._replace(body=zlib.compress(page.body, 6)))

    def visited(self, url: str, now: str) -> None:
        self._db.execute("update page set visited = ? where url = ?", (now, url))

    def settle(self, url: str, text_digest: str, since: str) -> None:
        """Note the text that was found in a page, and since when it is so."""
        self._db.execute("update page set text_digest = ?, since = ? where url = ?", (text_digest, since, url))

    def forget_before(self, begun: str) -> None:
        """Drop the pages that were not visited since `begun`: the source has them no more."""
        self._db.execute("delete from page where visited < ?", (begun,))

    def drop(self, url: str) -> None:
        self._db.execute("delete from page where url = ?", (url,))

    def close(self) -> None:
        self._db.close()
