"""Evaluation texts inside training documents: copies, near copies, and texts held whole in a longer document. With evidence.

Both joins are exact (`overlaps`), so nothing over the thresholds is missed. Evaluation texts of fewer than 9 words or characters
are only found as exact copies: shorter ones stand everywhere by chance. It does not see paraphrase, translation, or an answer
that stands without its question.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from sapwood import report
from sapwood.text import duplicates, fields, overlaps, units

SHOWN, EXCERPT = 20, 200


class Evidence(NamedTuple):
    """Evaluation text `number` (over all sets, in order) is what a document holds; `score` is similarity or coverage in (0, 1]."""

    reason: str
    number: int
    score: float


class Told(NamedTuple):
    summary: str
    data: dict[str, Any]
    blocks: list[report.Block]


def contaminated(table: pa.Table, sets: Sequence[pa.Table], near: float, coverage: float) -> list[Evidence | None]:
    """Evidence against each document, or None: an exact copy, else a near copy, else the best covered text."""
    documents, texts = units.shingle(_texts(table)), units.shingle([text for one in sets for text in _texts(one)])
    found: list[Evidence | None] = [None] * table.num_rows
    held = overlaps.contained(documents, texts, coverage, duplicates.LEAST)
    for place in np.lexsort((-held.right, held.score)).tolist():  # later writes win: the best covered, then the first text
        found[int(held.left[place])] = Evidence("contains an evaluation text", int(held.right[place]), round(float(held.score[place]), 4))
    match = duplicates.matches(documents, texts, near)
    for row in np.flatnonzero(match.row >= 0).tolist():
        same = documents.keys[row] == texts.keys[int(match.row[row])]
        reason = "copy of an evaluation text" if same else "near copy of an evaluation text"
        found[row] = Evidence(reason, int(match.row[row]), round(float(match.jaccard[row]), 4))
    return found


def parted(table: pa.Table, found: Sequence[Evidence | None], ids: Sequence[str]) -> tuple[pa.Table, pa.Table]:
    """(kept, dropped) rows; the dropped ones with their evidence in `meta`. `ids`: of the evaluation texts."""
    stays = [one is None for one in found]
    added = [{"dropped": one.reason, "evidence": ids[one.number], "value": f"{one.score:g}"} for one in found if one]
    return table.filter(pa.array(stays, type=pa.bool_())), fields.with_meta(
        table.filter(pa.array([not stay for stay in stays], type=pa.bool_())), added
    )


def ids_of(sets: Sequence[pa.Table]) -> list[str]:
    return [name for one in sets for name in fields.values(one, "id")]


def told(table: pa.Table, sets: Sequence[pa.Table], found: Sequence[Evidence | None]) -> Told:
    """The report: counts by reason, evaluation texts met, and pairs to read side by side."""
    ids, texts = ids_of(sets), [text for one in sets for text in _texts(one)]
    counts = dict(sorted(Counter(one.reason for one in found if one).items()))
    hit = sum(counts.values())
    met = len({one.number for one in found if one})
    summary = f"{table.num_rows - hit:,} of {table.num_rows:,} documents kept; {hit:,} held {met:,} of {len(ids):,} evaluation texts."
    data = {
        "in": table.num_rows,
        "kept": table.num_rows - hit,
        "dropped": counts,
        "evaluation_texts": len(ids),
        "evaluation_texts_met": met,
    }
    mine = _texts(table)
    rows = [
        {
            "text": mine[row][:EXCERPT],
            "evidence": texts[one.number][:EXCERPT],
            "id": ids[one.number],
            "reason": one.reason,
            "value": one.score,
        }
        for row, one in enumerate(found)
        if one
    ]
    step = max(1, -(-len(rows) // SHOWN))
    blocks = [
        report.table("Dropped documents", ["reason", "documents"], [[reason, count] for reason, count in counts.items()]),
        report.samples("Documents and the evaluation texts in them", rows[::step], "Read them: a flag may be a quotation or boilerplate."),
    ]
    return Told(summary, data, blocks)


def _texts(table: pa.Table) -> list[str]:
    return [text or "" for text in fields.column(table, "text")]
