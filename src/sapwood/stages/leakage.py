"""Measure what copies would have done to a test score, on the user's own rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from sapwood import report
from sapwood.artifact import Examples, Report
from sapwood.errors import InputError, Interrupted
from sapwood.stage import Estimate, Json, Stage, Work

if TYPE_CHECKING:
    from sapwood.metrics.intervals import Interval


class Leakage(Stage):
    """Train one simple classifier on a plain random split of the raw rows, and score it on test rows with and without a copy in train.

    The gap between the two is what a leaking split adds to a score. It says nothing about a model that is not this one.
    """

    uses_seed: ClassVar[bool] = True
    carries: ClassVar[tuple[str, ...] | None] = ()
    examples: ClassVar[tuple[dict[str, Json], ...]] = ({"test_share": 0.2},)

    test_share: float = Field(0.1, gt=0, lt=0.5, description="Share of the raw rows that the plain split tests on.")
    near: float = Field(0.8, gt=0, le=1, description="Jaccard similarity from which two rows are copies.")
    max_rows: int = Field(20_000, ge=100, description="Most raw rows to take, drawn by the seed; fewer rows leak less.")

    def estimate(self, bytes_in: int) -> Estimate:
        return Estimate(10 + bytes_in / 500e3, 900_000_000, 100_000)

    def run(self, work: Work, raw: Examples) -> Report:
        import numpy as np

        from sapwood.metrics.intervals import wilson
        from sapwood.text.near import duplicates

        named, rng = self._labels(work, raw), np.random.default_rng(work.seed)
        labels = sorted(set(named))
        if len(named) < 100 or len(labels) < 2:
            raise InputError(f"{len(named)} rows of {len(labels)} labels are too few to measure leakage on", "leave this step out")
        taken = rng.permutation(len(named))[: self.max_rows]
        texts = self._texts(work, raw, taken)
        numbers, order = np.array([labels.index(named[i]) for i in taken.tolist()], dtype=np.int64), np.arange(len(taken))
        held = max(20, round(self.test_share * len(order)))
        dev, test, train = order[:held], order[held : 2 * held], order[2 * held :]
        with work.progress("leakage", 2, "steps") as meter:
            copied = duplicates.matches([texts[i] for i in test], [texts[i] for i in train], self.near).row >= 0
            meter.advance(1)
            said = self._fit(work, texts, numbers, train, dev, test, len(labels))
            meter.advance(1)
        right = said == numbers[test]
        found = {name: wilson(int(right[mask].sum()), int(mask.sum())) for name, mask in _groups(copied).items() if mask.any()}
        return self._report(work, found, {name: int(mask.sum()) for name, mask in _groups(copied).items()}, len(train))

    def _labels(self, work: Work, raw: Examples) -> list[str]:
        """Every row's label: one shared string each, 8 bytes a row."""
        from sapwood.text import rows

        known: dict[str, str] = {}
        batches = rows.batches(work.path(raw), ["label"])
        return [known.setdefault(label or "", label or "") for batch in batches for label in batch.column("label").to_pylist()]

    def _texts(self, work: Work, raw: Examples, taken: Any) -> list[str]:
        """The texts of the rows `taken`, in that order; only they are held in memory."""
        import numpy as np
        import pyarrow as pa

        from sapwood.text import fields, rows

        order, found, start = np.argsort(taken), [""] * len(taken), 0
        for batch in rows.batches(work.path(raw), ["text"]):
            first, last = np.searchsorted(taken[order], [start, start + batch.num_rows])
            mine = order[first:last]
            for place, text in zip(mine.tolist(), fields.texts(batch.take(pa.array(taken[mine] - start))), strict=True):
                found[place] = text
            start += batch.num_rows
        return found

    def _fit(self, work: Work, texts: list[str], numbers: Any, train: Any, dev: Any, test: Any, classes: int) -> Any:
        from sapwood.probes.baselines import BASELINES, Labelled

        def stop() -> None:
            if work.stopping():
                raise Interrupted("stopped while measuring leakage", "run the same command again to continue")

        sets = [Labelled([texts[i] for i in part], numbers[part]) for part in (train, dev)]
        predict = BASELINES["tfidf-logreg"](sets[0], sets[1], classes, work.seed, stop)
        return predict([texts[i] for i in test]).argmax(1)

    def _report(self, work: Work, found: dict[str, Interval], counts: dict[str, int], trained: int) -> Report:
        bars = [(f"{name} (n={counts[name]:,})", one.value, one.low, one.high) for name, one in found.items()]
        copied, apart = found.get("with a copy in train"), found.get("without a copy")
        summary = f"A plain random split of the raw rows puts a copy of {counts['with a copy in train']:,} of {counts['all']:,} test rows into train."
        if copied and apart:
            gap = found["all"].value - apart.value
            summary += (
                f" The same classifier scores {copied.value:.3f} on those and {apart.value:.3f} on the others: "
                f"the leak would have added {gap:+.3f} to the accuracy reported."
            )
        data = {"counts": counts, "trained_on": trained, "accuracy": {name: one.as_dict() for name, one in found.items()}}
        note = "TF-IDF with logistic regression; 95 % intervals (Wilson)."
        folder = work.new("report")
        report.write(
            folder, "What copies would have done", summary, data, [report.bars("Accuracy under a plain random split", bars, note=note)]
        )
        work.say(summary)
        return work.put(Report, folder)


def _groups(copied: Any) -> dict[str, Any]:
    """Masks of test rows: all, those with a copy in train, the others."""
    return {"all": copied | ~copied, "with a copy in train": copied, "without a copy": ~copied}
