"""From an index of texts and the fields of rows to parts that share nothing: place, prove, mend, count.

A proof may find a near pair that MinHash missed (1 in 7,000 at Jaccard 0.7). Its clusters are joined and the split is made again, up to
`TRIES` times; the stage refuses what still crosses after that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from sapwood.errors import InputError
from sapwood.text.near.index import Index
from sapwood.text.parts import moments, naive, proof, split
from sapwood.text.parts.sides import Sides
from sapwood.text.parts.split import PARTS, Timed

Array = np.ndarray[Any, Any]

TRIES = 5
USUAL = ("label", "language")
"""Fields that documents may lack without a note."""
GIANT = 0.1
"""A cluster with more than this share of the rows is told of."""


class Cut(NamedTuple):
    """Rows after `after` (microseconds), or the newest `share` of them, go to the part `to`; `undated` rows too, or they are an error."""

    after: int | None
    share: float
    to: str
    undated: str


class Folds(NamedTuple):
    k: int
    fold: int
    dev: bool


class Plan(NamedTuple):
    """How to split; `ratios` by the name of the part, `caps` too. `hold_out`: whether some rows were asked to go to `later`."""

    ratios: Mapping[str, float]
    near: float
    folds: Folds | None = None
    cut: Cut | None = None
    caps: Mapping[str, int] = {}
    hold_out: bool = False

    @property
    def wanted(self) -> set[str]:
        """The parts that should have rows."""
        if self.folds is not None:
            return {"train", "test", *(["dev"] if self.folds.dev else [])}
        parts = {name for name, share in self.ratios.items() if share > 0}
        return parts | ({self.cut.to} if self.cut else set()) | ({"later"} if self.hold_out else set())


class Made(NamedTuple):
    """`part` and `fold` a row (fold None without folds); the proof before caps, and how many tries it took."""

    part: Array
    fold: Array | None
    proof: proof.Proof
    tries: int
    notes: list[str]
    leak: naive.Leak


def make(index: Index, sides: Sides, plan: Plan, advance: Callable[[float], None] = lambda _: None) -> Made:
    """Split the rows of the index; `advance(1)` is called for each of `signatures.BANDS` steps and may raise to stop.

    Raises `InputError` when train, test or the newer part would be empty, or no row has a group field."""
    if not len(index):
        raise InputError("there are no rows to split", "see the report of the step before: it dropped every row, or read none")
    draw, groups = sides.draw, sides.groups()
    field_notes = _field_notes(sides, groups)
    copies = index.clusters(plan.near, advance)
    timed = None if plan.cut is None else time_cut(sides.moment(), plan.cut)
    cluster = split.joined(copies, [(draw >> np.uint64(1)).astype(np.int64), *groups])  # rows of one id stay together too
    tries, found = 0, None
    while found is None or (len(found.left) and tries < TRIES):
        cluster = cluster if found is None else split.joined(cluster, [], (found.left, found.right))
        tries += 1
        part, fold = _placed(sides, cluster, plan, timed)
        found = proof.prove(index, part, plan.near, groups, timed)
    notes = [*_ratio_notes(plan), *field_notes, *_time_notes(cluster, timed), *checked(part, cluster, plan, timed)]
    leak = naive.from_clusters(draw, copies, index.exact(), plan.ratios)
    return Made(split.capped(part, draw, plan.caps), fold, found, tries, notes, leak)


def _placed(sides: Sides, cluster: Array, plan: Plan, timed: Timed | None) -> tuple[Array, Array | None]:
    if plan.folds is None:
        return split.by_ratio(sides.draw, cluster, sides.strata(), plan.ratios, sides.held(), timed), None
    fold = split.place(sides.draw, cluster, sides.strata(), [1.0] * plan.folds.k)
    return split.by_fold(fold, *plan.folds), fold


def time_cut(moment: Array, cut: Cut) -> Timed:
    """Which rows lie after the cut. Raises `InputError` when rows tell no time and may not, or when none is newer or older."""
    silent = int((moment == moments.NEVER).sum())
    if silent and (cut.undated == "refuse" or silent == len(moment)):
        raise InputError(
            f"{silent:,} of {len(moment):,} rows tell no time that can be read",
            "name another field under time, or set undated: newer to keep such rows out of train",
        )
    after = split.cut_of(moment, cut.share) if cut.after is None else cut.after
    newer = (moment > after) | (moment == moments.NEVER)
    told = moment[moment != moments.NEVER]
    if not (told > after).any() or (told > after).all():
        which = "newer" if not (told > after).any() else "older"
        span = f"they go from {moments.written(int(told.min()))} to {moments.written(int(told.max()))}"
        raise InputError(f"no row is {which} than the cut at {moments.written(after)}: {span}", "move the cut (after or share under time)")
    return Timed(after, newer, PARTS.index(cut.to))


def checked(part: Array, cluster: Array, plan: Plan, timed: Timed | None) -> list[str]:
    """Notes on parts without rows and on giant clusters. Raises `InputError` when train or test lacks rows that it should have."""
    sizes = np.bincount(cluster)
    giant = int(sizes.max())
    empty = [name for name in PARTS if name in plan.wanted and not (part == PARTS.index(name)).any()]
    whole = f"{len(part):,} rows are {int((sizes > 0).sum()):,} clusters of copies and groups that must stay whole, the largest of {giant:,} rows"
    fatal = [name for name in empty if name in ("train", "test")]
    if fatal:
        straddling = " Newer rows took their older copies and groups along." if timed else ""
        raise InputError(
            f"{' and '.join(fatal)} would be empty: {whole}.{straddling}",
            "give more rows or a larger share; if one cluster holds most rows, raise near or drop a group field",
        )
    notes = [f"The part {name} is empty, although it was given a share: {whole}." for name in empty]
    if giant > max(2, GIANT * len(part)):
        notes.append(
            f"One cluster of copies and groups holds {giant:,} of {len(part):,} rows ({giant / len(part):.0%}) and lies on one side."
        )
    return notes


def _ratio_notes(plan: Plan) -> list[str]:
    total = sum(plan.ratios.values())
    if plan.folds is not None or abs(total - 1) < 1e-6:
        return []
    parts = ", ".join(f"{name} {share / total:.3g}" for name, share in plan.ratios.items() if share > 0)
    return [f"The shares sum to {total:g}, not to 1; taken in proportion they are {parts}."]


def _field_notes(sides: Sides, groups: Sequence[Array]) -> list[str]:
    """Fields that no row has: an error for a group, which would then hold nothing together; a note where nothing leaks for it."""
    for name, code in zip(sides.asked.group, groups, strict=True):
        if not (code >= 0).any():
            raise InputError(f"no row has a value of the group field {name!r}", "mend its name, or leave it out of group")
    held, asked = sides.held(), sides.asked
    notes = []
    if held is not None and asked.hold_out is not None and not held.any():
        notes.append(f"No row is held out: none has {' or '.join(asked.hold_out[1])} as {asked.hold_out[0]}.")
    for place, name in enumerate(asked.stratify):
        if name not in USUAL and not any(cell[place] for cell in sides.cells):
            notes.append(f"No row has a value of {name}, so the parts are not stratified by it.")
    return notes


def _time_notes(cluster: Array, timed: Timed | None) -> list[str]:
    if timed is None:
        return []
    newer, older = np.zeros((2, len(cluster)), dtype=bool)
    newer[cluster[timed.newer]] = True
    older[cluster[~timed.newer]] = True
    both = newer & older
    moved = int((both[cluster] & ~timed.newer).sum())
    note = f"The cut is {moments.written(timed.cut)}: {int(timed.newer.sum()):,} rows are newer and went to {PARTS[timed.to]}."
    return [
        note + (f" {int(both.sum()):,} clusters lie on both sides of it and went there whole, with {moved:,} older rows." if moved else "")
    ]
