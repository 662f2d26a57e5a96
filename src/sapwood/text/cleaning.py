"""Cleaning of rows: normalise, language, quality, personal data, duplicates, in that order; one reason for each row that goes.

Pure over Arrow tables; memory is about 10 times the text. What each step does not do is said in its own module.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa

from sapwood.errors import InputError
from sapwood.text import duplicates, fields, language, normalise, pii, quality, rows, units

ALARM_ROWS = 20
"""A language with fewer rows raises no alarm."""
ASKED_FOR = ("language",)
"""Reasons that a user names outright; they may remove all of a language."""


@dataclass(frozen=True)
class Rules:
    """`languages`: codes to keep, empty keeps all (`und` always stays). `near`: Jaccard threshold, 0 is off."""

    limits: quality.Limits = field(default_factory=quality.Limits)
    by_language: Mapping[str, quality.Limits] = field(default_factory=dict)
    languages: tuple[str, ...] = ()
    mask: bool = False
    near: float = 0.8
    keep: Literal["first", "longest"] = "first"


class Drop(NamedTuple):
    """Why a row goes: the rule, what was measured (or the id that it copies) and the limit."""

    reason: str
    value: str
    limit: str


class Judged(NamedTuple):
    """All rows with their new text, language and digest. `drops[i]` is None for a row that stays; `nearest[i]` is the limit
    that it came nearest to. `changes` counts rows by normalising step and findings by type of personal data."""

    rows: pa.Table
    drops: list[Drop | None]
    nearest: list[quality.Failure | None]
    changes: dict[str, int]

    def take(self, stays: bool) -> pa.Table:
        return self.rows.filter(pa.array([(drop is None) == stays for drop in self.drops], type=pa.bool_()))


class _Prepared(NamedTuple):
    texts: list[str]
    languages: list[str]
    drops: list[Drop | None]
    nearest: list[quality.Failure | None]


def clean(table: pa.Table, rules: Rules, advance: Callable[[float], None] = lambda _: None) -> Judged:
    """Judge every row. `advance(n)` is called as rows are done; the result does not depend on how they are batched."""
    raw = [text or "" for text in fields.column(table, "text")]
    changes: Counter[str] = Counter()
    parts = []
    for start, end in units.chunks(raw):
        parts.append(_prepare(raw[start:end], rules, changes))
        advance(end - start)
    texts = [text for part in parts for text in part.texts]
    languages = [code for part in parts for code in part.languages]
    drops = [drop for part in parts for drop in part.drops]
    nearest = [failure for part in parts for failure in part.nearest]
    _drop_duplicates(texts, labels_of(table), fields.values(table, "id"), drops, rules)
    changed = fields.replaced(table, "text", texts)
    changed = fields.replaced(changed, "language", languages)
    changed = fields.replaced(changed, "text_digest", [rows.text_digest(text) for text in texts])
    added = [{} if drop is None else {"dropped": drop.reason, "value": drop.value, "limit": drop.limit} for drop in drops]
    return Judged(fields.with_meta(changed, added), drops, nearest, dict(sorted(changes.items())))


def labels_of(table: pa.Table) -> list[str]:
    """The `label` column, else `meta.label`, else empty strings."""
    return fields.values(table, "label" if "label" in table.column_names else "meta.label")


def refuse_suspicious(judged: Judged, max_share: float) -> None:
    """Raise `InputError` when one rule removes more than `max_share` of a language."""
    languages = fields.values(judged.rows, "language")
    totals = Counter(languages)
    removed = Counter((drop.reason, code) for drop, code in zip(judged.drops, languages, strict=True) if drop)
    for (reason, code), count in sorted(removed.items()):
        if totals[code] >= ALARM_ROWS and count > max_share * totals[code] and reason not in ASKED_FOR:
            raise InputError(
                f"the rule {reason!r} removes {count} of {totals[code]} rows in {code}, more than max_share {max_share:g}",
                "look at the rows and mend the source or the limit; to go on as it is, set force: true",
            )


def _prepare(raw: Sequence[str], rules: Rules, changes: Counter[str]) -> _Prepared:
    """Normalise, language, quality and mask of one chunk. Each row by itself."""
    normals = [normalise.normalise(text) for text in raw]
    changes.update(f"normalised: {step}" for normal in normals for step in normal.steps)
    texts = [normal.text for normal in normals]
    codes = [found.code for found in language.identify_all(texts)]
    measures = quality.measure(texts)
    limits = [quality.limits_for(code, rules.limits, rules.by_language) for code in codes]
    drops = [_judged(code, measured, limit, rules) for code, measured, limit in zip(codes, measures, limits, strict=True)]
    nearest = [quality.margin(measured, limit) for measured, limit in zip(measures, limits, strict=True)]
    if rules.mask:
        masked = [pii.mask(text) for text in texts]
        texts = [text for text, _ in masked]
        for _, counts in masked:
            changes.update({f"masked: {kind}": count for kind, count in counts.items()})
    return _Prepared(texts, codes, drops, nearest)


def _judged(code: str, measured: quality.Measures, limits: quality.Limits, rules: Rules) -> Drop | None:
    if rules.languages and code not in (*rules.languages, language.UNKNOWN):
        return Drop("language", code, " ".join(rules.languages))
    failure = quality.judge(measured, limits)
    return Drop(failure.reason, f"{failure.value:g}", f"{failure.limit:g}") if failure else None


def _drop_duplicates(texts: Sequence[str], labels: Sequence[str], ids: Sequence[str], drops: list[Drop | None], rules: Rules) -> None:
    """Fill in `drops` for conflicting labels, exact copies, then near ones, among the rows that are still in."""
    alive = np.array([row for row, drop in enumerate(drops) if drop is None], dtype=np.int64)
    mine = [texts[row] for row in alive.tolist()]
    shingled = units.shingle(mine)
    same = duplicates.exact(shingled)
    cluster = duplicates.clusters(shingled, rules.near) if rules.near else same
    kept = duplicates.keepers(mine, cluster, rules.keep).tolist()
    named: dict[int, set[str]] = {}
    for place, row in enumerate(alive.tolist()):
        if labels[row]:
            named.setdefault(int(cluster[place]), set()).add(labels[row])
    for place, row in enumerate(alive.tolist()):
        found = named.get(int(cluster[place]), set())
        if len(found) > 1:
            drops[row] = Drop("conflicting label", " | ".join(sorted(found)), "1 label")
        elif kept[place] != place:
            copied = same[place] == same[kept[place]]
            limit = "1" if copied else f"{rules.near:g}"
            drops[row] = Drop("exact duplicate" if copied else "near duplicate", ids[int(alive[kept[place]])], limit)
