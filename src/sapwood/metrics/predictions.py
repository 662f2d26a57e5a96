"""`predictions.parquet`: what every system answered on the same rows, so that any later test can be paired.

Columns: id, system, label (the truth), predicted, probs (float32, in the order of `report.json`'s `data.labels`).
`predicted` is always the most probable label; the first in label order wins a tie.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sapwood.errors import InputError
from sapwood.metrics.classification import Floats, Ints

FILE = "predictions.parquet"
Probs = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Predictions:
    """`ids` sorted, `truth` (n,) as label numbers, and (n, labels) probabilities by system."""

    ids: tuple[str, ...]
    labels: tuple[str, ...]
    truth: Ints
    probs: Mapping[str, Probs]

    @property
    def systems(self) -> tuple[str, ...]:
        return tuple(self.probs)

    def predicted(self, system: str) -> Ints:
        answers: Ints = self.probs[system].argmax(1).astype(np.int64)
        return answers

    def scores(self, system: str) -> Floats:
        """The system's probabilities in float64, for arithmetic."""
        return self.probs[system].astype(np.float64)

    def for_ids(self, ids: Sequence[str]) -> Predictions:
        """Exactly these rows. InputError when one is missing."""
        place = {name: i for i, name in enumerate(self.ids)}
        absent = [name for name in ids if name not in place]
        if absent:
            raise InputError(
                f"{len(absent)} of {len(ids)} rows have no baseline prediction (first: {absent[0]})",
                "give the baselines step these examples among its tests",
            )
        kept = sorted(ids)
        rows = np.array([place[name] for name in kept], dtype=np.int64)
        return Predictions(tuple(kept), self.labels, self.truth[rows], {name: p[rows] for name, p in self.probs.items()})


def build(ids: Sequence[str], truth: Sequence[str], labels: Sequence[str], probs: Mapping[str, Floats | Probs]) -> Predictions:
    """Check and sort by id. `truth` are label names, `probs` (n, labels) by system, rows in the order of `ids`."""
    if len(set(ids)) != len(ids):
        raise InputError("two rows have the same id", "de-duplicate the examples: sapwood step dedup")
    unknown = sorted(set(truth) - set(labels))
    if unknown:
        raise InputError(f"labels {', '.join(unknown)} are not among {', '.join(labels)}", "use the same labels in every example set")
    order = np.array(sorted(range(len(ids)), key=lambda i: ids[i]), dtype=np.int64)
    number = {label: i for i, label in enumerate(labels)}
    for name, p in probs.items():
        _check_probs(name, p, len(ids), len(labels))
    return Predictions(
        ids=tuple(ids[i] for i in order),
        labels=tuple(labels),
        truth=np.array([number[truth[i]] for i in order], dtype=np.int64),
        probs={name: np.asarray(p, dtype=np.float32)[order] for name, p in probs.items()},
    )


def widened(probs: Floats | Probs, own: Sequence[str], labels: Sequence[str]) -> Probs:
    """A system's columns, in its `own` label order, set into the order of `labels`; labels it does not know get 0."""
    out = np.zeros((len(probs), len(labels)), dtype=np.float32)
    out[:, [list(labels).index(label) for label in own]] = probs
    return out


def write(folder: Path, predictions: Predictions) -> None:
    """Systems in their order, rows by id. The bytes depend on the predictions only."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    names, n = predictions.labels, len(predictions.ids)
    columns: dict[str, list[Any]] = {"id": [], "system": [], "label": [], "predicted": [], "probs": []}
    for system, probs in predictions.probs.items():
        columns["id"] += predictions.ids
        columns["system"] += [system] * n
        columns["label"] += [names[i] for i in predictions.truth]
        columns["predicted"] += [names[i] for i in predictions.predicted(system)]
        columns["probs"] += list(probs)
    schema = pa.schema([(name, pa.string()) for name in ("id", "system", "label", "predicted")] + [("probs", pa.list_(pa.float32()))])
    pq.write_table(pa.table(columns, schema=schema), folder / FILE, compression="zstd", row_group_size=16_384, store_schema=False)


def read(folder: Path, labels: Sequence[str]) -> Predictions:
    """Read and check: every system covers the same ids once, with the same truth, and answers its most probable label."""
    import pyarrow.parquet as pq

    if not (folder / FILE).is_file():
        raise InputError("the report holds no predictions.parquet", "wire the report of an evaluate or baselines step")
    rows = pq.read_table(folder / FILE).to_pydict()
    by_system: dict[str, list[int]] = {}
    for i, system in enumerate(rows["system"]):
        by_system.setdefault(system, []).append(i)
    first: Predictions | None = None
    probs: dict[str, Probs] = {}
    for system, places in by_system.items():
        column = {name: [rows[name][i] for i in places] for name in ("id", "label", "predicted", "probs")}
        if {len(p) for p in column["probs"]} != {len(labels)}:
            raise InputError(f"{system[:12]}: probabilities are not one for each of the labels {', '.join(labels)}", "evaluate again")
        one = build(column["id"], column["label"], labels, {system: np.array(column["probs"], dtype=np.float32)})
        _check_same_rows(system, first or one, one)
        _check_answers(system, one, dict(zip(column["id"], column["predicted"], strict=True)))
        first, probs[system] = first or one, one.probs[system]
    if first is None:
        raise InputError("predictions.parquet holds no row", "evaluate on examples that have rows")
    return Predictions(first.ids, first.labels, first.truth, probs)


def _check_probs(system: str, probs: Floats | Probs, n: int, classes: int) -> None:
    if probs.shape != (n, classes):
        raise InputError(f"{system[:12]} gave probabilities of shape {probs.shape}, not {(n, classes)}", "evaluate again")
    if not np.isfinite(probs).all() or (probs < 0).any() or (np.abs(probs.sum(1) - 1) > 1e-3).any():
        raise InputError(f"{system[:12]} gave numbers that are not probabilities", "train it again: its loss may have become NaN")


def _check_same_rows(system: str, first: Predictions, one: Predictions) -> None:
    if first.ids != one.ids or not np.array_equal(first.truth, one.truth):
        raise InputError(f"{system[:12]} does not cover the same rows with the same truth as {first.systems[0][:12]}", "evaluate again")


def _check_answers(system: str, one: Predictions, said: Mapping[str, str]) -> None:
    expected = [one.labels[i] for i in one.predicted(system)]
    if any(said[name] != label for name, label in zip(one.ids, expected, strict=True)):
        raise InputError(f"{system[:12]}: an answer is not its most probable label", "evaluate again")
