"""What weak labelling did, as report blocks: what each function covers, agrees on and is worth; where they conflict; what is labelled."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sapwood import report
from sapwood.text.labelling.judge import TOGETHER, Judgement
from sapwood.text.labelling.label_model import Fitted
from sapwood.text.labelling.votes import Array, Electorate, Tally

SHOWN, EXCERPT, MOST_PAIRS = 20, 200, 20
Measured = Mapping[str, Mapping[str, float]]
"""By function, and "together": n, value, low, high on a labelled sample."""


@dataclass
class Seen:
    """Counts and samples of the rows as they are judged. Holds 20 excerpts."""

    labels: Counter[str] = field(default_factory=Counter)
    abstained: Counter[str] = field(default_factory=Counter)
    _hard: list[tuple[float, int, dict[str, Any]]] = field(default_factory=list)
    _rows: int = 0

    def add(self, text: str, judgement: Judgement) -> None:
        """One row. Of the conflicts those with the least confidence are kept to be shown."""
        self._rows += 1
        if judgement.label:
            self.labels[judgement.label] += 1
        else:
            self.abstained[judgement.reason] += 1
        if len(set(judgement.votes.values())) > 1:
            told = ", ".join(f"{name}: {vote}" for name, vote in judgement.votes.items())
            label = judgement.label or "(none)"
            shown = {"text": cut(text), "reason": told, "label": label, "confidence": round(judgement.confidence, 3)}
            item = (-judgement.confidence, -self._rows, shown)
            (heapq.heappush if len(self._hard) < SHOWN else heapq.heappushpop)(self._hard, item)

    def conflicts(self) -> list[dict[str, Any]]:
        return [shown for _, _, shown in sorted(self._hard, key=lambda one: (-one[0], -one[1]))]


def cut(text: str) -> str:
    return text[:EXCERPT] + ("…" if len(text) > EXCERPT else "")


def data(electorate: Electorate, counted: Tally, fitted: Fitted, seen: Seen, measured: Measured) -> dict[str, Any]:
    functions = {
        member.name: {
            "kind": member.kind,
            "coverage": _share(counted.votes[place], counted.rows),
            "overlap": _share(counted.overlaps[place], counted.rows),
            "conflict": _share(counted.conflicts[place], counted.rows),
            "estimated_accuracy": None if np.isnan(fitted.accuracy[place]) else round(float(fitted.accuracy[place]), 4),
            "measured_accuracy": measured.get(member.name),
        }
        for place, member in enumerate(electorate.members)
    }
    return {
        "rows": counted.rows,
        "labelled": seen.labels.total(),
        "abstained": dict(sorted(seen.abstained.items())),
        "coverage": _share(counted.covered, counted.rows),
        "conflict": _share(counted.conflicting, counted.rows),
        "labels": {label: seen.labels[label] for label in electorate.labels},
        "functions": functions,
        "label_model": {
            "method": fitted.method,
            "rounds": fitted.rounds,
            "converged": fitted.converged,
            "shares": dict(zip(electorate.labels, [round(float(share), 4) for share in fitted.shares], strict=True)),
        },
        "measured": measured.get(TOGETHER),
        "conflicts": {f"{one} / {other}": count for one, other, count in _pairs(electorate.names, counted.against)},
    }


def summary(told: Mapping[str, Any]) -> str:
    found = told["measured"]
    accuracy = f"; accuracy {shown(found)} on the labelled sample" if found else "; accuracy not measured: no labelled sample was given"
    return f"{told['labelled']:,} of {told['rows']:,} documents labelled by {len(told['functions'])} functions{accuracy}."


def blocks(told: Mapping[str, Any], seen: Seen) -> list[report.Block]:
    columns = ["function", "kind", "coverage", "overlap", "conflict", "estimated accuracy", "measured accuracy"]
    cells = [
        [
            name,
            one["kind"],
            *(f"{one[key]:.1%}" for key in ("coverage", "overlap", "conflict")),
            _percent(one["estimated_accuracy"]),
            shown(one["measured_accuracy"]),
        ]
        for name, one in told["functions"].items()
    ]
    model = told["label_model"]
    how = (
        f"{model['method']}, {model['rounds']} rounds, {'converged' if model['converged'] else 'not converged'}"
        if model["rounds"]
        else model["method"]
    )
    note = f"Label model: {how}. Estimated from agreements alone; measured on the labelled sample, with 95 % intervals."
    reasons = [[reason, count] for reason, count in told["abstained"].items()]
    pairs = [[names, count] for names, count in told["conflicts"].items()]
    return [
        report.table("Functions", columns, cells, note),
        report.table(
            "Labels",
            ["label", "documents", "estimated share"],
            [[label, n, _percent(model["shares"][label])] for label, n in told["labels"].items()],
        ),
        *([report.table("Without a label", ["reason", "documents"], reasons)] if reasons else []),
        *(
            [report.table("Conflicts", ["functions", "documents"], pairs, "Pairs that vote for different labels on one text.")]
            if pairs
            else []
        ),
        report.samples("Hardest conflicts", seen.conflicts(), "Texts on which functions differ and the label is least sure."),
    ]


def shown(found: Mapping[str, float] | None) -> str:
    return f"{found['value']:.1%} [{found['low']:.1%}, {found['high']:.1%}], n = {found['n']:.0f}" if found and found["n"] else "-"


def _pairs(names: Sequence[str], against: Array) -> list[tuple[str, str, int]]:
    found = [(int(against[a, b]), names[a], names[b]) for a in range(len(names)) for b in range(a + 1, len(names)) if against[a, b]]
    return [(one, other, count) for count, one, other in sorted(found, key=lambda pair: (-pair[0], pair[1:]))[:MOST_PAIRS]]


def _share(count: Any, rows: int) -> float:
    return round(int(count) / max(1, rows), 6)


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"
