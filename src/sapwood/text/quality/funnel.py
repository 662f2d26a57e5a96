"""What cleaning did, as report blocks: rows in, dropped by reason, kept; by language, source and length; rows to read; the audit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from sapwood import report
from sapwood.text.quality import ledger, terms
from sapwood.text.quality.ledger import STAYED, Ledger

MOST_GROUPS = 30
FEWEST_MENTIONS = 20
"""Shares of fewer rows than this are not set beside the overall one."""


def data(judged: Ledger, changes: Mapping[str, int]) -> dict[str, Any]:
    """Numbers for programs: in, kept, dropped by reason; the same by language, source and length; the rules; the audit; changes."""
    grouped = {name: {group: _counts(found) for group, found in sorted(groups.items())} for name, groups in judged.counts.items()}
    rules = {name: rule.model_dump(exclude_defaults=True) | {"version": rule.version} for name, rule in judged.ruleset.rules.items()}
    changed = dict(sorted(changes.items()))
    return {"total": _counts(judged.total), **grouped, "rules": rules, "audit": ledger.audit(judged), "changes": changed}


def summary(judged: Ledger) -> str:
    total = _counts(judged.total)
    dropped = ", ".join(f"{count:,} {reason}" for reason, count in total["dropped"].items())
    return f"{total['kept']:,} of {total['in']:,} rows kept" + (f"; dropped: {dropped}." if dropped else ".")


def blocks(judged: Ledger, changes: Mapping[str, int]) -> list[report.Block]:
    found = data(judged, changes)
    changed = list(found["changes"].items())
    order = {name: place for place, name in enumerate(ledger.LENGTH_NAMES)}
    by_length = dict(sorted(found["length"].items(), key=lambda item: order[item[0]]))
    return [
        _table("Rows by reason", "", {"all": found["total"]}),
        _table("Rows by language", "language", _largest(found["language"])),
        _table("Rows by source", "source", _largest(found["source"])),
        _table("Rows by length", "characters", by_length),
        _rules(judged),
        *([report.table("What was changed", ["change", "times"], changed)] if changed else []),
        *_audit(found["audit"]),
        *[report.samples(f"Dropped: {name}", [_shown(row, name) for row in rows]) for name, rows in samples(judged.dropped).items()],
        *[
            report.samples(f"Kept, nearest to: {name}", [_shown(row, f"near {name}") for row in rows], "If these are good, there is room.")
            for name, rows in samples(judged.nearest).items()
        ],
    ]


def samples(held: Mapping[str, list[tuple[Any, ...]]]) -> dict[str, list[dict[str, Any]]]:
    """The rows kept for reading, by rule: dropped ones in the order of their digests, kept ones from the nearest on."""
    return {name: [row for _, _, row in rows] for name, rows in sorted(held.items())}


def _shown(row: dict[str, Any], reason: str) -> dict[str, Any]:
    return {**row, "reason": reason}


def _counts(reasons: Counter[str]) -> dict[str, Any]:
    dropped = {reason: count for reason, count in sorted(reasons.items()) if reason != STAYED}
    return {"in": reasons.total(), "kept": reasons[STAYED], "dropped": dropped}


def _largest(groups: dict[str, Any]) -> dict[str, Any]:
    return dict(sorted(groups.items(), key=lambda item: (-item[1]["in"], item[0])))


def _table(title: str, head: str, groups: dict[str, Any]) -> report.Block:
    """One row a group in their order; past 30 the note says that there are more."""
    reasons = sorted({reason for found in groups.values() for reason in found["dropped"]})
    rows = [
        [name or "(none)", found["in"], *(found["dropped"].get(reason, 0) for reason in reasons), found["kept"]]
        for name, found in groups.items()
    ]
    note = f"The first {MOST_GROUPS} of {len(rows)}; the others are in the report's data." if len(rows) > MOST_GROUPS else ""
    return report.table(title, [head or "rows", "in", *reasons, "kept"], rows[:MOST_GROUPS], note)


def _rules(judged: Ledger) -> report.Block:
    rows = []
    for name, rule in judged.ruleset.rules.items():
        others = ", ".join(f"{code} {'-' if limit is None else f'{limit:g}'}" for code, limit in sorted(rule.limits.items()))
        limit = "-" if rule.limit is None else f"{rule.limit:g}"
        only = ", ".join(f"{stat} from {least:g}" for stat, least in sorted(rule.when.items()))
        rows.append([name, rule.statistic, rule.comparison.replace("_", " "), limit, others or "-", only or "-", rule.version])
    columns = ["rule", "statistic", "kept", "limit", "by language", "judged where", "version"]
    return report.table("Rules", columns, rows, "sapwood data what-if shows what another limit would keep and drop.")


def _audit(found: list[dict[str, Any]]) -> list[report.Block]:
    if not found:
        return []
    rows = [[one["group"], one["n"], one["removed"], _share(one), f"{one['overall']:.2%}"] for one in found]
    note = (
        f"Rows that hold one of {sum(len(words.split(',')) for words in terms.IDENTITY.values())} neutral English and Chinese terms for "
        "people. A share far above the overall one says that the rules silence a group. A mention is not an attitude."
    )
    return [report.table("What was removed, by who is mentioned", ["group", "rows", "removed", "share", "share of all rows"], rows, note)]


def _share(one: dict[str, Any]) -> str:
    return f"{one['share']:.2%}" if one["n"] >= FEWEST_MENTIONS else "too few"
