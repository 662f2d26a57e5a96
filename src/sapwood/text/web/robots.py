"""robots.txt as RFC 9309 has it: what a site asks of visitors, read once for each origin of a reading.

2xx: its rules hold (the first 500 KiB of them). 4xx: there are none. 429, 5xx, or no answer: nothing may be asked, since nobody knows
what the rules are. `Crawl-delay` is no part of the RFC and is honoured all the same.
"""

from __future__ import annotations

from typing import Any

from sapwood.errors import InputError, SapwoodError
from sapwood.outgoing.request import Caps, Guard, request
from sapwood.outgoing.urls import Target

TOKEN = "sapwood"
"""The name by which a robots.txt can address this program."""
READ = 500 << 10
LONGEST_DELAY = 300.0
"""Seconds. A site that asks for more between two pages is left out: its pages would take days."""


class Robots:
    """The rules of the origins that were met; some kB an origin."""

    def __init__(self, guard: Guard) -> None:
        caps = Caps(seconds=min(30.0, guard.caps.seconds), body=4 << 20)
        self._guard = Guard(guard.allow, guard.ports, caps, guard.agent, guard.resolve, guard.trust)
        self._rules: dict[str, Any] = {}

    def refusal(self, at: Target) -> str:
        """Why the page may not be asked for, beginning with `robots: ` or, where the guard says no, `refused: `; empty when it may."""
        rules = self._of(at)
        if isinstance(rules, str):
            return rules
        if not rules.can_fetch(at.url, TOKEN):
            return f"robots: {at.origin}: robots.txt does not allow it"
        if (rules.crawl_delay(TOKEN) or 0) > LONGEST_DELAY:
            return f"robots: {at.origin}: robots.txt asks for {rules.crawl_delay(TOKEN):g} s between pages, the most is {LONGEST_DELAY:g}"
        return ""

    def delay(self, at: Target) -> float:
        """Seconds between two requests that the site asks for; 0 where it asks for none."""
        rules = self._of(at)
        return 0.0 if isinstance(rules, str) else float(rules.crawl_delay(TOKEN) or 0)

    def _of(self, at: Target) -> Any:
        """The parsed rules of an origin, or why it must be left alone."""
        if at.origin not in self._rules:
            self._rules[at.origin] = self._read(at)
        return self._rules[at.origin]

    def _read(self, at: Target) -> Any:
        from protego import Protego

        place = f"{at.origin}/robots.txt"
        try:
            answer = request(self._guard, place)
        except InputError as fault:
            return f"refused: {fault.what.removeprefix(f'{place}: ')}"
        except SapwoodError as fault:
            return f"robots: {at.origin}: its robots.txt cannot be read ({fault.what.removeprefix(f'{place}: ')})"
        if answer.status == 429 or answer.status >= 500:
            return f"robots: {at.origin}: its robots.txt cannot be read (the answer was {answer.status})"
        if answer.status >= 300:
            return Protego.parse("")
        return Protego.parse(answer.body[:READ].decode("utf-8", "replace"))
