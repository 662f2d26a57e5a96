"""Keep the best of several trained models, by a score on held-out rows that no gate will judge on."""

from __future__ import annotations

from typing import Any, NamedTuple

from sapwood import report
from sapwood.artifact import Examples, Model, Report
from sapwood.errors import InputError
from sapwood.stage import Estimate, Stage, Work


class Selected(NamedTuple):
    model: Model
    report: Report


class Select(Stage):
    """Pick the candidate with the highest macro-F1 on dev; of equals, the smaller one.

    The winner's dev score is biased upward, because it was chosen for it: judge it on other rows.
    """

    carries = ("candidates",)

    def estimate(self, bytes_in: int) -> Estimate:
        return Estimate(10 + bytes_in / 20e6, 600_000_000 + 2 * bytes_in, 100_000)

    def run(self, work: Work, candidates: list[Model], dev: Examples) -> Selected:
        import numpy as np

        from sapwood.metrics import predictions, sheet
        from sapwood.models.predict import load_classifier
        from sapwood.text import fields, rows

        if not candidates:
            raise InputError("there is no candidate to select from", "wire at least one model to `candidates`")
        folder = work.path(dev)
        held_out = rows.read(folder, ["id", "label"]).to_pydict()
        if not held_out["id"]:
            raise InputError("dev has no rows", "see the report of the step that split the examples")
        found: list[tuple[Model, str, dict[str, Any], int]] = []
        with work.progress("select", len(candidates) * len(held_out["id"]), "rows") as meter:
            for model in dict.fromkeys(candidates):
                classifier = load_classifier(work.path(model), "fp32", work.resources.threads)
                labels = [*classifier.labels, *sorted(set(held_out["label"]) - set(classifier.labels))]
                answers = [classifier.predict(fields.texts(batch), meter.advance) for batch in rows.batches(folder, ["text"])]
                probs = predictions.widened(np.concatenate(answers), classifier.labels, labels)
                answered = predictions.build(held_out["id"], held_out["label"], labels, {model.digest: probs})
                size = sum(entry.size for entry in work.store.entries(model))
                found.append((model, classifier.card.name, sheet.score(answered, model.digest), size))
        ranked = sorted(found, key=lambda one: (-one[2]["macro_f1"]["value"], one[3], one[0].digest))
        return Selected(ranked[0][0], self._report(work, ranked))

    def _report(self, work: Work, ranked: list[tuple[Model, str, dict[str, Any], int]]) -> Report:
        from sapwood.metrics.sheet import shown

        table = [
            [name, model.short, shown(score["macro_f1"]), shown(score["accuracy"]), shown(score["log_loss"]), round(size / 1e6, 1)]
            for model, name, score, size in ranked
        ]
        winner, name, score, _ = ranked[0]
        data = {
            "winner": winner.digest,
            "systems": {model.digest: called for model, called, _, _ in ranked},
            "scores": {model.digest: one for model, _, one, _ in ranked},
            "n": score["n"],
            "precision": "fp32",
        }
        columns = ["model", "digest", "macro-F1", "accuracy", "log-loss", "MB"]
        summary = f"{name} ({winner.short}) wins of {len(ranked)}: macro-F1 {shown(score['macro_f1'])} on {score['n']} dev rows"
        folder = work.new("report")
        note = "Best first. The winner was chosen by this score, so it flatters."
        report.write(folder, "Selection", summary, data, [report.table("Candidates on dev", columns, table, note)])
        return work.put(Report, folder)
