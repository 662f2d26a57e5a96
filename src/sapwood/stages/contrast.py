"""Contrast: dialogues that end rightly or wrongly become examples that compare."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

from pydantic import Field

from sapwood.artifact import Documents, Examples, Report
from sapwood.stage import Json, Stage, Work


class Contrasted(NamedTuple):
    examples: Examples
    report: Report
    dropped: Documents


class Told(NamedTuple):
    """One dialogue: its verdict, what was said before the last turn, and the last turn."""

    verdict: str
    context: tuple[str, ...]
    reply: str
    row: Mapping[str, Any]


class Contrast(Stage):
    """Bring dialogues with the same context together, of which some end with a right reply and some with a wrong one.

    A document is a dialogue, one turn a line; the last line is the reply. Each right reply becomes an example: text is the context,
    meta.positive and meta.chosen the right reply, meta.rejected a wrong one, meta.negatives all wrong ones, meta.candidates and meta.right
    the same as a choice, meta.dialogue tells dialogues apart by how they open (for `split: group`). Contexts without both go to `dropped`.
    """

    examples: ClassVar[tuple[dict[str, Json], ...]] = (
        {"turns": 3},
        {"field": "meta.label", "right": "positive", "wrong": "negative", "opening": 20},
    )

    field: str = Field("", description="Field with the verdict, such as meta.label; empty: the first line of the text is the verdict.")
    right: str = Field("1", min_length=1, description="Verdict of a right reply.")
    wrong: str = Field("0", min_length=1, description="Verdict of a wrong reply.")
    turns: int = Field(0, ge=0, description="Most turns of the context to keep, the last ones; 0 keeps all.")
    opening: int = Field(
        12, ge=1, description="Characters, in whole turns from the first, by which meta.dialogue tells one dialogue from another."
    )

    def run(self, work: Work, documents: Documents) -> Contrasted:
        from sapwood.text import fields, rows
        from sapwood.text.writer import Writer

        found: dict[tuple[str, ...], list[Told]] = {}
        dropped: list[dict[str, Any]] = []
        for batch in rows.batches(work.path(documents)):
            verdicts = fields.values(batch, self.field) if self.field else [""] * batch.num_rows
            for row, verdict in zip(batch.to_pylist(), verdicts, strict=True):
                told = self._told(row, verdict)
                if isinstance(told, str):
                    dropped.append(_dropped(row, told))
                else:
                    found.setdefault(told.context, []).append(told)
        kept, left, counts = work.new("examples"), work.new("dropped"), Counter[str]()
        with Writer(kept, rows.EXAMPLES) as out, Writer(left) as lost:
            for context, same in found.items():
                made, failed = self._examples(context, same)
                out.add(made)
                lost.add(failed)
                counts.update(examples=len(made), contexts=bool(made))
                counts.update(json.loads(row["meta"])["dropped"] for row in failed)
            lost.add(dropped)
            counts.update(json.loads(row["meta"])["dropped"] for row in dropped)
        return Contrasted(work.put(Examples, kept), _report(work, counts), work.put(Documents, left))

    def _told(self, row: Mapping[str, Any], verdict: str) -> Told | str:
        """The dialogue of a row, or why it is none."""
        turns = [line.strip() for line in row["text"].splitlines() if line.strip()]
        if not self.field:
            verdict, turns = (turns[0], turns[1:]) if turns else ("", [])
        if verdict not in (self.right, self.wrong):
            return "no verdict"
        if len(turns) < 2:
            return "under two turns"
        return Told(verdict, tuple(turns[:-1]), turns[-1], row)

    def _examples(self, context: tuple[str, ...], same: Sequence[Told]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """The examples of one context, and the dropped rows."""
        replies = {verdict: {told.reply: told for told in same if told.verdict == verdict} for verdict in (self.right, self.wrong)}
        both = replies[self.right].keys() & replies[self.wrong].keys()
        right, wrong = ([told for reply, told in replies[verdict].items() if reply not in both] for verdict in (self.right, self.wrong))
        failed = [_dropped(told.row, "right and wrong at once") for told in same if told.reply in both]
        if not right or not wrong:
            why = "no wrong reply to the same context" if right else "no right reply to the same context"
            return [], failed + [_dropped(told.row, why) for told in (*right, *wrong)]
        return [self._example(context, told, place, wrong, right) for place, told in enumerate(right)], failed

    def _example(self, context: tuple[str, ...], told: Told, place: int, wrong: Sequence[Told], right: Sequence[Told]) -> dict[str, Any]:
        from sapwood.text import rows

        negatives = [one.reply for one in wrong]
        at = int(told.row["id"][:8], 16) % (len(negatives) + 1)  # by the id, so that the place says nothing about the reply
        candidates = [*negatives[:at], told.reply, *negatives[at:]]
        text = "\n".join(context[-self.turns :])
        meta = {
            "positive": told.reply,
            "chosen": told.reply,
            "rejected": negatives[place % len(negatives)],
            "negatives": json.dumps(negatives, ensure_ascii=False),
            "candidates": json.dumps(candidates, ensure_ascii=False),
            "right": str(at),
            "dialogue": rows.text_digest(opening(context, self.opening)),
        }
        made = {
            "text": text,
            "text_digest": rows.text_digest(text),
            "parents": [one.row["id"] for one in (*right, *wrong) if one is not told],
        }
        return {**told.row, **made, "meta": json.dumps({**rows.meta(told.row), **meta}, ensure_ascii=False, sort_keys=True), "label": ""}


def opening(context: Sequence[str], characters: int) -> str:
    """The first turns, as many as it takes to have that many characters."""
    lengths = 0
    for number, turn in enumerate(context, 1):
        lengths += len(turn)
        if lengths >= characters:
            return "\n".join(context[:number])
    return "\n".join(context)


def _dropped(row: Mapping[str, Any], why: str) -> dict[str, Any]:
    from sapwood.text import rows

    return {**row, "meta": json.dumps({**rows.meta(row), "dropped": why}, ensure_ascii=False, sort_keys=True)}


def _report(work: Work, counts: Counter[str]) -> Report:
    from sapwood import report

    reasons = sorted((why, n) for why, n in counts.items() if why not in ("examples", "contexts"))
    lost = sum(n for _, n in reasons)
    data = {"examples": counts["examples"], "contexts": counts["contexts"], "dropped": dict(reasons)}
    blocks = [report.table("Dropped", ("reason", "dialogues"), reasons)]
    summary = f"{counts['examples']:,} examples that compare, of {counts['contexts']:,} contexts; {lost:,} dialogues dropped."
    folder = work.new("report")
    report.write(folder, "Right beside wrong", summary, data, blocks)
    work.say(summary)
    return work.put(Report, folder)
