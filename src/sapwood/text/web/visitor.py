"""One visitor of the web: it asks robots.txt first, keeps its distance in time to each host, and asks again only for what changed."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sapwood.errors import InputError, Interrupted, NetworkError, SapwoodError
from sapwood.outgoing.addresses import allowed
from sapwood.outgoing.request import Answer, Caps, Guard, request
from sapwood.outgoing.urls import Target, follow, normal, target
from sapwood.samples.fetch import cache_root
from sapwood.text.sources.source import Reading
from sapwood.text.web.kept import Kept, Page
from sapwood.text.web.robots import Robots

BUSY = frozenset({429, 503})
LONGEST_WAIT = 120.0
REASONS = ("not there: ", "no page: ", "robots: ", "out of bounds: ", "not read: ", "refused: ")
SECONDS = 60.0
GOES_ON = 24 * 3600.0
ACCEPT = "text/html, application/xhtml+xml, text/plain, text/markdown, application/pdf;q=0.5, */*;q=0.1"


@dataclass
class Visitor:
    """`begun`: UTC ISO time at which this reading began, before a kill too. `within` says of a target whether it may be asked for."""

    guard: Guard
    kept: Kept
    begun: str
    delay: float
    within: Callable[[Target], bool]
    stopping: Callable[[], bool]
    robots: Robots = field(init=False)
    asked: int = 0
    unchanged: int = 0
    resumed: int = 0
    _next: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.robots = Robots(self.guard)

    def page(self, at: Target) -> Page:
        """The page as it is now: sent, unchanged since it was kept, or visited before this reading was killed.

        Raises `InputError` and `NetworkError` with the reason why there is none, `Interrupted` when asked to stop while waiting.
        """
        known = self.kept.get(at.url)
        if known and known.visited >= self.begun:
            self.resumed += 1
            return known
        answer = self.ask(at, {"accept": ACCEPT, **_conditions(known)})
        now = moment()
        if answer.status == 304 and known:
            self.unchanged += 1
            self.kept.visited(at.url, now)
            return known._replace(visited=now)
        if answer.status in (404, 410):
            self.kept.drop(at.url)
        if answer.status != 200:
            raise InputError(f"{'not there' if answer.status in (404, 410) else 'no page'}: the answer was {answer.status}", "try later")
        headers = answer.headers
        page = Page(
            at.url, answer.url, headers.get("content-type", ""), headers.get("etag", ""), headers.get("last-modified", ""), answer.body
        )
        page = page._replace(visited=now, since=known.since if known else "", text_digest=known.text_digest if known else "")
        self.kept.put(page)
        return page

    def since(self, page: Page, text: bytes) -> str:
        """Since when a page's text is what it is: UTC ISO time to the second."""
        digest = hashlib.sha256(text).hexdigest()
        if digest == page.text_digest and page.since:
            return page.since
        now = page.visited[:19] + "+00:00"
        self.kept.settle(page.url, digest, now)
        return now

    def ask(self, at: Target, headers: dict[str, str]) -> Answer:
        """One polite request, its redirects checked like itself; a busy site is waited for once."""
        self._admit(at)
        answer = request(self.guard, at.url, headers, hop=self._admit)
        self.asked += 1
        if answer.status in BUSY and 0 < (wait := _retry_after(answer)) <= LONGEST_WAIT:
            self._wait(time.monotonic() + wait)
            self._admit(at)
            answer = request(self.guard, at.url, headers, hop=self._admit)
        return answer

    def _admit(self, at: Target) -> None:
        """Wait for the host's turn. Raises `InputError` where the page is out of bounds or the site does not want it."""
        if not self.within(at):
            raise InputError(f"out of bounds: {at.url} is not within what this source reads", "name it in within")
        if why := self.robots.refusal(normal(at)):
            raise InputError(why, "leave it out, or name it in allow")
        self._wait(self._next.get(at.host, 0.0))
        self._next[at.host] = time.monotonic() + max(self.delay, self.robots.delay(at))

    def _wait(self, until: float) -> None:
        while (left := until - time.monotonic()) > 0:
            if self.stopping():
                raise Interrupted("stopped while waiting for a site's turn", "run the same command again")
            time.sleep(min(left, 0.5))


def guard(allow: tuple[str, ...], contact: str, body: int) -> Guard:
    """The guard for the requests of a source. `contact` is the user's own words to the sites; nothing else about the user is said."""
    import sapwood

    agent = f"sapwood/{sapwood.__version__} ({contact or 'text collector'})"
    return Guard(allow=allowed(allow), caps=Caps(seconds=SECONDS, body=body), agent=agent)


@contextmanager
def visiting(name: str, reading: Reading, asking: Guard, within: Callable[[Target], bool], delay: float, keep: bool) -> Iterator[Visitor]:
    """A visitor for one reading of the source `name`. One that was killed or stopped within the last day goes on where it was: the note of
    it lies beside the pages, because a new run has a new scratch folder."""
    key = hashlib.sha256(f"{reading.workspace.resolve()}\0{name}".encode()).hexdigest()[:24]
    kept = Kept(cache_root().parent / "web" / f"{key}.sqlite" if keep else reading.scratch / "pages.sqlite")
    begun = kept.begin(moment(), moment(-GOES_ON))
    visitor = Visitor(asking, kept, begun, delay, within, reading.stopping)
    try:
        yield visitor
        kept.forget_before(begun)
        reading.say(f"{name}: {visitor.asked} asked, {visitor.unchanged} unchanged, {visitor.resumed} from before the interruption")
    finally:
        if not reading.stopping():
            kept.end()
        kept.close()


def moment(seconds: float = 0.0) -> str:
    """So many seconds from now, as UTC ISO time to the microsecond: times that sort as text."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat(timespec="microseconds")


def _conditions(known: Page | None) -> dict[str, str]:
    if known is None:
        return {}
    found = {"if-none-match": known.etag, "if-modified-since": known.modified}
    return {name: value for name, value in found.items() if value}


def _retry_after(answer: Answer) -> float:
    stated = answer.headers.get("retry-after", "")
    return float(stated) if stated.isascii() and stated.isdecimal() and len(stated) < 9 else 0.0


def reason(fault: SapwoodError, url: str, otherwise: str) -> str:
    """The fault in one line that begins with a short reason (`otherwise` where it has none of its own) and leaves out the URL."""
    if fault.what.startswith(REASONS):
        return fault.what
    kind = "no answer" if isinstance(fault, NetworkError) else otherwise
    return f"{kind}: {fault.what.removeprefix(f'{url}: ').removeprefix('no answer ')}"


def canonical(page: Page, stated: str, within: Callable[[Target], bool]) -> Target:
    """The one address of a page: what it calls canonical, if that is on the same host and in bounds, else where it was found."""
    found = normal(target(page.final))
    if not stated:
        return found
    try:
        meant = normal(follow(found, stated))
    except InputError:
        return found
    return meant if meant.host == found.host and within(meant) else found
