"""RSS and Atom feeds: one document an entry, from an address or from a file.

The text is an entry's full content where the feed carries it, else its summary, made plain, under its title. What a feed only points to is
not fetched; kind web does that. `collected_at` is when the entry says that it was changed or published. Where it says nothing, it is when
the feed was first seen as it is, or the file's time. A feed is held in memory, 8 MB at most, and parsed in a child process; older pages of a feed are not asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, NamedTuple, Self

import orjson
from pydantic import Field, model_validator

from sapwood.artifact import file_sha256
from sapwood.errors import InputError, MissingExtra, SapwoodError
from sapwood.outgoing.addresses import allowed
from sapwood.outgoing.urls import follow, normal, target
from sapwood.text.formats import compressed
from sapwood.text.formats.children import Children, Failed
from sapwood.text.formats.document import Job, Limits
from sapwood.text.sources.source import Reading, Row, Source, place

LARGEST_FEED = 8 << 20
SECONDS = 300.0


class Feed(Source):
    """One document an entry of an RSS or Atom feed."""

    kind: Literal["feed"] = Field("feed", description="Entries of an RSS or Atom feed.")
    url: str = Field("", description="Address of the feed.")
    path: str = Field("", description="File of the feed, relative to the workspace, instead of a url.")
    allow: tuple[str, ...] = Field(
        (), description="Hosts and networks inside your own network that may be asked, such as wiki.example:8080."
    )
    keep: bool = Field(True, description="Keep what came in the cache (SAPWOOD_CACHE), so that the feed is sent again only if it changed.")
    contact: str = Field(
        "", pattern=r"^[ -~]{0,200}$", description="How a site can reach you, added to the User-Agent; empty adds nothing."
    )

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if bool(self.url) == bool(self.path):
            raise ValueError("give either url or path")
        return self

    def check(self, workspace: Path) -> list[str]:
        found = []
        for module in ("feedparser", "protego"):
            if find_spec(module) is None:
                missing = MissingExtra(module, "sources", "reading feeds")
                found.append(f"source {self.name}: {missing.what}; {missing.next_step}")
        try:
            allowed(self.allow)
            if self.url:
                target(self.url)
            else:
                place(self, workspace)
        except SapwoodError as fault:
            found.append(f"source {self.name}: {fault.what}")
        return found

    def fingerprint(self, workspace: Path) -> str | None:
        return file_sha256(place(self, workspace)) if self.path else None

    def size(self, workspace: Path) -> int:
        return place(self, workspace).stat().st_size if self.path else 0

    def rows(self, reading: Reading) -> Iterator[Row]:
        if self.path:
            path = place(self, reading.workspace)
            changed = datetime.fromtimestamp(int(path.stat().st_mtime), UTC).isoformat()
            yield from entries(Body(path.name, compressed.read_all(path, LARGEST_FEED), "", changed), reading)
            return
        from sapwood.text.web.visitor import guard, visiting

        with visiting(self.name, reading, guard(self.allow, self.contact, LARGEST_FEED), lambda at: True, 0.0, self.keep) as visitor:
            at = normal(target(self.url))
            page = visitor.page(at)
            since = visitor.since(page, page.body)
            yield from entries(Body(page.url, page.body, page.final, since), reading)


class Body(NamedTuple):
    """A feed as it came. `base`: the address that links are relative to; `since`: UTC ISO time for entries that state none."""

    name: str
    data: bytes
    base: str
    since: str


def entries(body: Body, reading: Reading) -> Iterator[Row]:
    """The documents of a feed, in its order. An entry without text is counted; two under one id are one document.

    Raises `InputError` for what is no feed, or one that takes too much to read.
    """
    with Children(1, Limits(bytes=LARGEST_FEED, seconds=SECONDS)) as children:
        ((_, parsed),) = children.answers([(0, Job("feed", body.name, body=body.data))])
    if isinstance(parsed, Failed):
        raise InputError(f"{body.name}: {parsed.why}", "check the address")
    seen: set[str] = set()
    for number, entry in enumerate(orjson.loads(parsed.text), 1):
        locator = entry["id"] or entry["link"] or f"entry {number}"
        if entry["fault"]:
            reading.failed(locator, f"damaged: {entry['fault']}")
        elif locator in seen:
            reading.skipped("same entry")
        else:
            seen.add(locator)
            yield _row(locator, entry, body)


def _row(locator: str, entry: dict[str, str], body: Body) -> Row:
    title, text = entry["title"], entry["text"]
    whole = f"{title}\n{text}" if title and text.strip() and not text.startswith(title) else text
    meta = {"title": title, "author": entry["author"], "rights": entry["rights"], "declared_language": entry["language"]}
    stated = {name: value for name, value in meta.items() if value}
    return Row(locator, whole, stated, url=_link(entry["link"], body), license=entry["license"], collected_at=entry["time"] or body.since)


def _link(link: str, body: Body) -> str:
    """The entry's address, made whole; empty where it has none that can be asked for."""
    try:
        return normal(follow(target(body.base), link) if body.base else target(link)).url if link else ""
    except InputError:
        return ""
