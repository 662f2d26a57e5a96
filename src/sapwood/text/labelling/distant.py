"""Distant supervision: a sentence that names both ends of a known fact is taken to tell it (Mintz et al. 2009).

What it does NOT do: check that the sentence does tell it. A share of the labels is wrong, lists of names most of all, so sentences with
many names are left out; read the samples of the report before training on them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from sapwood.text import rows, spans
from sapwood.text.spans import Span

SENTENCE = re.compile(r"\S.*?(?:[。！？；!?]+[”’」』）)]*|\.(?=\s)|\n|\Z)", re.DOTALL)
NOTE = re.compile(r"[\[（(][^\])）]*[\])）]")
INVERSE = "inverse "
MOST_UNITS = 6
"""Longest name that is looked for: six words, or six characters of Chinese."""


class Limits(NamedTuple):
    """`most_names` and `longest` (characters) of a sentence; `none` labels pairs that no fact joins; only spans of `kinds` are names."""

    most_names: int
    longest: int
    none: str
    kinds: tuple[str, ...] = ()


class Facts(NamedTuple):
    """`relations` by (head, tail); `names` of all heads and tails, each to an empty label; `several`: pairs left out for having two."""

    relations: Mapping[tuple[str, str], str]
    names: Mapping[str, str]
    several: int


class Pair(NamedTuple):
    """Two names of a sentence, the first one first, and what is known of them."""

    sentence: str
    head: Span
    tail: Span
    label: str


def facts(triples: Iterable[tuple[str, str, str]], values: Mapping[str, str], shortest: int) -> Facts:
    """From (head, relation, tail). Notes in brackets after a name go; names under `shortest` characters too. `values` renames relations,
    and one that becomes empty is left out."""
    known: dict[tuple[str, str], set[str]] = {}
    for head, relation, tail in triples:
        ends = tuple(NOTE.sub("", name).strip() for name in (head, tail))
        named = values.get(relation, relation)
        if named and ends[0] != ends[1] and min(map(len, ends)) >= shortest:
            known.setdefault((ends[0], ends[1]), set()).add(named)
    single = {pair: found.pop() for pair, found in known.items() if len(found) == 1}
    return Facts(single, {name: "" for pair in known for name in pair}, len(known) - len(single))


def pairs(text: str, marked: Sequence[Span] | None, known: Facts, limits: Limits, seen: Counter[str]) -> Iterator[Pair]:
    """One pair of each sentence with two names or more: one that a fact joins if there is one, else any two; the first such in the order
    of the text. `marked` are the names of the text, None looks for the facts' own. `seen` counts sentences."""
    found = spans.looked_up(text, known.names, MOST_UNITS) if marked is None else marked
    for match in SENTENCE.finditer(text):
        sentence, start = match[0].rstrip(), match.start()
        seen["sentences"] += 1
        names = _names(sentence, start, found, limits)
        if len(names) < 2:
            continue
        seen["with two names"] += 1
        if len(names) > limits.most_names or len(sentence) > limits.longest:
            seen["left out: too many names or too long"] += 1
            continue
        both = [_pair(sentence, a, b, known) for i, a in enumerate(names) for b in names[i + 1 :]]
        told = [pair for pair in both if pair.label]
        seen["with a fact"] += bool(told)
        first = told[0] if told else both[0]
        yield first if first.label else first._replace(label=limits.none)


def _names(sentence: str, start: int, found: Sequence[Span], limits: Limits) -> list[Span]:
    """The first mention of each name, in the order of the sentence."""
    inside = (one for one in found if one.start >= start and one.end <= start + len(sentence))
    names = [Span(one.start - start, one.end - start, one.label) for one in inside if not limits.kinds or one.label in limits.kinds]
    first: dict[str, Span] = {}
    for one in names:
        first.setdefault(sentence[one.start : one.end], one)
    return list(first.values())


def _pair(sentence: str, head: Span, tail: Span, known: Facts) -> Pair:
    ends = sentence[head.start : head.end], sentence[tail.start : tail.end]
    turned = known.relations.get((ends[1], ends[0]), "")
    return Pair(sentence, head, tail, known.relations.get(ends, "") or (turned and INVERSE + turned))


def example(row: Mapping[str, Any], number: int, pair: Pair) -> dict[str, Any]:
    """The pair as an example. `meta.pair` names both ends, sorted: a field to keep on one side of a split."""
    ends = [pair.sentence[one.start : one.end] for one in (pair.head, pair.tail)]
    head, tail = (spans.written([one], pair.sentence)[1:-1] for one in (pair.head, pair.tail))
    meta = {"head": head, "tail": tail, "pair": " | ".join(sorted(ends))}
    kept = {name: row[name] for name in ("url", "language", "license", "collected_at")}
    made = rows.document(row["source"], f"{row['id']}/{number}", pair.sentence, meta=meta, **kept)
    return {**made, "parents": [row["id"]], "label": pair.label}


def ends(example: Mapping[str, Any]) -> tuple[str, str]:
    """Head and tail of an example, as its sentence has them."""
    meta = rows.meta(example)
    head, tail = (spans.parsed(f"[{meta[name]}]", example["text"], example["id"])[0] for name in ("head", "tail"))
    return example["text"][head.start : head.end], example["text"][tail.start : tail.end]
