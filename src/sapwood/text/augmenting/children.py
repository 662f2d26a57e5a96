"""Make children of rows in one stream, and keep those that are new.

A child has a new id (from its parent's id, the operator, its number and its text), its parent's id in `parents` (two for a mixture),
and its parent's label, source, licence, language and every other column. A child equal to any row of the input, to a held-out row or to
an earlier child is dropped with that reason; equal is the same text but for case, width and white space.

Memory: one batch; 16 bytes an input row and a held-out row and 24 a child past `BUDGET` on disk (`Spill`), else in memory; while children
are compared, 24 bytes a child of one part of at most `PART` children, and one byte for every child; the pools of partners that `mix` asks for (`pools`).

It does not see a child that is nearly equal to a held-out row: parents are not, and children are near their parents. Run `decontaminate`
behind it where even that must be excluded.
"""

from __future__ import annotations

import heapq
import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import xxhash

from sapwood.text import rows
from sapwood.text.augmenting import opening, operators, protected
from sapwood.text.augmenting.edits import draw
from sapwood.text.augmenting.opening import Operator, Outcome, Parent
from sapwood.text.augmenting.operators import Mix
from sapwood.text.augmenting.pools import Pools
from sapwood.text.near.spill import Spill
from sapwood.text.units import normal_form
from sapwood.text.writer import Writer

Array = np.ndarray[Any, Any]
Row = dict[str, Any]

BUDGET = 64 << 20
PART = 4_000_000
BLOCK = 1 << 20
SIZE = 1024
SHOWN = 100
NOTHING_LOST = ("nothing to change", "no partner of its label")
"""Reasons that leave no text behind: they are counted only."""
FATES = ("kept", "equal to another row", "equal to a held-out row", "equal to an earlier child")


class Plan(NamedTuple):
    """What to make: `copies` of each operator from a share of the rows that have one of the labels (none: all)."""

    operators: Sequence[tuple[str, Operator]]
    copies: int
    labels: frozenset[str]
    share: float
    seed: int
    names: tuple[str, ...]
    stop: Callable[[], None]


@dataclass
class Survey:
    """What the first pass over the rows finds. Ids and texts as 64-bit hashes."""

    ids: Spill
    texts: Spill
    pools: Pools

    def close(self) -> None:
        self.ids.close()
        self.texts.close()


class Pair(NamedTuple):
    """A parent and its child, to be shown."""

    operator: str
    parent: str
    child: str


@dataclass
class Grown:
    """`counts[operator]`: attempts by what became of them. `shown[operator]`: pairs drawn by a hash of the child's id."""

    counts: dict[str, Counter[str]] = field(default_factory=dict)
    shown: dict[str, list[tuple[int, Pair]]] = field(default_factory=dict)
    parents: int = 0


def text_key(text: str) -> int:
    """64 bits; equal for texts that differ in case, width or white space only."""
    return xxhash.xxh3_64_intdigest(normal_form("".join(text.split())).encode("utf-8", "surrogatepass"))


def id_key(name: str) -> int:
    return xxhash.xxh3_64_intdigest(name.encode("utf-8", "surrogatepass"))


