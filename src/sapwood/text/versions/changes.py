"""What changed between two versions of rows: added, dropped, rewritten, relabelled; joined by id, whatever the order of the rows.

Two rows of one id are the same when their `text_digest` is; a label or language that differs is counted beside. A row whose id was
made anew (another source name or locator) counts as dropped and added. An id that one version holds twice is joined to its last row.

Memory: `PASS_ROWS` rows at a time, chosen by a hash of the id, each about 400 bytes; more rows take more passes over the columns
id, text_digest, label and language, which are small: 10 million rows take 10 passes, and the texts are read once, for the examples.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import xxhash

from sapwood.text import rows

PASS_ROWS = 1_000_000
CONTEXT = 24

KINDS = ("added", "dropped", "rewritten", "relabelled", "other language")


class Example(NamedTuple):
    """One changed row. `before` and `after` are its text on each side, cut around the first difference; "" where there is none."""

    kind: str
    id: str
    before: str
    after: str


@dataclass
class Changes:
    """Rows on both sides, and how many of each kind. A row that is rewritten and relabelled counts under both."""

    left: int = 0
    right: int = 0
    same: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    relabelled: Counter[tuple[str, str]] = field(default_factory=Counter)
    examples: list[Example] = field(default_factory=list)


def compare(left: Path, right: Path, examples: int = 3, pass_rows: int = PASS_ROWS) -> Changes:
    """Join two payloads by id. `examples`: how many to show of each kind, drawn by a hash of the id."""
    found = Changes(rows.count(left), rows.count(right))
    parts = max(1, -(-(found.left + found.right) // pass_rows))
    shown: dict[str, list[tuple[int, str]]] = {kind: [] for kind in KINDS}
    for part in range(parts):
        before = dict(_keyed(left, part, parts))
        for name, now in _keyed(right, part, parts):
            was = before.pop(name, None)
            for kind in _kinds(was, now, found):
                _keep(shown[kind], name, examples)
        found.counts["dropped"] += len(before)
        for name in before:
            _keep(shown["dropped"], name, examples)
    chosen = {kind: [name for _, name in heap] for kind, heap in shown.items()}
    found.examples = _examples(left, right, chosen)
    return found


Key = tuple[str, str, str]  # text digest, label, language


def _keyed(folder: Path, part: int, parts: int) -> Iterator[tuple[str, Key]]:
    names = _held(folder, "id", "text_digest", "label", "language")
    for batch in rows.batches(folder, names, 16_384):
        columns: dict[str, list[Any]] = {name: batch.column(name).to_pylist() for name in names}
        labels = columns.get("label") or [""] * batch.num_rows
        for name, digest, label, language in zip(columns["id"], columns["text_digest"], labels, columns["language"], strict=True):
            if parts == 1 or xxhash.xxh3_64_intdigest(name.encode()) % parts == part:
                yield name, (digest or "", label or "", language or "")


def _held(folder: Path, *names: str) -> list[str]:
    """Those of the columns that the payload has: documents have no label."""
    known = rows.schema(folder).names
    return [name for name in names if name in known]


def _kinds(was: Key | None, now: Key, found: Changes) -> list[str]:
    if was == now:
        found.same += 1
        return []
    if was is None:
        kinds = ["added"]
    else:
        kinds = [kind for kind, a, b in zip(("rewritten", "relabelled", "other language"), was, now, strict=True) if a != b]
        if was[1] != now[1]:
            found.relabelled[(was[1], now[1])] += 1
    found.counts.update(kinds)
    return kinds


def _keep(heap: list[tuple[int, str]], name: str, most: int) -> None:
    """Keep the names with the lowest hashes: the same ones whatever the order of the rows."""
    entry = (-xxhash.xxh3_64_intdigest(name.encode(), seed=1), name)
    if len(heap) < most:
        heapq.heappush(heap, entry)
    elif heap and entry > heap[0]:
        heapq.heapreplace(heap, entry)


def _examples(left: Path, right: Path, chosen: dict[str, list[str]]) -> list[Example]:
    wanted = {name for names in chosen.values() for name in names}
    before, after = _texts(left, wanted), _texts(right, wanted)
    made = []
    for kind, names in chosen.items():
        for name in sorted(names):
            one, two = before.get(name, ("", "", "")), after.get(name, ("", "", ""))
            if kind in ("relabelled", "other language"):
                place = 1 if kind == "relabelled" else 2
                made.append(Example(kind, name, f"{one[place]}: {one[0][:80]}", f"{two[place]}: {two[0][:80]}"))
            else:
                made.append(Example(kind, name, *around_difference(one[0], two[0])))
    return made


def _texts(folder: Path, wanted: set[str]) -> dict[str, tuple[str, str, str]]:
    """id -> (text, label, language). Only row groups that hold a wanted id have their text looked at in Python."""
    found: dict[str, tuple[str, str, str]] = {}
    if not wanted:
        return found
    for batch in rows.batches(folder, _held(folder, "id", "text", "label", "language")):
        ids = batch.column("id").to_pylist()
        for place, name in enumerate(ids):
            if name in wanted:
                row: dict[str, Any] = batch.slice(place, 1).to_pylist()[0]
                found[name] = (row["text"] or "", row.get("label") or "", row["language"] or "")
    return found


def around_difference(one: str, two: str, width: int = 120) -> tuple[str, str]:
    """Both texts from a little before their first difference, at most `width` characters of each."""
    shared = next((i for i, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), min(len(one), len(two)))
    start = max(0, shared - CONTEXT) if one and two else 0
    mark = "…" if start else ""
    return tuple(mark + text[start : start + width] + ("…" if len(text) > start + width else "") for text in (one, two))  # type: ignore[return-value]
