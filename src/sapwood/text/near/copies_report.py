"""What de-duplication did, as report blocks: rows by reason, language and source; sizes of clusters; alike texts side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from sapwood import report
from sapwood.text.near.copies import CONFLICT, EXACT, NEAR, REASONS, STAYS, Decisions, Names, Traits

Array = np.ndarray[Any, Any]

LARGEST, MEMBERS, LEAST_ALIKE = 10, 4, 10
"""Clusters shown, rows shown of each, and dropped near duplicates that are least like the row that stays."""
EXCERPT = 200  # characters
MOST_GROUPS = 30
SIZES = (1, 2, 3, 5, 10, 100, 1000)
"""Upper ends of the histogram's bins."""


class Cut(NamedTuple):
    """What paragraph-level work took out: `paragraphs` and `characters` from `rows`; `emptied` rows that had nothing left."""

    paragraphs: int = 0
    characters: int = 0
    rows: int = 0
    emptied: int = 0


class Told(NamedTuple):
    summary: str
    data: dict[str, Any]
    blocks: list[report.Block]


def examples(decisions: Decisions) -> list[int]:
    """The rows to be shown: of the largest clusters the kept row and some others, and the dropped rows least like the kept one."""
    sizes = np.bincount(decisions.cluster, minlength=len(decisions.cluster))
    largest = [row for row in np.lexsort((np.arange(len(sizes)), -sizes))[:LARGEST].tolist() if sizes[row] > 1]
    rows: list[int] = []
    for cluster in largest:
        members = np.flatnonzero(decisions.cluster == cluster)
        kept = int(decisions.kept[cluster])
        others = members[members != kept]
        rows += [kept, *others[np.linspace(0, len(others) - 1, min(MEMBERS - 1, len(others))).astype(int)].tolist()]
    return rows


def least_alike(decisions: Decisions) -> list[int]:
    near = np.flatnonzero(decisions.reason == NEAR)
    found: list[int] = near[np.argsort(decisions.similarity[near], kind="stable")[:LEAST_ALIKE]].tolist()
    return found


def tell(decisions: Decisions, traits: Traits, texts: Mapping[int, tuple[str, str]], cut: Cut, near: float) -> Told:
    """`texts`: row -> (id, text) of all that `examples` and `least_alike` name, and of the rows that these were compared with."""
    sizes = np.bincount(decisions.cluster, minlength=len(decisions.cluster))
    total = _counts(decisions.reason)
    groups = {"language": _groups(decisions.reason, traits.language), "source": _groups(decisions.reason, traits.source)}
    histogram = _histogram(sizes[sizes > 0])
    dropped = ", ".join(f"{count:,} {reason}" for reason, count in total["dropped"].items())
    summary = f"{total['kept'] - cut.emptied:,} of {total['in']:,} rows kept" + (f"; dropped: {dropped}" if dropped else "")
    if cut.paragraphs:
        summary += f"; {cut.paragraphs:,} repeated paragraphs ({cut.characters:,} characters) taken out of {cut.rows:,} rows"
    data = {
        "total": total,
        **groups,
        "near": near,
        "clusters": {"sizes": histogram, "largest": int(sizes.max(initial=0))},
        "paragraphs": cut._asdict(),
    }
    blocks = [
        report.text(
            "Rows are one cluster when they have the same words or characters (case, width, spacing and punctuation aside)"
            + (f", or when the Jaccard similarity of their runs of five reaches {near:g}." if near else ".")
            + " Wording only: paraphrase and translation are not found."
        ),
        _table("Rows by reason", "", {"all": total}),
        _table("Rows by language", "language", groups["language"]),
        _table("Rows by source", "source", groups["source"]),
        report.table("Clusters by size", ["rows in the cluster", "clusters", "rows"], histogram),
    ]
    if cut.paragraphs or cut.emptied:
        blocks.append(report.table("Repeated paragraphs", ["what", "count"], [[name, value] for name, value in cut._asdict().items()]))
    shown = [_shown(decisions, texts, row, int(sizes[decisions.cluster[row]])) for row in examples(decisions)]
    blocks.append(report.samples("Largest clusters", shown, "The row that stays comes first; similarity is to it."))
    pairs = [each for row in least_alike(decisions) for each in _pair(decisions, texts, row)]
    blocks.append(report.samples("Dropped, least alike", pairs, "If these are different texts, raise near."))
    return Told(summary + ".", data, blocks)


def _shown(decisions: Decisions, texts: Mapping[int, tuple[str, str]], row: int, size: int) -> dict[str, Any]:
    reason = int(decisions.reason[row])
    similarity = {STAYS: "", CONFLICT: "", EXACT: "1"}.get(reason, f"{decisions.similarity[row]:.3f}")
    return {**_excerpt(texts[row]), "reason": REASONS[reason] or "stays", "similarity": similarity, "cluster": size}


def _pair(decisions: Decisions, texts: Mapping[int, tuple[str, str]], row: int) -> list[dict[str, Any]]:
    kept = int(decisions.kept[row])
    similarity = f"{decisions.similarity[row]:.3f}"
    return [
        {**_excerpt(texts[row]), "reason": REASONS[NEAR], "similarity": similarity},
        {**_excerpt(texts[kept]), "reason": "stays for it", "similarity": ""},
    ]


def _excerpt(row: tuple[str, str]) -> dict[str, str]:
    name, text = row
    return {"id": name, "text": text[:EXCERPT] + ("…" if len(text) > EXCERPT else "")}


def _histogram(sizes: Array) -> list[list[Any]]:
    """[bin, clusters, rows] for each bin that has any."""
    found, low = [], 1
    for high in (*SIZES, None):
        inside = sizes[(sizes >= low) & ((sizes <= high) if high else True)]
        name = f"{low:,}" if high == low else f"{low:,} to {high:,}" if high else f"{low:,} and more"
        if len(inside):
            found.append([name, len(inside), int(inside.sum())])
        low = (high or 0) + 1
    return found


def _counts(reason: Array) -> dict[str, Any]:
    counts = np.bincount(reason, minlength=len(REASONS)).tolist()
    return {
        "in": len(reason),
        "kept": counts[0],
        "dropped": {name: count for name, count in zip(REASONS[1:], counts[1:], strict=True) if count},
    }


def _groups(reason: Array, names: Names) -> dict[str, Any]:
    codes = names.codes
    return {name: _counts(reason[codes == code]) for name, code in sorted(names.names.items())}


def _table(title: str, head: str, groups: dict[str, Any]) -> report.Block:
    """One row a group, the largest first; past MOST_GROUPS the note says that there are more."""
    reasons = [name for name in REASONS[1:] if any(name in found["dropped"] for found in groups.values())]
    ordered = sorted(groups.items(), key=lambda item: (-item[1]["in"], item[0]))
    rows = [[name or "(none)", found["in"], *(found["dropped"].get(r, 0) for r in reasons), found["kept"]] for name, found in ordered]
    note = f"The largest {MOST_GROUPS} of {len(rows)}; the others are in the report's data." if len(rows) > MOST_GROUPS else ""
    return report.table(title, [head or "rows", "in", *reasons, "kept"], rows[:MOST_GROUPS], note)
