"""The score sheet: from predictions to what a report holds, as numbers for programs and as blocks for people.

Every score is {"value", "low", "high"} with a 95 % interval: Wilson's for accuracy, precision and recall (a share of rows),
BCa bootstrap for F1, bias-corrected bootstrap for log-loss, Brier score and calibration error.

Not here: whether a score is good enough (the gate), and intervals of precision that allow for its random denominator.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sapwood import report
from sapwood.metrics import classification as cls
from sapwood.metrics.classification import Floats, Ints
from sapwood.metrics.intervals import Interval, bootstrap, wilson
from sapwood.metrics.paired import difference, mcnemar_of
from sapwood.metrics.predictions import Predictions

Json = Any
SMALLEST_SLICE = 5


def score(predictions: Predictions, system: str, seed: int = 0) -> dict[str, Json]:
    """All scores of one system: n, accuracy, macro_f1, log_loss, brier, ece and `classes` (precision, recall, f1, n)."""
    truth, said, classes = predictions.truth, predictions.predicted(system), len(predictions.labels)
    counted = cls.tally(truth, said, classes)
    f1s = _f1_intervals(truth, said, classes, seed)
    log_loss, brier, ece = _probability_intervals(truth, predictions.scores(system), seed)
    per_class = {
        label: {
            "n": int(counted.true[i]),
            "precision": wilson(int(counted.hits[i]), int(counted.said[i])).as_dict(),
            "recall": wilson(int(counted.hits[i]), int(counted.true[i])).as_dict(),
            "f1": f1s[i + 1].as_dict(),
        }
        for i, label in enumerate(predictions.labels)
    }
    return {
        "n": len(truth),
        "accuracy": wilson(int(counted.hits.sum()), len(truth)).as_dict(),
        "macro_f1": f1s[0].as_dict(),
        "log_loss": log_loss.as_dict(),
        "brier": brier.as_dict(),
        "ece": ece.as_dict(),
        "classes": per_class,
    }


def compare(predictions: Predictions, a: str, b: str) -> dict[str, Json]:
    """Paired tests of `a` against `b`. p-values are two-sided and not adjusted for how many there are."""
    truth, said_a, said_b = predictions.truth, predictions.predicted(a), predictions.predicted(b)
    gap, exact = difference(truth, said_a, said_b, len(predictions.labels)), mcnemar_of(truth, said_a, said_b)
    return {
        "a": a,
        "b": b,
        "macro_f1": {"difference": gap.value, "low": gap.low, "high": gap.high, "p": gap.p},
        "mcnemar": {"only_a": exact.only_a, "only_b": exact.only_b, "p": exact.p},
    }


def slices(predictions: Predictions, system: str, keys: Mapping[str, Sequence[str]]) -> list[dict[str, Json]]:
    """Accuracy and macro-F1 by slice. `keys`: for each dimension (language, domain) one value a row, in the order of
    `predictions.ids`; empty values and slices under 5 rows are left out, as is a dimension with one value only."""
    found = []
    for name, values in keys.items():
        column = np.array(values)
        for value in sorted(set(values) - {""}) if len(set(values) - {""}) > 1 else []:
            rows = np.flatnonzero(column == value)
            if len(rows) < SMALLEST_SLICE:
                continue
            truth, said, classes = predictions.truth[rows], predictions.predicted(system)[rows], len(predictions.labels)
            scores = {
                "accuracy": wilson(int((truth == said).sum()), len(rows)).as_dict(),
                "macro_f1": _f1_intervals(truth, said, classes, 0)[0].as_dict(),
            }
            found.append({"slice": {name: value}, "system": system, "n": len(rows), **scores})
    return found


def score_blocks(scores: Mapping[str, Json], names: Mapping[str, str]) -> list[report.Block]:
    """Bars of macro-F1 with intervals, a table of all systems, and a table of classes."""
    best_first = sorted(scores, key=lambda system: (-scores[system]["macro_f1"]["value"], names[system]))
    bars = [(names[s], *scores[s]["macro_f1"].values()) for s in best_first]
    metrics = ("macro_f1", "accuracy", "log_loss", "brier", "ece")
    rows = [[names[s], scores[s]["n"], *(shown(scores[s][metric]) for metric in metrics)] for s in best_first]
    classes = [
        [names[s], label, one["n"], *(shown(one[metric]) for metric in ("precision", "recall", "f1"))]
        for s in best_first
        for label, one in scores[s]["classes"].items()
    ]
    return [
        report.bars("Macro-F1", [(b[0], b[1], b[2], b[3]) for b in bars], note="95 % intervals over rows."),
        report.table("Scores", ["system", "n", "macro-F1", "accuracy", "log-loss", "Brier", "ECE"], rows, "Each with its 95 % interval."),
        report.table("By class", ["system", "label", "n", "precision", "recall", "F1"], classes),
    ]


def shown(interval: Mapping[str, float]) -> str:
    """`.812 (.792 to .831)`, as text for a table."""
    return f"{interval['value']:.3f} ({interval['low']:.3f} to {interval['high']:.3f})"


def _f1_intervals(truth: Ints, said: Ints, classes: int, seed: int) -> list[Interval]:
    """Macro-F1, then F1 of each class. Cells are (truth, answer) pairs, so that the order of rows does not matter."""
    codes, counts = np.unique(truth * classes + said, return_counts=True)
    true_of, said_of = codes // classes, codes % classes

    def both(weights: Floats) -> Floats:
        counted = cls.tally(true_of, said_of, classes, weights)
        return np.concatenate([cls.macro_f1(counted)[:, None], cls.f1(counted)], axis=1)

    return bootstrap(both, counts.astype(np.int64), seed=seed)


def _probability_intervals(truth: Ints, probs: Floats, seed: int) -> list[Interval]:
    """Log-loss, Brier score and ECE. Rows are sorted by what enters the scores, so that their order does not matter."""
    columns = np.stack([cls.log_losses(truth, probs), cls.brier_losses(truth, probs), probs.max(1), probs.argmax(1) == truth])
    outcomes, counts = np.unique(columns.T, axis=0, return_counts=True)
    losses, confidence, right = outcomes[:, :2], outcomes[:, 2], outcomes[:, 3]

    def all_three(weights: Floats) -> Floats:
        return np.concatenate([weights @ losses / counts.sum(), cls.ece(confidence, right, weights)[:, None]], axis=1)

    return bootstrap(all_three, counts.astype(np.int64), seed=seed, method="bc")
