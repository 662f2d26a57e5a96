"""Mix new examples with a sample of old ones, so that a model learns the new without losing the old."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import Field

from sapwood import report
from sapwood.artifact import Examples, Report
from sapwood.stage import Stage, Work

if TYPE_CHECKING:
    import numpy as np


class Replayed(NamedTuple):
    train: Examples
    report: Report


class Replay(Stage):
    """Mix all new examples with a seeded sample of old ones, stratified by label.

    An old row with the text or the id of a new one gives way, so that a corrected label replaces the one it corrects.
    It does NOT measure forgetting: evaluate on old and on new examples afterwards.
    """

    uses_seed = True
    examples = ({"ratio": 1.0, "min_old": 100},)

    ratio: float = Field(2.0, ge=0, le=1000, description="Old rows to take for each new row.")
    min_old: int = Field(500, ge=0, description="Take at least this many old rows, where there are so many.")

    def run(self, work: Work, new: Examples, old: Examples) -> Replayed:
        import numpy as np
        import pyarrow as pa

        from sapwood.text import rows

        fresh, kept = rows.read(work.path(new)), rows.read(work.path(old))
        digests, ids = set(fresh["text_digest"].to_pylist()), set(fresh["id"].to_pylist())
        pool = [
            i for i, (digest, name) in enumerate(zip(kept["text_digest"].to_pylist(), kept["id"].to_pylist(), strict=True))
            if digest not in digests and name not in ids
        ]  # fmt: skip
        wanted = min(len(pool), max(self.min_old, round(self.ratio * fresh.num_rows)))
        rng = np.random.default_rng(work.seed)
        taken = stratified([kept["label"][i].as_py() for i in pool], wanted, rng)
        mixed = pa.concat_tables([fresh, kept.take(pa.array([pool[i] for i in taken], pa.int64()))])
        mixed = mixed.take(pa.array(rng.permutation(mixed.num_rows), pa.int64()))
        folder = work.new("train")
        rows.write(folder, mixed)
        counts = {"new": fresh.num_rows, "old": kept.num_rows, "replaced": kept.num_rows - len(pool), "taken": len(taken)}
        made = work.put(Examples, folder)
        labels = [str(one) for one in fresh["label"].to_pylist()], [str(one) for one in mixed["label"].to_pylist()]
        return Replayed(made, self._report(work, counts, *labels))

    def _report(self, work: Work, counts: dict[str, int], new: list[str], mixed: list[str]) -> Report:
        labels = sorted(set(mixed))
        table: list[list[Any]] = [[label, new.count(label), mixed.count(label) - new.count(label)] for label in labels]
        summary = f"{counts['new']} new and {counts['taken']} of {counts['old']} old rows; {counts['replaced']} old ones gave way"
        folder = work.new("report")
        by_label = {row[0]: {"new": row[1], "old": row[2]} for row in table}
        blocks = [report.table("Rows by label", ["label", "new", "old"], table)]
        report.write(folder, "Replay", summary, {**counts, "labels": by_label}, blocks)
        return work.put(Report, folder)


def stratified(labels: list[str], wanted: int, rng: np.random.Generator) -> list[int]:
    """`wanted` places, each label's share as in `labels` (largest remainder; ties in alphabetical order), sorted."""
    places: dict[str, list[int]] = {}
    for i, label in enumerate(labels):
        places.setdefault(label, []).append(i)
    exact = {label: wanted * len(found) / len(labels) for label, found in sorted(places.items())}
    size = {label: int(share) for label, share in exact.items()}
    short = wanted - sum(size.values())
    for label in sorted(exact, key=lambda one: (size[one] - exact[one], one))[:short]:
        size[label] += 1
    return sorted(places[label][i] for label in exact for i in rng.permutation(len(places[label]))[: size[label]])
