"""The stage that labels documents by functions that vote. The science is in `sapwood.text.labelling`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

from pydantic import Field

from sapwood.artifact import Documents, Examples, Model, Report
from sapwood.errors import InputError, Interrupted
from sapwood.stage import Estimate, Json, Stage, Work
from sapwood.text.labelling.catalogue import AnyFunction, faults

if TYPE_CHECKING:
    from sapwood.text.labelling.judge import Judge
    from sapwood.text.labelling.label_model import Fitted
    from sapwood.text.labelling.told import Seen
    from sapwood.text.labelling.votes import Array, Ballots, Electorate, Member

BATCH = 1024
LEAST_SHARE = 0.01
"""A learnt share below this is refused."""


class WeaklyLabelled(NamedTuple):
    examples: Examples
    abstained: Documents
    report: Report


class WeakLabel(Stage):
    """Label documents by functions that vote: keywords, lexicons, patterns, models, and labels of other artifacts by document id.

    Votes become one label by majority, or by what the functions' agreements tell of their accuracy (EM). Documents without a label go to
    `abstained`. A small labelled sample (`labelled`) measures what the labels are worth; nothing is learnt from it.
    """

    is_source: ClassVar[bool] = True
    carries: ClassVar[tuple[str, ...] | None] = ("documents",)
    examples: ClassVar[tuple[dict[str, Json], ...]] = (
        {
            "functions": [
                {"kind": "keywords", "name": "praise", "label": "positive", "words": ["happy", "满意", "great", "excellent"]},
                {"kind": "pattern", "name": "anger", "label": "negative", "pattern": "angry|hate|生气|讨厌"},
            ],
            "shares": {"positive": 0.5, "negative": 0.5},
        },
        {
            "functions": [
                {"kind": "lexicon", "name": "words", "words": {"love": "positive", "喜欢": "positive", "质量差": "negative"}},
                {"kind": "keywords", "name": "bad", "label": "negative", "words": ["broke", "坏"]},
            ],
            "method": "majority",
            "min_confidence": 0.6,
            "sure": 0.9,
        },
    )

    functions: tuple[AnyFunction, ...] = Field((), description="Labelling functions: keywords, lexicon or pattern, each with a name.")
    method: Literal["em", "majority"] = Field("em", description="How votes become one label: by learnt accuracies, or by their number.")
    shares: dict[str, float] | Literal["equal", "learn"] = Field(
        "equal", description="Shares of the labels, for em: stated by label, equal, or learn (where every function votes for every label)."
    )
    min_confidence: float = Field(
        0.5, ge=0, le=1, description="Least probability (em) or share of votes (majority) of a label that is given."
    )
    sure: float = Field(0.7, ge=0, le=1, description="A model, or a label with meta.confidence, that is less sure than this abstains.")

    def fingerprint(self, workspace: Path) -> str | None:
        return " ".join(found for function in self.functions if (found := function.fingerprint(workspace)))

    def check(self, workspace: Path) -> list[str]:
        return faults(self.functions, workspace)

    def estimate(self, bytes_in: int) -> Estimate:
        return Estimate(2 + bytes_in / 4e6, 500_000_000, bytes_in)

    def run(
        self,
        work: Work,
        documents: Documents,
        labelled: Examples | None = None,
        votes: list[Examples] | None = None,
        models: list[Model] | None = None,
    ) -> WeaklyLabelled:
        from sapwood.text.labelling import label_model, told
        from sapwood.text.labelling.judge import Judge
        from sapwood.text.labelling.votes import Ballots, tally

        electorate = self._electorate(work, votes or [], models or [])
        with Ballots(work.scratch / "votes", len(electorate.members)) as ballots:
            self._vote(work, documents, electorate, ballots)
        combinations, counts = ballots.combinations()
        fitted = label_model.fit(combinations, counts, len(electorate.labels), self.method, self._known(electorate.labels))
        if self.shares == "learn":
            _refuse_collapse(fitted, electorate.labels)
        judge = Judge(electorate, fitted, self.min_confidence)
        examples, abstained, seen = self._write(work, documents, ballots, judge)
        measured = {} if labelled is None else _measured(work, labelled, judge)
        data = told.data(electorate, tally(combinations, counts), fitted, seen, measured)
        return WeaklyLabelled(examples, abstained, _report(work, data, told.blocks(data, seen)))

    def _electorate(self, work: Work, votes: Sequence[Examples], models: Sequence[Model]) -> Electorate:
        from sapwood.text.labelling.votes import Electorate, by_id, by_text

        if wrong := faults(self.functions, work.workspace):
            raise InputError("; ".join(wrong), "mend the functions of this step")
        sure = self.sure
        members = [by_text(function, work.workspace) for function in self.functions]
        members += [by_id(f"votes-{place}", str(one), work.path(one), sure) for place, one in enumerate(votes, 1)]
        members += [_by_model(f"model-{place}", work, one, sure) for place, one in enumerate(models, 1)]
        return Electorate.of(members)

    def _known(self, labels: Sequence[str]) -> Array | None:
        """Shares in the order of the labels; None where they are to be learnt."""
        import numpy as np

        if isinstance(self.shares, str):
            return None if self.shares == "learn" else np.full(len(labels), 1 / len(labels))
        if set(self.shares) != set(labels) or min(self.shares.values()) <= 0:
            raise InputError(f"shares must hold a share above 0 for each of {', '.join(labels)}", "name every label once, or write equal")
        given = np.array([self.shares[label] for label in labels])
        return given / given.sum()

    def _vote(self, work: Work, documents: Documents, electorate: Electorate, ballots: Ballots) -> None:
        from sapwood.text import rows

        stored = work.path(documents)
        with work.progress("voting", rows.count(stored)) as meter:
            for batch in rows.batches(stored, ["id", "text"], BATCH):
                if work.stopping():
                    raise Interrupted("stopped while voting", "run the same command again")
                ballots.add(electorate.votes(*_ids_and_texts(batch)))
                meter.advance(batch.num_rows)

    def _write(self, work: Work, documents: Documents, ballots: Ballots, judge: Judge) -> tuple[Examples, Documents, Seen]:
        import pyarrow as pa

        from sapwood.text import rows
        from sapwood.text.labelling.judge import written
        from sapwood.text.labelling.told import Seen
        from sapwood.text.writer import Writer

        stored, kept, left, seen, done = work.path(documents), work.new("examples"), work.new("abstained"), Seen(), 0
        own = rows.schema(stored)
        schema = own if "label" in own.names else own.append(pa.field("label", pa.string()))
        with Writer(kept, schema) as labelled, Writer(left, own) as rest, work.progress("labelling", rows.count(stored)) as meter:
            for batch in rows.batches(stored, None, BATCH):
                judgements = list(judge.judged(ballots.at(done, done + batch.num_rows)))
                made = [written(row, judgement) for row, judgement in zip(batch.to_pylist(), judgements, strict=True)]
                for row, judgement in zip(made, judgements, strict=True):
                    seen.add(row["text"] or "", judgement)
                labelled.add(row for row in made if row["label"])
                rest.add(row for row in made if not row["label"])
                done += batch.num_rows
                meter.advance(batch.num_rows)
        return work.put(Examples, kept), work.put(Documents, left), seen


def _refuse_collapse(fitted: Fitted, labels: Sequence[str]) -> None:
    """Learnt shares that leave a label to nothing say more of the functions than of the text."""
    least = int(fitted.shares.argmin())
    if fitted.shares[least] < LEAST_SHARE:
        raise InputError(
            f"the label {labels[least]} was learnt to have a share of {fitted.shares[least]:.2%}", "state the shares, or set them equal"
        )


def _ids_and_texts(batch: Any) -> tuple[list[str], list[str]]:
    return batch.column("id").to_pylist(), [text or "" for text in batch.column("text").to_pylist()]


def _measured(work: Work, labelled: Examples, judge: Judge) -> dict[str, dict[str, float]]:
    """Accuracy with a 95 % interval of each function where it votes, and of the label model where it decides."""
    from collections import Counter

    from sapwood.metrics.intervals import wilson
    from sapwood.text import rows
    from sapwood.text.labelling.judge import hits

    right: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for batch in rows.batches(work.path(labelled), ["id", "text", "label"], BATCH):
        found = hits(
            judge.judged(judge.electorate.votes(*_ids_and_texts(batch))), [str(label) for label in batch.column("label").to_pylist()]
        )
        right.update(found[0])
        total.update(found[1])
    return {name: {"n": n, **wilson(right[name], n).as_dict()} for name, n in sorted(total.items())}


def _report(work: Work, data: dict[str, Any], blocks: list[Any]) -> Report:
    from sapwood import report
    from sapwood.text.labelling import told

    folder = work.new("report")
    report.write(folder, "Weak labels", told.summary(data), data, blocks)
    work.say(told.summary(data))
    return work.put(Report, folder)


def _by_model(name: str, work: Work, model: Model, sure: float) -> Member:
    """A classifier as a voter: its most probable label, where it is sure."""
    from sapwood.models.predict import load_classifier
    from sapwood.text.labelling.votes import Member

    classifier = load_classifier(work.path(model), threads=work.resources.threads)

    def vote(ids: Sequence[str], texts: Sequence[str]) -> list[str]:
        probabilities = classifier.predict(texts)
        best = probabilities.argmax(1).tolist()
        return [classifier.labels[place] if row[place] >= sure else "" for row, place in zip(probabilities.tolist(), best, strict=True)]

    return Member(name, str(model), vote, frozenset(classifier.labels))
