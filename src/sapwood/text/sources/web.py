"""Pages of web sites: listed ones, those of sitemaps, and those that links lead to, within stated bounds.

Every request passes the guard for outgoing requests, asks robots.txt first and keeps its distance to the host. A page is one document
under its canonical address, however many addresses lead to it. Pages are asked for one after the other in a fixed order (listed, from
sitemaps, then breadth first along links), so the same site gives the same documents. A page that fails is one recorded failure.

What came is kept between runs (`keep`): only changed pages are sent again, and `collected_at` is when a page's text was first seen as it
is, so an unchanged site gives the same bytes; a killed reading goes on where it was. What is kept is raw, also where personal data is
masked at collection. Without `keep` every page is asked for again, `collected_at` is the time of this reading, and what came lies in the
step's scratch folder until the step is done. Memory: some 300 bytes for each of `pages`.
No scripts are run: text that a page only makes in a browser is not seen. A page that asks not to be indexed is read all the same;
robots.txt is what a site says to visitors like this one.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from sapwood.errors import InputError, Interrupted, MissingExtra, SapwoodError
from sapwood.outgoing.addresses import allowed
from sapwood.outgoing.urls import Target, follow, normal, target
from sapwood.text.sources.source import Reading, Row, Source

if TYPE_CHECKING:
    from sapwood.text.web.kept import Page
    from sapwood.text.web.pages import Content
    from sapwood.text.web.visitor import Visitor

LARGEST_PAGE = 16 << 20


class Web(Source):
    """One document a page. Bounded by `within`, `depth` and `pages`; polite by robots.txt and `delay`."""

    kind: Literal["web"] = Field("web", description="Pages of web sites.")
    urls: tuple[str, ...] = Field((), description="Pages to read; links are followed from them.")
    sitemaps: tuple[str, ...] = Field((), description="Sitemaps whose pages to read.")
    within: tuple[str, ...] = Field((), description="Read only pages whose address begins so; by default the hosts of urls and sitemaps.")
    depth: int = Field(0, ge=0, le=100, description="How many links away from urls and sitemaps to go; 0 follows none.")
    pages: int = Field(1000, ge=1, le=1_000_000, description="The most pages to ask for.")
    delay: float = Field(1.0, ge=0, le=300, description="Seconds between two requests to a host; robots.txt may ask for more.")
    allow: tuple[str, ...] = Field(
        (), description="Hosts and networks inside your own network that may be asked, such as wiki.example:8080."
    )
    keep: bool = Field(True, description="Keep what came in the cache (SAPWOOD_CACHE), so that only changed pages are sent again.")
    contact: str = Field(
        "", pattern=r"^[ -~]{0,200}$", description="How a site can reach you, added to the User-Agent; empty adds nothing."
    )

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.urls and not self.sitemaps:
            raise ValueError("give urls or sitemaps")
        return self

    def check(self, workspace: Path) -> list[str]:
        found = [str(MissingExtra("protego", "sources", "reading robots.txt").what)] if find_spec("protego") is None else []
        try:
            allowed(self.allow)
        except InputError as fault:
            found.append(fault.what)
        for url in (*self.urls, *self.sitemaps, *self.within):
            try:
                target(url)
            except InputError as fault:
                found.append(fault.what)
        return [f"source {self.name}: {what}" for what in found]

    def rows(self, reading: Reading) -> Iterator[Row]:
        from sapwood.text.web.visitor import guard, visiting

        asking = guard(self.allow, self.contact, LARGEST_PAGE)
        with visiting(self.name, reading, asking, self._bounds(), self.delay, self.keep) as visitor:
            yield from _documents(self, reading, visitor)

    def _bounds(self) -> Bounds:
        return Bounds(self.within or tuple(target(url).origin + "/" for url in (*self.urls, *self.sitemaps)))


class Bounds:
    """Whether a page lies below one of several addresses. The path of an address counts to its end: `/a` also holds `/ab`."""

    def __init__(self, prefixes: tuple[str, ...]) -> None:
        self._prefixes = tuple(normal(target(prefix)) for prefix in prefixes)

    def __call__(self, at: Target) -> bool:
        page = normal(at)
        return any(page.origin == prefix.origin and page.path.startswith(prefix.path) for prefix in self._prefixes)


# --------------------------------------------------------------------------- the walk


class Frontier:
    """Pages to ask for, each once, first come first; at most `most` in all. 16 bytes for each page met, its address while it waits."""

    def __init__(self, most: int) -> None:
        self._most, self.full = most, False
        self._seen: set[bytes] = set()
        self._queue: deque[tuple[Target, int]] = deque()

    def meet(self, at: Target, depth: int) -> None:
        key = _key(at)
        if key in self._seen:
            return
        if len(self._seen) >= self._most:
            self.full = True
            return
        self._seen.add(key)
        self._queue.append((at, depth))

    def __iter__(self) -> Iterator[tuple[Target, int]]:
        while self._queue:
            yield self._queue.popleft()


def _documents(source: Web, reading: Reading, visitor: Visitor) -> Iterator[Row]:
    from sapwood.text.formats.children import Children
    from sapwood.text.formats.document import Limits
    from sapwood.text.web.visitor import canonical, reason

    frontier, given = Frontier(source.pages), set[bytes]()
    for at in _starts(source, reading, visitor):
        frontier.meet(at, 0)
        if frontier.full:
            break
    with Children(1, Limits(bytes=LARGEST_PAGE)) as children:
        for at, depth in frontier:
            if reading.stopping():
                raise Interrupted("stopped between two pages", "run the same command again")
            try:
                page = visitor.page(at)
            except Interrupted:
                raise
            except SapwoodError as fault:
                reading.failed(at.url, reason(fault, at.url, "refused"))
                continue
            try:
                content = _content(page, children)
            except SapwoodError as fault:
                reading.failed(at.url, reason(fault, at.url, "damaged"))
                continue
            if depth < source.depth:
                for link in _links(target(page.final), content):
                    if visitor.within(link):
                        frontier.meet(link, depth + 1)
            home = canonical(page, content.canonical, visitor.within)
            if (key := _key(home)) in given:
                reading.skipped("same page")
                continue
            given.add(key)
            yield _row(home, page, content, visitor.since(page, content.text.encode("utf-8", "replace")))
    if frontier.full:
        reading.say(f"{source.name}: there are more pages than {source.pages}, the limit named pages")


def _starts(source: Web, reading: Reading, visitor: Visitor) -> Iterator[Target]:
    for url in source.urls:
        yield normal(target(url))
    for url in source.sitemaps:
        yield from _of_sitemap(source, url, reading, visitor, 2)


def _of_sitemap(source: Web, url: str, reading: Reading, visitor: Visitor, levels: int) -> Iterator[Target]:
    """The pages of a sitemap, or of the sitemaps it lists. One that fails is one recorded failure."""
    from sapwood.text.web import sitemaps
    from sapwood.text.web.visitor import reason

    try:
        at = target(url)
        answer = visitor.ask(at, {"accept": "application/xml, text/xml, text/plain"})
        if answer.status != 200:
            raise InputError(f"no page: the answer was {answer.status}", "check the address of the sitemap")
        found = sitemaps.read(at.url, answer.body, visitor.guard.caps)
        if found.nested and levels == 0:
            raise InputError(f"{url}: an index of indexes of sitemaps", "give the inner sitemaps")
    except Interrupted:
        raise
    except SapwoodError as fault:
        reading.failed(url, reason(fault, url, "refused"))
        return
    for place in found.urls:
        if found.nested:
            yield from _of_sitemap(source, place, reading, visitor, levels - 1)
            continue
        try:
            page = normal(target(place))
        except InputError as fault:
            reading.failed(place, reason(fault, place, "refused"))
            continue
        if visitor.within(page):
            yield page
        else:
            reading.skipped("out of bounds")


def _links(base: Target, content: Content) -> Iterator[Target]:
    try:
        base = follow(base, content.base) if content.base else base
    except InputError:
        pass
    for link in content.links:
        try:
            yield normal(follow(base, link))
        except InputError:
            continue  # mailto:, javascript:, and links nobody can follow: no page is lost


def _content(page: Page, children: object) -> Content:
    from sapwood.text.formats.children import Children, Failed
    from sapwood.text.formats.document import Job
    from sapwood.text.web import pages

    format = pages.format_of(page.type)
    charset = pages.media_type(page.type)[1]
    if format == "html":
        return pages.read_html(page.url, page.body, charset)
    if format == "text":
        return pages.read_text(page.url, page.body, charset)
    assert isinstance(children, Children)
    ((_, parsed),) = children.answers([(0, Job(format, page.url, body=page.body))])
    if isinstance(parsed, Failed):
        raise InputError(f"{page.url}: {parsed.why}", "leave it out")
    return pages.Content(parsed.text, parsed.title, parsed.language)


def _row(home: Target, page: Page, content: Content, since: str) -> Row:
    licence = ""
    if content.licence:
        try:
            licence = follow(target(page.final), content.licence).url
        except InputError:
            licence = content.licence[:200]
    stated = {"title": content.title, "declared_language": content.language}
    return Row(home.url, content.text, {k: v for k, v in stated.items() if v}, url=home.url, license=licence, collected_at=since)


def _key(at: Target) -> bytes:
    return hashlib.blake2b(at.url.encode(), digest_size=16).digest()
