"""Fit what every candidate must beat, on the candidates' own rows, and keep its predictions for paired tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, field_validator

from sapwood import report
from sapwood.artifact import Examples, Report
from sapwood.errors import InputError, Interrupted
from sapwood.stage import Estimate, Stage, Work

if TYPE_CHECKING:
    from sapwood.metrics.classification import Floats
    from sapwood.metrics.predictions import Predictions

System = Literal["majority", "tfidf-logreg", "cnn-lstm"]


class Baselines(Stage):
    """Fit simple classifiers on the training rows and keep their predictions on every test row.

    Early stopping and the strength of logistic regression look at dev, never at a test. A baseline may win: the report says so.
    """

    uses_seed = True
    carries = ()
    examples = ({"systems": ["majority", "tfidf-logreg"]},)

    systems: list[System] = Field(
        ["majority", "tfidf-logreg", "cnn-lstm"],
        min_length=1,
        description="Baselines to fit: majority, tfidf-logreg (character or word n-grams), cnn-lstm (a small network).",
    )

    @field_validator("systems")
    @classmethod
    def _each_once(cls, value: list[System]) -> list[System]:
        if len(set(value)) != len(value):
            raise ValueError("name each baseline once")
        return value

    def estimate(self, bytes_in: int) -> Estimate:
        return Estimate(5 + bytes_in / 20_000, 900_000_000 + 20 * bytes_in, 2_000_000)

    def run(self, work: Work, train: Examples, dev: Examples, tests: list[Examples]) -> Report:
        from sapwood.metrics import predictions, sheet

        fitted = self._predict(work, _columns(work, [train]), _columns(work, [dev]), _columns(work, tests))
        names: dict[str, str] = {system: system for system in self.systems}
        scores = {system: sheet.score(fitted, system) for system in names}
        best = max(names, key=lambda system: (scores[system]["macro_f1"]["value"], system))
        trained_on = len(_columns(work, [train])["id"])
        macro = sheet.shown(scores[best]["macro_f1"])
        summary = f"{best} is the strongest of {len(names)} on {len(fitted.ids)} test rows: macro-F1 {macro}"
        data = {"labels": list(fitted.labels), "systems": names, "scores": scores, "n": len(fitted.ids), "trained_on": trained_on}
        folder = work.new("report")
        predictions.write(folder, fitted)
        report.write(folder, "Baselines", summary, data, sheet.score_blocks(scores, names))
        return work.put(Report, folder)

    def _predict(self, work: Work, train: dict[str, list[Any]], dev: dict[str, list[Any]], test: dict[str, list[Any]]) -> Predictions:
        import numpy as np

        from sapwood.metrics import predictions
        from sapwood.probes.baselines import BASELINES, Labelled

        labels = sorted(set(train["label"]) | set(dev["label"]) | set(test["label"]))
        fold = [Labelled(rows["text"], np.array([labels.index(one) for one in rows["label"]], dtype=np.int64)) for rows in (train, dev)]
        probs: dict[str, Floats] = {}
        with work.progress("baselines", len(self.systems), "systems") as meter:
            for system in self.systems:
                predict = BASELINES[system](fold[0], fold[1], len(labels), work.seed, lambda: _stop_if_asked(work))
                probs[system] = predict(test["text"])
                meter.advance(1)
        return predictions.build(test["id"], test["label"], labels, probs)


def _columns(work: Work, sets: list[Examples]) -> dict[str, list[Any]]:
    """id, text and label of the union of the sets. InputError when there is no row, or one id has two texts or labels."""
    from sapwood.text import rows

    seen: dict[str, tuple[str, str]] = {}
    for examples in sets:
        table = rows.read(work.path(examples), ["id", "text", "label"])
        for name, text, label in zip(*(table[column].to_pylist() for column in ("id", "text", "label")), strict=True):
            if seen.setdefault(name, (text, label)) != (text, label):
                raise InputError(f"row {name} has two texts or labels in the example sets", "build the test sets from one labelled set")
    if not seen:
        raise InputError("an example set has no rows", "see the report of the step that made it")
    return {"id": list(seen), "text": [text for text, _ in seen.values()], "label": [label for _, label in seen.values()]}


def _stop_if_asked(work: Work) -> None:
    if work.stopping():
        raise Interrupted("stopped while fitting baselines", "run the same command again to continue")
