"""Candidates: more wrong answers for each example, so that ranking is as hard as the real choice."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from pydantic import Field

from sapwood.artifact import Examples, Report
from sapwood.errors import InputError
from sapwood.stage import Json, Stage, Work

if TYPE_CHECKING:
    import numpy as np


class Offered(NamedTuple):
    examples: Examples
    report: Report


class Candidates(Stage):
    """Give each example of a set more wrong answers, drawn from the right answers of the set's other examples.

    It writes meta.candidates (a JSON list in random order) and meta.right. Run it on each part after `split`, so that no answer of the
    test set is seen in training. It does NOT know whether a drawn answer would do as well: with short replies some do, so no system reaches 1.
    """

    uses_seed: ClassVar[bool] = True
    examples: ClassVar[tuple[dict[str, Json], ...]] = ({"count": 3},)

    count: int = Field(10, ge=2, le=1000, description="Candidates of each example: the right one, its own wrong ones, and drawn ones.")

    def run(self, work: Work, examples: Examples) -> Offered:
        from sapwood.text import fields, rows
        from sapwood.text.writer import Writer

        source = work.path(examples)
        schema = rows.schema(source)
        told = fields.records(source, ["text", "meta.positive"])
        pool = sorted({row["meta.positive"] for row in told if row["meta.positive"]})
        right: dict[str, set[str]] = {}
        for row in told:
            right.setdefault(row["text"], set()).add(row["meta.positive"])
        if len(pool) < self.count:
            raise InputError(f"the set has {len(pool)} different right answers, {self.count} candidates are wanted", "lower count")
        folder, drawn = work.new("examples"), 0
        with Writer(folder, schema) as out:
            for batch in rows.batches(source):
                made = [self._offered(row, right[row["text"]], pool, work.seed) for row in batch.to_pylist()]
                drawn += sum(number for _, number in made)
                out.add([row for row, _ in made])
        return Offered(work.put(Examples, folder), _report(work, len(told), self.count, drawn))

    def _offered(self, row: dict[str, Any], right: set[str], pool: list[str], seed: int) -> tuple[dict[str, Any], int]:
        """The row with its candidates, and how many were drawn. What is drawn is f(seed, id of the row, the set's answers)."""
        import numpy as np

        from sapwood.text import rows

        meta = rows.meta(row)
        chance = np.random.default_rng([seed, int(row["id"][:8], 16)])
        own = [text for text in dict.fromkeys(json.loads(meta.get("negatives") or "[]")) if text not in right][: self.count - 1]
        others = _draw(chance, pool, right | set(own), self.count - 1 - len(own))
        texts = [meta["positive"], *own, *others]
        order = chance.permutation(len(texts)).tolist()
        meta["candidates"] = json.dumps([texts[i] for i in order], ensure_ascii=False)
        meta["right"] = str(order.index(0))
        return {**row, "meta": json.dumps(meta, ensure_ascii=False, sort_keys=True)}, len(others)


def _draw(chance: np.random.Generator, pool: list[str], taken: set[str], wanted: int) -> list[str]:
    """`wanted` different texts of the pool that are not taken, or as many as there are."""
    found: list[str] = []
    for place in chance.permutation(len(pool)):
        if len(found) == wanted:
            break
        if pool[place] not in taken:
            found.append(pool[place])
    return found


def _report(work: Work, examples: int, count: int, drawn: int) -> Report:
    from sapwood import report

    summary = f"{examples:,} examples with {count} candidates each; {drawn:,} wrong ones were drawn from other examples."
    note = "Of random order the first is right in 1 / candidates of the examples. A drawn answer may do as well as the right one."
    folder = work.new("report")
    report.write(folder, "Candidates", summary, {"examples": examples, "candidates": count, "drawn": drawn}, [report.text(note)])
    work.say(summary)
    return work.put(Report, folder)
