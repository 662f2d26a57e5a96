"""Self-label: a classifier labels what nobody labelled, where it is sure, to be trained again on both."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from pydantic import Field

from sapwood.artifact import Documents, Examples, Model, Report
from sapwood.errors import InputError, Interrupted
from sapwood.stage import Estimate, Json, Stage, Work
from sapwood.text.labelling.self_labelled import MARK

if TYPE_CHECKING:
    from sapwood.models.predict import Classifier

BATCH = 512


class SelfLabelled(NamedTuple):
    train: Examples
    left: Documents
    report: Report


class SelfLabel(Stage):
    """Self-training: label unlabelled documents with a classifier where it is surer than `confidence`, at most `per_class` of each label, the
    surest first, and put them beside the labelled examples.

    Rows that it labelled carry meta.self_labelled (the model) and meta.confidence; stages that judge refuse them. A document whose text is
    in `held_out` or already labelled stays out. A model repeats its own mistakes here: compare the next model with this one on held-out rows.
    """

    carries: ClassVar[tuple[str, ...] | None] = ("labelled", "documents")
    examples: ClassVar[tuple[dict[str, Json], ...]] = ({"confidence": 0.5, "per_class": 5},)

    confidence: float = Field(0.95, gt=0, lt=1, description="Least probability of a label that is given.")
    per_class: int = Field(1000, ge=1, description="Most documents of one label, so that the easiest one does not take over.")

    def estimate(self, bytes_in: int) -> Estimate:
        return Estimate(15 + bytes_in / 20e3, 1_500_000_000, bytes_in)

    def run(
        self, work: Work, model: Model, documents: Documents, labelled: Examples, held_out: list[Examples] | None = None
    ) -> SelfLabelled:
        from sapwood.models import predict
        from sapwood.text import rows
        from sapwood.text.writer import Writer

        predict.use_threads(work.resources.threads)
        classifier = predict.load_classifier(work.path(model), threads=work.resources.threads)
        known = rows.read(work.path(labelled))
        given: set[Any] = set(known["label"].to_pylist())
        if strange := sorted(given - set(classifier.labels)):
            raise InputError(f"labelled has labels that the model does not know: {', '.join(strange)}", "wire the rows it was trained on")
        taken: set[Any] = set(known["text_digest"].to_pylist())
        judged: set[Any] = {
            digest for one in held_out or [] for digest in rows.read(work.path(one), ["text_digest"])["text_digest"].to_pylist()
        }
        sure, counts = self._sure(work, documents, classifier, (taken, judged))
        chosen = {
            name: (label, confidence)
            for label, found in sure.items()
            for confidence, name in sorted(found, key=lambda one: (-one[0], one[1]))[: self.per_class]
        }
        folder, rest = work.new("train"), work.new("left")
        with Writer(folder, rows.EXAMPLES) as out, Writer(rest) as left:
            out.add_table(known)
            for batch in rows.batches(work.path(documents)):
                for row in batch.to_pylist():
                    if row["id"] in chosen:
                        out.add([_marked(row, *chosen[row["id"]], model)])
                    else:
                        left.add([row])
        told = self._report(work, counts, Counter(label for label, _ in chosen.values()), known.num_rows)
        return SelfLabelled(work.put(Examples, folder), work.put(Documents, rest), told)

    def _sure(
        self, work: Work, documents: Documents, classifier: Classifier, closed: tuple[set[str], set[str]]
    ) -> tuple[dict[str, list[tuple[float, str]]], Counter[str]]:
        """(probability, id) of the documents that the classifier is sure of by label, and how many documents there were of each fate."""
        from sapwood.text import rows

        found: dict[str, list[tuple[float, str]]] = {label: [] for label in classifier.labels}
        counts: Counter[str] = Counter()
        seen: set[str] = set()
        stored = work.path(documents)
        with work.progress("self-label", rows.count(stored)) as meter:
            for batch in rows.batches(stored, ["id", "text", "text_digest"], BATCH):
                if work.stopping():
                    raise Interrupted("stopped while labelling", "run the same command again")
                some = batch.to_pylist()
                chances = classifier.predict([row["text"] or "" for row in some])
                for row, chance in zip(some, chances, strict=True):
                    fate = _closed(row["text_digest"], closed, seen)
                    if not fate:
                        best = int(chance.argmax())
                        fate = "sure" if chance[best] >= self.confidence else "not sure enough"
                        if fate == "sure":
                            found[classifier.labels[best]].append((float(chance[best]), row["id"]))
                    seen.add(row["text_digest"])
                    counts[fate] += 1
                meter.advance(len(some))
        return found, counts

    def _report(self, work: Work, counts: Counter[str], kept: Counter[str], labelled: int) -> Report:
        from sapwood import report

        summary = (
            f"{kept.total():,} of {counts.total():,} documents were labelled by the model itself, beside {labelled:,} labelled examples."
        )
        data = {
            "documents": counts.total(),
            "labelled": labelled,
            "self_labelled": dict(sorted(kept.items())),
            "fates": dict(sorted(counts.items())),
        }
        note = f"Sure: {self.confidence:g} or more; at most {self.per_class:,} of each label, the surest first."
        blocks = [
            report.table("Labels that it gave", ["label", "documents"], sorted(kept.items()), note),
            report.table("Documents", ["what became of them", "documents"], sorted(counts.items())),
            report.text("The labels are the model's own and so are its mistakes. No row of these may be judged on: they carry a mark."),
        ]
        folder = work.new("report")
        report.write(folder, "Self-labelled", summary, data, blocks)
        work.say(summary)
        return work.put(Report, folder)


def _closed(digest: str, closed: tuple[set[str], set[str]], seen: set[str]) -> str:
    """Why a text may not be labelled; "" where it may."""
    taken, judged = closed
    return "held out" if digest in judged else "labelled already" if digest in taken else "a copy" if digest in seen else ""


def _marked(row: dict[str, Any], label: str, confidence: float, model: Model) -> dict[str, Any]:
    from sapwood.text import rows

    meta = {**rows.meta(row), MARK: model.short, "confidence": f"{confidence:.4f}"}
    return {**row, "label": label, "meta": json.dumps(meta, ensure_ascii=False, sort_keys=True)}
