"""Ensemble: several classifiers that answer as one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from pydantic import Field

from sapwood.artifact import Examples, Model, Report
from sapwood.errors import InputError
from sapwood.stage import Estimate, Json, Stage, Work

if TYPE_CHECKING:
    from sapwood.metrics.measured import Measured


class Ensembled(NamedTuple):
    model: Model
    report: Report


class Ensemble(Stage):
    """Average the logits of several classifiers of one tokenizer and one set of labels, and show what that gains over each of them.

    The model that comes out is as large and as slow as all of its members together; `distil` makes a small one of it.
    """

    examples: ClassVar[tuple[dict[str, Json], ...]] = ({"name": "committee"},)

    name: str = Field("ensemble", min_length=1, description="Name of the new model.")

    def estimate(self, bytes_in: int) -> Estimate:
        return Estimate(15 + bytes_in / 10e6, 800_000_000 + 2 * bytes_in, bytes_in)

    def run(self, work: Work, members: list[Model], dev: Examples | None) -> Ensembled:
        from sapwood.models import committee

        folder = work.new("model")
        card = committee.write(folder, [work.path(one) for one in members], self.name)
        folders = [*committee.parts(folder), folder]
        scores = self._scores(work, folders, dev) if dev else []
        model = work.put(Model, folder)
        return Ensembled(model, _write(work, card.name, [one.digest for one in members], len(folders) - 1, scores))

    def _scores(self, work: Work, folders: list[Any], dev: Examples) -> list[Measured]:
        """Members in order, and the ensemble last."""
        from sapwood.models.card import read_card
        from sapwood.models.predict import load_classifier
        from sapwood.models.tasks.classification import Classification
        from sapwood.text import fields

        task = Classification()
        rows = fields.records(work.path(dev), task.fields())
        if not rows:
            raise InputError("dev holds no examples", "see the report of the step that made it")
        found = []
        with work.progress("ensemble", len(folders) * len(rows), "rows") as meter:
            for folder in folders:
                classifier = load_classifier(folder, "fp32", work.resources.threads)
                answers = classifier.predict([row["text"] for row in rows], meter.advance)
                found.append(task.measured(rows, answers, read_card(folder).labels))
        return found


def _write(work: Work, name: str, digests: list[str], members: int, scores: list[Measured]) -> Report:
    from sapwood import report
    from sapwood.metrics.measured import gap

    data: dict[str, Json] = {"models": digests, "members": members, "scores": [one.values() for one in scores]}
    blocks = [report.text(f"The logits of {members} members are averaged; asking it costs as much as asking each of them.")]
    told = "not measured"
    if scores:
        *each, whole = scores
        best = max(each, key=lambda one: one.values()["macro_f1"])
        gained = gap(whole, best, "macro_f1")
        data["gain_over_best_member"] = gained._asdict()
        names = [*(f"member {number}" for number in range(members)), name]
        cells = [
            [label, *(round(one.values()[score], 4) for score in ("macro_f1", "accuracy", "log_loss"))]
            for label, one in zip(names, scores, strict=True)
        ]
        blocks.append(report.table("Development examples", ("model", "macro F1", "accuracy", "log loss"), cells))
        told = f"macro F1 {whole.values()['macro_f1']:.3f}, {gained.value:+.3f} ({gained.low:+.3f} to {gained.high:+.3f}) against its best member"
    folder = work.new("report")
    work.say(f"{name}: {told}.")
    report.write(folder, f"Ensemble {name}", f"{members} members; {told}.", data, blocks)
    return work.put(Report, folder)
