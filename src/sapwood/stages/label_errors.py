"""The stage that finds labels which are likely wrong. The science is in `sapwood.probes.label_errors`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

from pydantic import Field

from sapwood.artifact import Examples, Report
from sapwood.errors import InputError, Interrupted
from sapwood.stage import Estimate, Json, Stage, Work

if TYPE_CHECKING:
    from sapwood.probes.label_errors import Found


class Judged(NamedTuple):
    kept: Examples
    suspects: Examples
    report: Report


class _Read(NamedTuple):
    """Texts, cut to what is read, with label numbers into `names`."""

    texts: list[str]
    labels: Any
    names: list[str]


class LabelErrors(Stage):
    """Find examples whose label is likely wrong, by predictions of models that never saw them or a near copy (cleanlab).

    Suspects go to their own port with `meta.suspect` (the probability of the label they have) and `meta.suggested`. Read some before you
    leave them out: irony and rare wording look like errors too. Texts are held in memory up to `chars` each; the rest streams.
    """

    uses_seed: ClassVar[bool] = True
    examples: ClassVar[tuple[dict[str, Json], ...]] = (
        {},
        {"folds": 3, "method": "confident_learning", "below": 0.5, "chars": 500, "force": True},
    )

    folds: int = Field(5, ge=3, le=20, description="Parts that are predicted in turn from the others.")
    near: float = Field(0.7, gt=0, le=1, description="Jaccard similarity from which two rows must be in one part.")
    method: Literal["prune_by_noise_rate", "confident_learning", "both", "prune_by_class", "low_normalized_margin"] = Field(
        "prune_by_noise_rate", description="How cleanlab picks suspects; both is the strictest."
    )
    below: float = Field(
        0.3, gt=0, le=1, description="A suspect's own label has less predicted probability than this; lower finds fewer and surer."
    )
    chars: int = Field(2000, ge=20, description="Characters of a text that are read.")
    max_share: float = Field(0.5, gt=0, le=1, description="Stop when more than this share of a label is suspect.")
    force: bool = Field(False, description="Go on although more than max_share of a label is suspect.")

    def check(self, workspace: Path) -> list[str]:
        from importlib.util import find_spec

        return [] if find_spec("cleanlab") else ["label_errors needs the package cleanlab: pip install 'sapwood[labels]'"]

    def estimate(self, bytes_in: int) -> Estimate:
        return Estimate(20 + bytes_in / 30_000, 900_000_000 + 30 * bytes_in, bytes_in)

    def run(self, work: Work, examples: Examples) -> Judged:
        from sapwood.probes import label_errors
        from sapwood.probes.baselines import Labelled

        read = self._read(work, examples)

        def tick() -> None:
            if work.stopping():
                raise Interrupted("stopped while predicting", "run the same command again")

        rows = Labelled(read.texts, read.labels)
        settings = label_errors.Settings(self.folds, self.near, self.method, self.below)
        found = label_errors.find(rows, read.names, settings, work.seed, tick)
        if not self.force:
            self._refuse(found, read)
        kept, suspects = _write(work, examples, found, read.names)
        return Judged(kept, suspects, _report(work, found, read))

    def _read(self, work: Work, examples: Examples) -> _Read:
        import numpy as np

        from sapwood.text import rows

        texts: list[str] = []
        labels: list[str] = []
        for batch in rows.batches(work.path(examples), ["text", "label"]):
            texts += [(text or "")[: self.chars] for text in batch.column("text").to_pylist()]
            labels += [str(label or "") for label in batch.column("label").to_pylist()]
        if not all(labels):
            raise InputError(f"{sum(not label for label in labels)} examples have no label", "label them first, or leave them out")
        names = sorted(set(labels))
        number = {name: place for place, name in enumerate(names)}
        return _Read(texts, np.array([number[label] for label in labels], dtype=np.int64), names)

    def _refuse(self, found: Found, read: _Read) -> None:
        for place, name in enumerate(read.names):
            total, suspect = int((read.labels == place).sum()), int(found.suspect[read.labels == place].sum())
            if suspect > self.max_share * total:
                raise InputError(
                    f"{suspect} of {total} examples labelled {name} are suspects, more than max_share {self.max_share:g}",
                    "the labels may be swapped, or cannot be told from the text; to go on as it is, set force: true",
                )


def _write(work: Work, examples: Examples, found: Found, names: list[str]) -> tuple[Examples, Examples]:
    import pyarrow as pa

    from sapwood.text import fields, rows
    from sapwood.text.writer import Writer

    stored, kept, suspects, done = work.path(examples), work.new("kept"), work.new("suspects"), 0
    schema = rows.schema(stored)
    with Writer(kept, schema) as good, Writer(suspects, schema) as bad, work.progress("label errors", rows.count(stored)) as meter:
        for batch in rows.batches(stored):
            part = slice(done, done + batch.num_rows)
            suspect, table = found.suspect[part], pa.Table.from_batches([batch])
            pairs = zip(found.quality[part].tolist(), found.suggested[part].tolist(), suspect.tolist(), strict=True)
            added = [{"suspect": f"{quality:.4f}", "suggested": names[best]} if doubt else {} for quality, best, doubt in pairs]
            good.add_table(table.filter(pa.array(~suspect)))
            bad.add_table(fields.with_meta(table, added).filter(pa.array(suspect)))
            done += batch.num_rows
            meter.advance(batch.num_rows)
    return work.put(Examples, kept), work.put(Examples, suspects)


def _report(work: Work, found: Found, read: _Read) -> Report:
    from sapwood import report
    from sapwood.probes import label_errors

    summary, data, blocks = label_errors.told(found, read.texts, read.labels, read.names)
    folder = work.new("report")
    report.write(folder, "Label errors", summary, data, blocks)
    work.say(summary)
    return work.put(Report, folder)
