"""What the functions said: votes of every row in a file of the scratch folder, and the count of each combination.

A row takes one byte a function on disk, nothing in memory; a combination of votes takes about 150 bytes, and there are few: at most
(labels + 1) to the number of functions, in practice some hundreds.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sapwood.errors import InputError
from sapwood.text import rows
from sapwood.text.labelling.functions import LabelFunction
from sapwood.text.labelling.label_model import ABSTAIN

Array = np.ndarray[Any, Any]
Voter = Callable[[Sequence[str], Sequence[str]], Sequence[str]]
"""(ids, texts) of a batch -> labels, an empty string where it abstains."""


class Member(NamedTuple):
    """One voter: its name, what it is, and the labels that it may vote for."""

    name: str
    kind: str
    vote: Voter
    labels: frozenset[str]


class Electorate(NamedTuple):
    """Voters, and all the labels that they may vote for, in order."""

    members: tuple[Member, ...]
    labels: tuple[str, ...]

    @classmethod
    def of(cls, members: Sequence[Member]) -> Electorate:
        """Raises `InputError` when there are fewer than two labels to vote for."""
        labels = sorted({label for member in members for label in member.labels})
        if len(labels) < 2:
            raise InputError(
                f"the functions vote for fewer than two labels ({', '.join(labels) or 'none'})",
                "add a function that votes for another label",
            )
        return cls(tuple(members), tuple(labels))

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(member.name for member in self.members)

    def spoken(self, votes: Array) -> dict[str, str]:
        """Function to label, of those that voted in a row uint8[m]."""
        return {name: self.labels[vote] for name, vote in zip(self.names, votes.tolist(), strict=True) if vote != ABSTAIN}

    def votes(self, ids: Sequence[str], texts: Sequence[str]) -> Array:
        """uint8[n, m]: label numbers, or ABSTAIN. A label that is not among `labels` is an abstention."""
        number = {label: place for place, label in enumerate(self.labels)}
        made = np.full((len(texts), len(self.members)), ABSTAIN, dtype=np.uint8)
        for place, member in enumerate(self.members):
            made[:, place] = [number.get(label, ABSTAIN) for label in member.vote(ids, texts)]
        return made


def by_text(function: LabelFunction, workspace: Path) -> Member:
    """A labelling function as a voter."""
    vote = function.ready(workspace)
    kind = str(getattr(function, "kind", type(function).__name__))
    return Member(function.name, kind, lambda ids, texts: [vote(text) for text in texts], frozenset(function.labels(workspace)))


def by_id(name: str, kind: str, folder: Path, sure: float) -> Member:
    """Labels that an artifact of examples holds under the same ids, where its meta.confidence, if it has one, is at least `sure`.
    About 150 bytes a row of it are kept."""
    labels: dict[str, str] = {}
    for batch in rows.batches(folder, ["id", "label", "meta"]):
        columns = (batch.column(column).to_pylist() for column in ("id", "label", "meta"))
        for row, label, meta in zip(*columns, strict=True):
            if label and float(json.loads(meta or "{}").get("confidence", 1)) >= sure:
                labels[row] = label
    return Member(name, kind, lambda ids, texts: [labels.get(row, "") for row in ids], frozenset(labels.values()))


class Ballots:
    """Votes in the order of the rows, written once and read once. A context."""

    def __init__(self, path: Path, functions: int) -> None:
        self.path, self.functions = path, functions
        self._seen: dict[bytes, int] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        self._out = path.open("wb")

    def add(self, votes: Array) -> None:
        self._out.write(votes.tobytes())
        distinct, counts = np.unique(votes, axis=0, return_counts=True)
        for row, count in zip(distinct, counts.tolist(), strict=True):
            key = row.tobytes()
            self._seen[key] = self._seen.get(key, 0) + count

    def __enter__(self) -> Ballots:
        return self

    def __exit__(self, *_: object) -> None:
        self._out.close()

    def combinations(self) -> tuple[Array, Array]:
        """(uint8[n, m] distinct votes, sorted; int64[n] how often)."""
        keys = sorted(self._seen)
        votes = np.frombuffer(b"".join(keys), dtype=np.uint8).reshape(len(keys), self.functions)
        return votes, np.array([self._seen[key] for key in keys], dtype=np.int64)

    def at(self, start: int, stop: int) -> Array:
        """The votes of these rows again, uint8[stop - start, m]."""
        size, offset = (stop - start) * self.functions, start * self.functions
        return np.fromfile(self.path, dtype=np.uint8, count=size, offset=offset).reshape(stop - start, self.functions)


class Tally(NamedTuple):
    """By function, as counts of rows: it votes, another votes too, another votes otherwise. `against[a, b]`: a and b both vote and differ."""

    rows: int
    votes: Array
    overlaps: Array
    conflicts: Array
    against: Array
    covered: int
    conflicting: int


def tally(votes: Array, counts: Array) -> Tally:
    """Of combinations of votes and how often each is."""
    spoke = votes != ABSTAIN
    several = spoke.sum(1) > 1
    functions = votes.shape[1]
    against = np.zeros((functions, functions), dtype=np.int64)
    for one in range(functions):
        differs = spoke & spoke[:, [one]] & (votes != votes[:, [one]])
        against[one] = counts @ differs
    split = np.array([len(set(row[row != ABSTAIN].tolist())) > 1 for row in votes], dtype=bool)
    return Tally(
        rows=int(counts.sum()),
        votes=counts @ spoke,
        overlaps=counts @ (spoke & several[:, None]),
        conflicts=counts @ (spoke & _differs_from_any(votes, spoke)),
        against=against,
        covered=int(counts @ spoke.any(1)),
        conflicting=int(counts @ split),
    )


def _differs_from_any(votes: Array, spoke: Array) -> Array:
    """bool[n, m]: whether another function votes otherwise in the row."""
    made = np.zeros(votes.shape, dtype=bool)
    for one in range(votes.shape[1]):
        made[:, one] = (spoke & spoke[:, [one]] & (votes != votes[:, [one]])).any(1)
    return made
