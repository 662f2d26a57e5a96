"""Rules as data: a statistic, a comparison and a limit, judged over what was measured once. Changing a limit measures nothing again.

What a rule is stands in `criteria`. Judging 100,000 rows by eight rules takes 75 ms.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from sapwood.errors import InputError
from sapwood.text import language
from sapwood.text.quality import statistics
from sapwood.text.quality.criteria import Rule, Ruleset

KEPT = -1


class Verdicts(NamedTuple):
    """Of n texts: `reason` is the number of the first rule that is broken or `KEPT`; `value` and `limit` are that rule's (NaN for the
    language); `distance[n, rules]` is how far a value is from its limit as a share of the limit (inf where the rule does not judge)."""

    reason: Any
    value: Any
    limit: Any
    distance: Any

    @property
    def stays(self) -> Any:
        return self.reason == KEPT


def judge(ruleset: Ruleset, measured: Mapping[str, Any], codes: Sequence[str], varieties: Sequence[str]) -> Verdicts:
    """Judge n texts by their statistics (float64[n] by name; NaN is never a fault)."""
    count = len(codes)
    pairs = list(zip(codes, varieties, strict=True))
    kinds = sorted(set(pairs))
    number = {pair: place for place, pair in enumerate(kinds)}
    which = np.fromiter((number[pair] for pair in pairs), dtype=np.int64, count=count)
    reason, value, limit = np.full(count, KEPT), np.full(count, np.nan), np.full(count, np.nan)
    if ruleset.languages:
        wanted = {*ruleset.languages, language.UNKNOWN}
        reason[~np.array([code in wanted or variety in wanted for code, variety in kinds], dtype=bool)[which]] = 0
    distance = np.full((count, len(ruleset.rules)), np.inf)
    for place, rule in enumerate(ruleset.rules.values(), start=1):
        bounds = np.array([_or_nan(rule.limit_of(*kind)) for kind in kinds])[which]
        found = np.asarray(measured[rule.statistic], dtype=np.float64)
        for name, least in rule.when.items():
            bounds = np.where(np.asarray(measured[name]) >= least, bounds, np.nan)
        broken = (found < bounds if rule.comparison == "at_least" else found > bounds) & (reason == KEPT)
        reason[broken], value[broken], limit[broken] = place, found[broken], bounds[broken]
        far = np.abs(found - bounds) / np.maximum(np.abs(bounds), 1e-9)
        distance[:, place - 1] = np.where(np.isnan(far), np.inf, np.round(far, 4))
    return Verdicts(reason, value, limit, distance)


def check(rules: Mapping[str, Rule], lists: Sequence[str]) -> list[str]:
    """Faults of rules: statistics that there are not, no limit; one sentence each. `lists`: the word lists that are given."""
    from sapwood.plugins import nearest

    faults = []
    for name, rule in rules.items():
        if rule.limit is None and not rule.limits:
            faults.append(f"rule {name!r} has no limit: give limit, or limits by language")
        for wanted in (rule.statistic, *rule.when):
            if wanted in statistics.NAMES or wanted in lists:
                continue
            if wanted.startswith(LISTED):
                faults.append(f"rule {name!r} needs the word list {wanted!r}, which no field gives: {HOW_TO_GET.format(wanted)}")
            else:
                faults.append(f"rule {name!r}: there is no statistic {wanted!r}. {nearest(wanted, [*statistics.NAMES, *lists])}")
    return faults


LISTED = ("toxic", "bias", "list_")
"""Statistics that begin so are hits of a word list per 1,000 units."""
HOW_TO_GET = (
    "set word_lists: {{{0}: {{path: words.txt}}}} with one term a line, or {{{0}: {{sample: naughty-words}}}} (sapwood samples list)"
)


def refuse_unknown(rules: Mapping[str, Rule], lists: Sequence[str]) -> None:
    """Raise `InputError` with the first fault of `check`."""
    for fault in check(rules, lists):
        raise InputError(fault, "mend the rules of the step")


def _or_nan(limit: float | None) -> float:
    return np.nan if limit is None else limit
