"""From votes to a label, its confidence, or the reason why there is none."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from sapwood.text.labelling.label_model import ABSTAIN, Fitted, decided
from sapwood.text.labelling.votes import Array, Electorate

TOGETHER = "together"
"""The name under which the label model stands beside its functions."""


class Judgement(NamedTuple):
    """What a row is labelled. `reason` is empty, or `no vote`, `tie`, `below min_confidence`, and then there is no label."""

    label: str
    confidence: float
    votes: Mapping[str, str]
    reason: str


class Judge(NamedTuple):
    electorate: Electorate
    fitted: Fitted
    min_confidence: float

    def judged(self, votes: Array) -> Iterator[Judgement]:
        """One judgement for each row of `votes` uint8[n, m]."""
        numbers, confidences = decided(self.fitted.posterior(votes))
        for row, number, confidence in zip(votes, numbers.tolist(), confidences.tolist(), strict=True):
            cast = self.electorate.spoken(row)
            reason = self._reason(cast, number, confidence)
            yield Judgement("" if reason else self.electorate.labels[number], confidence, cast, reason)

    def _reason(self, cast: Mapping[str, str], number: int, confidence: float) -> str:
        if not cast:
            return "no vote"
        if number == ABSTAIN:
            return "tie"
        return "below min_confidence" if confidence < self.min_confidence else ""


def written(row: Mapping[str, Any], judgement: Judgement) -> dict[str, Any]:
    """The row with its label, and in meta the votes and the confidence, or why it has none."""
    meta = json.loads(row["meta"] or "{}") | {"votes": "; ".join(f"{name}={vote}" for name, vote in judgement.votes.items())}
    meta |= {"dropped": judgement.reason} if judgement.reason else {"confidence": f"{judgement.confidence:.4f}"}
    return {**row, "meta": json.dumps(meta, ensure_ascii=False, sort_keys=True), "label": judgement.label}


def hits(judgements: Iterator[Judgement], truth: Sequence[str]) -> tuple[Counter[str], Counter[str]]:
    """(right answers, answers) by function and of all together, against the true labels."""
    right: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for judgement, label in zip(judgements, truth, strict=True):
        answers = {**judgement.votes, **({TOGETHER: judgement.label} if judgement.label else {})}
        total.update(list(answers))
        right.update([name for name, answer in answers.items() if answer == label])
    return right, total
