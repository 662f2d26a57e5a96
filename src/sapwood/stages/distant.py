"""Distant: examples of relations from text and known facts."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from pydantic import Field

from sapwood.artifact import Documents, Examples, Report
from sapwood.errors import Interrupted
from sapwood.stage import Estimate, Json, Stage, Work

if TYPE_CHECKING:
    from sapwood.text.labelling.distant import Facts

SAMPLES = 12


class Marked(NamedTuple):
    examples: Examples
    report: Report


class Distant(Stage):
    """Take sentences that name both ends of a known fact as examples of its relation, and as many that name two things no fact joins.

    The first name of a sentence is the head: a fact the other way round has the label `inverse RELATION`. One pair of a sentence is
    taken, so that a split by meta.pair keeps sentences and pairs on one side. It does NOT check that a sentence tells the fact: the
    report gives the overlap of text and facts, and samples to read.
    """

    examples: ClassVar[tuple[dict[str, Json], ...]] = (
        {"tail": "meta.tail", "values": {"part of": "in"}},
        {"head": "text", "relation": "source", "tail": "meta.label", "spans": "meta.spans", "kinds": ["PER"], "none_share": 0.5},
    )

    head: str = Field("text", description="Field of the facts with the name that has the relation; notes in brackets are left out.")
    relation: str = Field("meta.relation", description="Field of the facts with the relation.")
    tail: str = Field("meta.tail", description="Field of the facts with the name that it has the relation to.")
    values: dict[str, str] = Field({}, description="New names of relations, old: new; an empty one leaves the relation out.")
    spans: str = Field("", description="Field of the documents with marked names, such as meta.spans; empty looks for the facts' own.")
    kinds: tuple[str, ...] = Field((), description="Labels of marked spans that are names, such as PER; empty takes all.")
    shortest: int = Field(2, ge=1, description="Fewest characters of a name.")
    most_names: int = Field(6, ge=2, description="Sentences with more names are left out: they are lists.")
    longest: int = Field(400, ge=10, description="Longest sentence, in characters.")
    none: str = Field("none", min_length=1, description="Label of pairs that no fact joins.")
    none_share: float = Field(1.0, ge=0, description="How many pairs without a fact to keep for each pair with one.")

    def estimate(self, bytes_in: int) -> Estimate:
        return Estimate(2 + bytes_in / 1e6, 500_000_000 + 4 * bytes_in, bytes_in)

    def run(self, work: Work, documents: Documents, facts: Documents) -> Marked:
        from sapwood.text import rows
        from sapwood.text.labelling import distant
        from sapwood.text.writer import Writer

        known = self._facts(work, facts)
        seen: Counter[str] = Counter()
        made = self._examples(work, documents, known, seen)
        joined = [one for one in made if one["label"] != self.none]
        apart = sorted((one for one in made if one["label"] == self.none), key=lambda one: str(one["id"]))
        apart = apart[: round(self.none_share * len(joined))]
        folder = work.new("examples")
        with Writer(folder, rows.EXAMPLES) as out:
            out.add(sorted([*joined, *apart], key=lambda one: str(one["id"])))
        labels = Counter(str(one["label"]) for one in (*joined, *apart))
        seen["different pairs with a fact"] = len({frozenset(distant.ends(one)) for one in joined})
        return Marked(work.put(Examples, folder), self._report(work, known, seen, labels, joined))

    def _facts(self, work: Work, facts: Documents) -> Facts:
        from sapwood.text import fields
        from sapwood.text.labelling import distant

        found = fields.records(work.path(facts), [self.head, self.relation, self.tail])
        return distant.facts(((one[self.head], one[self.relation], one[self.tail]) for one in found), self.values, self.shortest)

    def _examples(self, work: Work, documents: Documents, known: Facts, seen: Counter[str]) -> list[dict[str, Any]]:
        from sapwood.text import fields, rows, spans
        from sapwood.text.labelling import distant

        limits = distant.Limits(self.most_names, self.longest, self.none, self.kinds)
        folder, found = work.path(documents), list[dict[str, Any]]()
        with work.progress("marking", rows.count(folder)) as meter:
            for batch in rows.batches(folder):
                if work.stopping():
                    raise Interrupted("stopped while marking relations", "run the same command again")
                marks = fields.values(batch, self.spans) if self.spans else [""] * batch.num_rows
                for row, mark in zip(batch.to_pylist(), marks, strict=True):
                    marked = spans.parsed(mark, row["text"], row["id"]) if self.spans else None
                    pairs = distant.pairs(row["text"], marked, known, limits, seen)
                    found += [distant.example(row, number, pair) for number, pair in enumerate(pairs)]
                meter.advance(batch.num_rows)
        return found

    def _report(self, work: Work, known: Facts, seen: Counter[str], labels: Counter[str], joined: list[dict[str, Any]]) -> Report:
        from sapwood import report
        from sapwood.text.labelling import distant

        rows_told, sentences = seen["with a fact"], seen["sentences"]
        overlap = [["facts with one relation", len(known.relations)], ["facts left out for two relations", known.several], *seen.items()]
        shown = [{"id": one["id"], "text": one["text"], "reason": " ".join((*distant.ends(one), one["label"]))} for one in joined[:SAMPLES]]
        blocks = [
            report.table("Overlap of text and facts", ["what", "number"], [list(one) for one in overlap]),
            report.table("Examples", ["relation", "examples"], [list(one) for one in sorted(labels.items())]),
            report.samples("Sentences taken to tell a fact", shown, "Nobody checked them: read how many do tell it."),
        ]
        summary = (
            f"{rows_told:,} of {sentences:,} sentences name both ends of a fact; {labels.total():,} examples of {len(labels)} relations."
        )
        work.say(summary)
        data = {"facts": len(known.relations), "several": known.several, "seen": dict(seen), "labels": dict(labels)}
        folder = work.new("report")
        report.write(folder, "Relations by known facts", summary, data, blocks)
        return work.put(Report, folder)