def survey(folders: Iterable[Path], scratch: Path, name: str, seed: int = 0, pool: int = 0) -> Survey:
    """Hash ids and texts; with `pool`, draw so many possible partners of each (label, language, licence)."""
    found = Survey(Spill(scratch / f"{name}-ids", BUDGET // 4), Spill(scratch / f"{name}-texts", BUDGET // 4), Pools(pool, seed))
    for folder in folders:
        for batch in rows.batches(folder, ["id", "text", *(["label", "language", "license"] if pool else [])]):
            listed = batch.to_pylist()
            found.ids.append(np.array([id_key(row["id"]) for row in listed], dtype=np.uint64))
            found.texts.append(np.array([text_key(row["text"] or "") for row in listed], dtype=np.uint64))
            for row in listed if pool else ():
                found.pools.add((row["label"] or "", row["language"] or "", row["license"] or ""), row["id"], row["text"] or "")
    return found


# --------------------------------------------------------------------------- making


def breed(folder: Path, plan: Plan, born: Path, keys: Spill, dropped: Writer, grown: Grown, tick: Callable[[int], None]) -> None:
    """Write every child to `born` and its text's key to `keys`; failures of a model go to `dropped` with their reason."""
    automaton = protected.automaton(plan.names)
    with Writer(born, rows.schema(folder)) as out:
        for batch in rows.batches(folder, None, SIZE):
            plan.stop()
            listed = batch.to_pylist()
            chosen = [row for row in listed if _chosen(row, plan)]
            grown.parents += len(chosen)
            parents = [_parent(row, automaton) for row in chosen]
            made = [(name, number, operator(parents, number)) for name, operator in plan.operators for number in range(plan.copies)]
            children = [
                child
                for place, row in enumerate(chosen)  # a row's children stand together, wherever the batch ends
                for name, number, outcomes in made
                if (child := _child_or_fault(row, outcomes[place], name, number, dropped, grown)) is not None
            ]
            out.add(children)
            keys.append(np.array([text_key(child["text"]) for child in children], dtype=np.uint64))
            tick(len(listed))


def _chosen(row: Row, plan: Plan) -> bool:
    if not (row["text"] or "").strip() or (plan.labels and row.get("label") not in plan.labels):
        return False
    return plan.share >= 1 or draw(plan.seed, row["id"], "chosen").random() < plan.share


def _parent(row: Row, automaton: Any) -> Parent:
    told = (row["language"] or "", row.get("label") or "", row["license"] or "")
    return Parent(row["id"], row["text"], *told, protected.hidden(row["text"], automaton))


def _child_or_fault(row: Row, outcome: Outcome, name: str, number: int, dropped: Writer, grown: Grown) -> Row | None:
    """The child, counted; a failure goes to `dropped` with the parent's text and the reason."""
    counts = grown.counts.setdefault(name, Counter())
    counts["tried"] += 1
    if outcome.text is not None:
        return _child(row, outcome.text, outcome, f"{name}/{number}", name)
    reason = outcome.reason.partition(":")[0]
    counts[reason] += 1
    if reason not in NOTHING_LOST:
        dropped.add([_child(row, row["text"], outcome, f"{name}/{number}", name, outcome.reason)])
    return None


def _child(row: Row, text: str, outcome: Outcome, place: str, name: str, reason: str = "") -> Row:
    digest = rows.text_digest(text)
    meta = {**rows.meta(row), "augment": name} | ({"dropped": reason} if reason else {})
    return {
        **row,
        "id": rows.document_id("augment", f"{row['id']}\0{place}\0{reason or digest}"),
        "text": text,
        "text_digest": digest,
        "parents": [row["id"], *([outcome.partner] if outcome.partner else [])],
        "meta": json.dumps(meta, ensure_ascii=False, sort_keys=True),
    }


# --------------------------------------------------------------------------- sifting


def fates(children: Spill, inputs: Spill, held_out: Spill | None) -> Array:
    """uint8 a child: its place in `FATES`. The first of equal children is kept."""
    fate = np.zeros(children.count, dtype=np.uint8)
    parts = max(1, -(-children.count // PART))
    for part in range(parts):
        places, keys = _part(children, part, parts)
        order = np.argsort(keys, kind="stable")
        ordered = keys[order]
        again = np.zeros(len(keys), dtype=bool)
        again[order[1:]] = ordered[1:] == ordered[:-1]
        mine = np.where(again, 3, 0).astype(np.uint8)
        for number, others in ((1, inputs), (2, held_out)):
            if others is not None:
                mine[_among(keys, ordered, order, others)] = number
        fate[places] = mine
    return fate


def missing(wanted: Spill, known: Spill) -> int:
    """How many of the wanted hashes are not known."""
    absent, parts = 0, max(1, -(-wanted.count // PART))
    for part in range(parts):
        _, keys = _part(wanted, part, parts)
        order = np.argsort(keys, kind="stable")
        absent += int((~_among(keys, keys[order], order, known)).sum())
    return absent


def _part(found: Spill, part: int, parts: int) -> tuple[Array, Array]:
    """(places, hashes) of those that fall into a part."""
    places, keys = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.uint64)]
    for start in range(0, found.count, BLOCK):
        block = found.read(start, min(start + BLOCK, found.count))
        inside = np.flatnonzero(block % np.uint64(parts) == part)
        places.append(inside + start)
        keys.append(block[inside])
    return np.concatenate(places), np.concatenate(keys)


def _among(keys: Array, ordered: Array, order: Array, others: Spill) -> Array:
    """bool a key: whether it is among the others, which are read block by block."""
    hit = np.zeros(len(keys), dtype=bool)
    for start in range(0, others.count if len(keys) else 0, BLOCK):
        block = others.read(start, min(start + BLOCK, others.count))
        left, right = np.searchsorted(ordered, block, "left"), np.searchsorted(ordered, block, "right")
        found = right > left
        for low, high in zip(left[found].tolist(), right[found].tolist(), strict=True):
            hit[order[low:high]] = True
    return hit


def sift(parents: Path, born: Path, fate: Array, outs: tuple[Writer, Writer, Writer], known: Survey, scratch: Path, grown: Grown) -> int:
    """Write (all, children, dropped): parents and kept children; kept children; the others with their reason. Returns how many children
    name a parent that is not in the input, which is always 0 unless an operator is wrong."""
    everything, kept, dropped = outs
    mothers = Spill(scratch / "mothers", BUDGET // 4)
    for batch in rows.batches(parents):
        everything.add_table(batch)
    place = 0
    for batch in rows.batches(born):
        codes = fate[place : place + batch.num_rows]
        place += batch.num_rows
        listed = batch.to_pylist()
        stay = batch.filter(pa.array(codes == 0))
        everything.add_table(stay)
        kept.add_table(stay)
        mothers.append(np.array([id_key(name) for row in listed for name in row["parents"]], dtype=np.uint64))
        for row, code in zip(listed, codes.tolist(), strict=True):
            grown.counts[rows.meta(row)["augment"]][FATES[code]] += 1
        dropped.add(
            {**row, "meta": json.dumps({**rows.meta(row), "dropped": FATES[code]}, ensure_ascii=False, sort_keys=True)}
            for row, code in zip(listed, codes.tolist(), strict=True)
            if code
        )
        _show(listed, codes, grown)
    orphans = missing(mothers, known.ids)
    mothers.close()
    return orphans


def _show(listed: list[Row], codes: Array, grown: Grown) -> None:
    for row, code in zip(listed, codes.tolist(), strict=True):
        if code:
            continue
        name = rows.meta(row)["augment"]
        heap = grown.shown.setdefault(name, [])
        entry = (-id_key(row["id"]), Pair(name, row["parents"][0], row["text"]))
        if len(heap) < SHOWN:
            heapq.heappush(heap, entry)
        elif entry > heap[0]:
            heapq.heapreplace(heap, entry)


def with_texts(parents: Path, grown: Grown) -> list[Pair]:
    """The pairs to show, the parent's id replaced by its text."""
    pairs = [pair for heap in grown.shown.values() for _, pair in sorted(heap, reverse=True)]
    wanted = {pair.parent for pair in pairs}
    texts: dict[str, str] = {}
    for batch in rows.batches(parents, ["id", "text"]):
        texts.update((row["id"], row["text"]) for row in batch.to_pylist() if row["id"] in wanted)
    return [pair._replace(parent=texts[pair.parent]) for pair in pairs]


def pool_size(given: Sequence[Any]) -> int:
    return max((one.pool for one in given if isinstance(one, Mix)), default=0)


def opened(given: Sequence[Any], setting: opening.Setting) -> list[tuple[str, Operator]]:
    """Every operator with its name, ready to make children."""
    return [(name, opening.opened(name, one, setting)) for name, one in operators.named(given)]
