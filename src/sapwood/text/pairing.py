"""Pairs of texts from two sets of documents: joined by the value of key fields, then judged by length, sameness and copies.

What it does NOT judge: whether one text says what the other says. A wrong partner of a fitting length passes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import NamedTuple


class Side(NamedTuple):
    """One text of a set: the row's id, its key, its text."""

    id: str
    key: str
    text: str


class Pair(NamedTuple):
    """`why` says why it is no pair; empty for a good one. `target` is None where there was no partner."""

    text: Side
    target: Side | None
    why: str = ""


@dataclass(frozen=True)
class Limits:
    """Lengths in characters without spaces. `spread`: most times that (target / text) may be off its median over all pairs; 0 for no limit."""

    min_chars: int = 1
    max_chars: int = 1000
    spread: float = 4.0


@dataclass
class Matched:
    """Partners of two sets. `texts` in their order with their targets; `left` are targets without a partner."""

    pairs: list[Pair] = field(default_factory=list)
    left: list[Side] = field(default_factory=list)


def lines(side: Side) -> list[Side]:
    """One side for each line with text; the key tells the line's place."""
    found = [line.strip() for line in side.text.split("\n") if line.strip()]
    return [Side(side.id, f"{side.key}\n{number}", line) for number, line in enumerate(found)]


def match(texts: Iterable[Side], targets: Iterable[Side], by_line: bool = False) -> Matched:
    """Join by key. A key that comes again on a side is dropped there; with `by_line` documents of one key give a pair a line where both
    have as many. Memory: both sets."""
    matched, waiting = Matched(), dict[str, Side]()
    for target in targets:
        if target.key in waiting:
            matched.left.append(target)
        waiting.setdefault(target.key, target)
    seen: set[str] = set()
    for text in texts:
        partner = None if text.key in seen else waiting.pop(text.key, None)
        why = "" if partner else "its key for the second time" if text.key in seen else "no partner"
        seen.add(text.key)
        matched.pairs += _by_line(text, partner) if by_line and partner else [Pair(text, partner, why)]
    matched.left += waiting.values()
    return matched


def _by_line(text: Side, target: Side) -> list[Pair]:
    ours, theirs = lines(text), lines(target)
    if len(ours) != len(theirs):
        return [Pair(text, target, "another number of lines")]
    return [Pair(a, b) for a, b in zip(ours, theirs, strict=True)]


def judge(pairs: Iterable[Pair], limits: Limits) -> Iterator[Pair]:
    """The pairs in their order, each with the first reason against it."""
    known = [
        pair if pair.why or pair.target is None else pair._replace(why=_alone(pair.text.text, pair.target.text, limits)) for pair in pairs
    ]
    ratios = [_ratio(pair) for pair in known if not pair.why]
    middle, seen = median(ratios) if ratios else 1.0, set[bytes]()
    for pair in known:
        if not pair.why and pair.target is not None:
            mark = hashlib.sha256(f"{_plain(pair.text.text)}\0{_plain(pair.target.text)}".encode()).digest()[:16]
            off = _ratio(pair) / middle
            if limits.spread and not 1 / limits.spread <= off <= limits.spread:
                pair = pair._replace(why="length ratio")
            elif mark in seen:
                pair = pair._replace(why="copy of a pair")
            seen.add(mark)
        yield pair


def _alone(text: str, target: str, limits: Limits) -> str:
    """What speaks against a pair whatever the others are."""
    a, b = _length(text), _length(target)
    if not (any(c.isalpha() for c in text) and any(c.isalpha() for c in target)):
        return "no letters"
    if min(a, b) < limits.min_chars:
        return "shorter than min_chars"
    if max(a, b) > limits.max_chars:
        return "longer than max_chars"
    return "both the same" if _plain(text) == _plain(target) else ""


def _length(text: str) -> int:
    return len("".join(text.split()))


def _plain(text: str) -> str:
    return " ".join(text.split())


def _ratio(pair: Pair) -> float:
    assert pair.target is not None
    return _length(pair.target.text) / _length(pair.text.text)


def key_of(values: Mapping[str, str], names: Iterable[str]) -> str:
    """The key of a row; "" where one of its fields is empty."""
    found = [values[name] for name in names]
    return "\0".join(found) if all(found) else ""
