"""The ledger of verdicts: what each rule removed, of which language, source and length, with rows to read.

Rows are counted as they pass. Memory does not grow with the text: counts by rule, language, source and length class, and at most 20
dropped and 20 nearest-to-the-limit rows a rule. Which rows are shown depends on digests, not on the order or on batches.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sapwood.errors import InputError
from sapwood.text.quality import rules, terms
from sapwood.text.quality.criteria import LANGUAGE, Ruleset

SHOWN = 20
EXCERPT = 200  # characters
ALARM_ROWS = 20
"""A language or source with fewer rows raises no alarm."""
LENGTHS = (20, 100, 500, 2_000, 10_000, 100_000)
LENGTH_NAMES = ("under 20", "20 to 99", "100 to 499", "500 to 1,999", "2,000 to 9,999", "10,000 to 99,999", "100,000 and more")
GROUPINGS = ("language", "source", "length")
STAYED = ""


@dataclass
class Ledger:
    """Verdicts of one rule set, counted. `counts[grouping][group]` has rows by reason, `STAYED` being kept."""

    ruleset: Ruleset
    total: Counter[str] = field(default_factory=Counter)
    counts: dict[str, dict[str, Counter[str]]] = field(default_factory=lambda: {name: {} for name in GROUPINGS})
    mentions: dict[str, Counter[str]] = field(default_factory=dict)
    dropped: dict[str, list[Shown]] = field(default_factory=dict)
    nearest: dict[str, list[Shown]] = field(default_factory=dict)

    def add(self, verdicts: rules.Verdicts, groups: Mapping[str, Sequence[str]], measured: Mapping[str, Any], samples: Samples) -> None:
        """Count a batch. `groups`: the language and the source of each row."""
        names = (*self.ruleset.names, STAYED)
        reasons = [names[number] for number in verdicts.reason.tolist()]
        self.total.update(reasons)
        lengths = np.searchsorted(LENGTHS, np.asarray(measured["characters"]), side="right").tolist()
        for grouping, each in {**groups, "length": [LENGTH_NAMES[place] for place in lengths]}.items():
            for (group, reason), count in Counter(zip(each, reasons, strict=True)).items():
                self.counts[grouping].setdefault(group, Counter())[reason] += count
        for group in terms.IDENTITY:
            if f"mentions_{group}" in measured:
                hit = np.flatnonzero(np.asarray(measured[f"mentions_{group}"]) > 0).tolist()
                self.mentions.setdefault(group, Counter()).update(reasons[row] for row in hit)
        self._sample(verdicts, measured, samples)

    def refuse_suspicious(self, max_share: float) -> None:
        """Raise `InputError` when one rule removes more than `max_share` of a language or of a source. A language that is not asked
        for may go altogether."""
        for grouping in ("language", "source"):
            for group, found in sorted(self.counts[grouping].items()):
                for reason, count in sorted(found.items()):
                    rows = found.total()
                    if reason in (STAYED, LANGUAGE) or rows < ALARM_ROWS or count <= max_share * rows:
                        continue
                    raise InputError(
                        f"the rule {reason!r} removes {count} of {rows} rows in the {grouping} {group or '(none)'}, "
                        f"more than max_share {max_share:g}",
                        "look at the rows (sapwood data what-if) and mend the source or the limit; to go on as it is, set force: true",
                    )

    def _sample(self, verdicts: rules.Verdicts, measured: Mapping[str, Any], samples: Samples) -> None:
        """Dropped: the smallest digests of each rule. Nearest: the kept rows with the smallest distance to the rule's limit."""
        for number, name in enumerate(self.ruleset.names):
            gone = np.flatnonzero(verdicts.reason == number)
            self._keep(self.dropped, name, [(0.0, samples.digest(row), row) for row in gone.tolist()], verdicts.value, samples)
            if number == 0:
                continue
            far = np.where(verdicts.stays, verdicts.distance[:, number - 1], np.inf)
            bar = self.nearest[name][-1][0] if len(self.nearest.get(name, [])) == SHOWN else np.inf
            close = np.flatnonzero(np.isfinite(far) & (far <= bar))
            values = np.asarray(measured[self.ruleset.rules[name].statistic])
            self._keep(self.nearest, name, [(float(far[row]), samples.digest(row), row) for row in close.tolist()], values, samples)

    def _keep(self, held: dict[str, list[Shown]], name: str, found: list[tuple[float, Any, int]], values: Any, samples: Samples) -> None:
        """The first 20 by order and digest; of equal texts one."""
        if not found:
            return
        first: dict[str, Shown] = {}
        more = ((order, digest, samples.row(row, values[row])) for order, digest, row in _distinct(found))
        for one in sorted([*held.get(name, []), *more], key=lambda one: one[:2]):
            first.setdefault(one[1][0], one)
        held[name] = list(first.values())[:SHOWN]


Shown = tuple[float, tuple[str, str], dict[str, Any]]
"""(order, (digest of the text, id), the row)."""


def _distinct(found: list[tuple[float, Any, int]]) -> list[tuple[float, Any, int]]:
    """The first 20 of a batch, of equal texts one: a heap, since a batch may bring thousands."""
    chosen: dict[str, tuple[float, Any, int]] = {}
    size = SHOWN
    while len(chosen) < SHOWN and size < 2 * len(found):
        chosen = {}
        for one in heapq.nsmallest(size, found):
            chosen.setdefault(one[1][0], one)
        size *= 4
    return list(chosen.values())[:SHOWN] if chosen else list(found)


class Samples:
    """Rows of a batch, to be shown: looked up only for the few that are."""

    def __init__(self, ids: Sequence[str], texts: Sequence[str], digests: Sequence[str]) -> None:
        self.ids, self.texts, self.digests = ids, texts, digests

    def digest(self, row: int) -> tuple[str, str]:
        return str(self.digests[row]), str(self.ids[row])

    def row(self, row: int, value: float) -> dict[str, Any]:
        text = str(self.texts[row])
        shown: dict[str, Any] = {"id": str(self.ids[row]), "text": text[:EXCERPT] + ("…" if len(text) > EXCERPT else "")}
        return shown | {"value": round(float(value), 4)} if np.isfinite(value) else shown


def audit(ledger: Ledger) -> list[dict[str, Any]]:
    """What is removed of the rows that mention a group, beside what is removed of all rows: {group, n, removed, share, overall}."""
    rows = ledger.total.total()
    overall = 1 - ledger.total[STAYED] / rows if rows else 0.0
    found = []
    for group, counts in sorted(ledger.mentions.items()):
        if n := counts.total():
            removed = n - counts[STAYED]
            found.append({"group": group, "n": n, "removed": removed, "share": round(removed / n, 4), "overall": round(overall, 4)})
    return found
