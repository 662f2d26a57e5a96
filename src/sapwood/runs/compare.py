"""Two runs side by side: what differs in the recipe, in the data, and in the scores, with paired tests where rows are the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from sapwood import report
from sapwood.artifact import Artifact
from sapwood.store.local import LocalStore
from sapwood.store.records import Run


class Changed(NamedTuple):
    """One dotted path and its two values; None where it is absent."""

    path: str
    left: Any
    right: Any


class ScoreChange(NamedTuple):
    """Macro-F1 of one system in both runs. `low`, `high`, `p` are of right - left by a paired test; None when the rows differ."""

    where: str
    left: float | None
    right: float | None
    low: float | None
    high: float | None
    p: float | None


def flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """Nested mappings and lists as dotted paths."""
    if isinstance(value, Mapping):
        items = [(str(key), item) for key, item in value.items()]
    elif isinstance(value, list):
        items = [(str(place), item) for place, item in enumerate(value)]
    else:
        return {prefix: value}
    found: dict[str, Any] = {} if items else {prefix: value}
    for key, item in items:
        found.update(flat(item, f"{prefix}.{key}" if prefix else key))
    return found


def changed(left: Any, right: Any) -> list[Changed]:
    a, b = flat(left), flat(right)
    return [Changed(path, a.get(path), b.get(path)) for path in sorted({*a, *b}) if a.get(path) != b.get(path)]


def counts(store: LocalStore, run: Run) -> dict[str, int]:
    """Rows of every rows output: `step.port` -> rows. Outputs no longer stored are left out."""
    from sapwood.text import rows

    found = {}
    for name, artifact in outputs(store, run).items():
        if artifact.kind in ("documents", "examples"):
            found[name] = rows.count(store.open(artifact))
    return found


def outputs(store: LocalStore, run: Run) -> dict[str, Artifact]:
    """`step.port` -> artifact, for outputs that are still stored."""
    known = {artifact.digest: artifact for artifact in store.artifacts()}
    found = {}
    for step in run.steps:
        for port, name in step.get("outputs", {}).items():
            digest = name.partition(":")[2]
            match = known.get(digest) or next((a for d, a in known.items() if d.startswith(digest)), None)
            if match is not None:
                found[f"{step['step']}.{port}"] = match
    return found


def evaluations(store: LocalStore, run: Run) -> dict[str, tuple[Artifact, dict[str, Any]]]:
    """Reports with scores, by step."""
    names = {step["step"] for step in run.steps if step["name"] == "evaluate"}
    return {
        name.partition(".")[0]: (artifact, report.read(store.open(artifact)))
        for name, artifact in outputs(store, run).items()
        if name.rpartition(".")[0] in names and artifact.kind == "report"
    }


def scores(store: LocalStore, left: Run, right: Run) -> list[ScoreChange]:
    """Every (step, system name) of both runs."""
    a, b = evaluations(store, left), evaluations(store, right)
    found = []
    for step in sorted({*a, *b}):
        sides = [_by_name(side[step][1]) if step in side else {} for side in (a, b)]
        for name in sorted({*sides[0], *sides[1]}):
            one, two = (side.get(name) for side in sides)
            test = _paired(store, a[step], b[step], one[0], two[0]) if one and two else None
            values = (one[1] if one else None, two[1] if two else None)
            found.append(ScoreChange(f"{step} {name}", *values, *(test or (None, None, None))))
    return found


def _by_name(body: dict[str, Any]) -> dict[str, tuple[str, float]]:
    data = body["data"]
    return {data["systems"][system]: (system, found["macro_f1"]["value"]) for system, found in data["scores"].items()}


def _paired(
    store: LocalStore, left: tuple[Artifact, Any], right: tuple[Artifact, Any], a: str, b: str
) -> tuple[float, float, float] | None:
    from sapwood.metrics import paired, predictions

    labels = left[1]["data"]["labels"]
    if labels != right[1]["data"]["labels"]:
        return None
    one, two = (predictions.read(store.open(side[0]), labels) for side in (left, right))
    if one.ids != two.ids:
        return None
    found = paired.difference(one.truth, two.predicted(b), one.predicted(a), len(labels))
    return found.low, found.high, found.p
