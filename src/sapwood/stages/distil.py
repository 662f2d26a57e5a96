"""Distil: a student learns from its teachers' answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from pydantic import Field

from sapwood.artifact import Documents, Examples, Model, Report
from sapwood.errors import InputError
from sapwood.models.optimisers import AdamW, Optimiser
from sapwood.models.schedules import Linear, Schedule
from sapwood.stage import Estimate, Json, Stage, Work

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from sapwood.metrics.measured import Measured
    from sapwood.models.card import Card
    from sapwood.models.objectives.terms import Objective
    from sapwood.models.sources.source import Source
    from sapwood.models.tasks.task import Reader, Row

ALONE = "without a teacher"


class Distilled(NamedTuple):
    model: Model
    report: Report


class Given(NamedTuple):
    """Labelled rows, texts without labels, and the teachers' mean probabilities of both, in that order."""

    rows: list[Row]
    texts: list[str]
    wanted: Any


class Distil(Stage):
    """Teach a smaller classifier to answer as one or several larger ones do, on labelled texts and on texts without labels, and show it
    beside its teachers and beside the same student taught by the labels alone."""

    uses_seed: ClassVar[bool] = True
    uses_precision: ClassVar[bool] = True
    resumes: ClassVar[bool] = True
    carries: ClassVar[tuple[str, ...] | None] = ("teachers", "student", "train", "unlabelled")
    examples: ClassVar[tuple[dict[str, Json], ...]] = ({"epochs": 1},)

    name: str = Field("student", min_length=1, description="Name of the new model.")
    share: float = Field(
        0.7, ge=0, le=1, description="Share of the teachers' answers in what a labelled text teaches; labels have the rest."
    )
    temperature: float = Field(2.0, gt=0, description="Softens the answers of teacher and student.")
    epochs: int = Field(4, ge=1, le=1000, description="Passes over the texts.")
    batch_size: int = Field(32, ge=1, description="Texts of one step.")
    dropout: float = Field(0.1, ge=0, lt=1, description="Dropout of the student.")
    optimiser: Optimiser = Field(AdamW(), description="What moves the weights; its lr is by default 3e-4.")
    schedule: Schedule = Field(Linear(), description="How the learning rate rises and falls.")

    def model_type(self, workspace: Any, given: Mapping[str, str]) -> str:
        return given.get("student", "")

    def estimate(self, bytes_in: int) -> Estimate:
        return Estimate(30 + self.epochs * bytes_in / 15e3, 2_500_000_000, 1_000_000_000)

    def run(
        self,
        work: Work,
        teachers: list[Model],
        student: Model,
        train: Examples,
        dev: Examples,
        unlabelled: Documents | Examples | None = None,
    ) -> Distilled:
        from sapwood.models import architectures, committee, predict, texts
        from sapwood.models.card import read_card
        from sapwood.models.tasks.task import Reader

        predict.use_threads(work.resources.threads)
        precision = predict.resolve(work.resources.precision)
        base = work.path(student)
        committee.refuse_training(base)
        labels = _labels(work, teachers)
        dev_rows = _records(work, dev, "dev")
        given, taught = self._asked(work, teachers, _records(work, train, "train"), unlabelled, dev_rows)
        card = self._card(read_card(base), student.digest, labels, precision)
        tokenizer = texts.load_tokenizer(base)
        reader = Reader(tokenizer, texts.pad_id(tokenizer), card, base)
        scores = {"teachers": taught}
        scores[ALONE], _ = self._taught(work, reader, _labelled(reader, given, self.batch_size), dev_rows, "alone")
        scores[card.name], net = self._taught(work, reader, self._softened(reader, given), dev_rows, "checkpoints")
        folder = work.new("model")
        architectures.save_model(folder, net, base, card)
        sizes = {"student": _size(folder), "teachers": sum(_size(work.path(one)) for one in teachers)}
        return Distilled(work.put(Model, folder), _write(work, card.name, scores, given, sizes))

    def _asked(
        self, work: Work, teachers: list[Model], rows: list[Row], unlabelled: Documents | Examples | None, dev: list[Row]
    ) -> tuple[Given, Measured]:
        """What the teachers say of every text, and how right they are on the development examples."""
        import numpy as np

        from sapwood.models.predict import load_classifier
        from sapwood.models.tasks.classification import Classification
        from sapwood.text import fields

        more = [row["text"] for row in fields.records(work.path(unlabelled), ("text",))] if unlabelled else []
        asked = [*(row["text"] for row in rows), *more, *(row["text"] for row in dev)]
        total: Any = 0.0
        with work.progress("ask the teachers", len(teachers) * len(asked), "texts") as meter:
            for one in teachers:
                classifier = load_classifier(work.path(one), "fp32", work.resources.threads)
                total = total + classifier.predict(asked, meter.advance).astype(np.float64)
        mean = total / len(teachers)
        measured = Classification().measured(dev, mean[len(rows) + len(more) :], classifier.labels)
        return Given(rows, more, mean[: len(rows) + len(more)]), measured

    def _card(self, start: Card, digest: str, labels: tuple[str, ...], precision: str) -> Card:
        from sapwood.models.tasks.classification import Classification

        return start.model_copy(
            update={
                "name": self.name,
                "task": "classification",
                "labels": labels,
                "base": digest,
                "method": "distil",
                "precision": precision,
                "asks": Classification().model_dump(mode="json"),
            }
        )

    def _softened(self, reader: Reader, given: Given) -> tuple[Source, Objective]:
        import numpy as np

        from sapwood.models import texts
        from sapwood.models.objectives.soft import NO_LABEL, soft
        from sapwood.models.sources.labelled import LabelledTexts
        from sapwood.models.tasks.classification import numbers

        truth = np.full(len(given.wanted), NO_LABEL, dtype=np.float64)
        truth[: len(given.rows)] = numbers(reader.card.labels, [row["label"] for row in given.rows])
        told = np.concatenate([np.log(np.clip(given.wanted, 1e-12, None)), truth[:, None]], axis=1)
        every = [*(row["text"] for row in given.rows), *given.texts]
        ids = texts.encode(reader.tokenizer, every, reader.card.prefix, reader.card.max_tokens)
        return LabelledTexts(ids, told, self.batch_size, reader.pad), soft(self.share, self.temperature)

    def _taught(self, work: Work, reader: Reader, lesson: tuple[Source, Objective], dev: list[Row], home: str) -> tuple[Measured, Any]:
        """Train a fresh student; its score on the development examples, which also picked the epoch."""
        from sapwood.models import architectures, guarding
        from sapwood.models import train as loop
        from sapwood.models.tasks.classification import Classification

        task, (source, objective), card = Classification(), lesson, reader.card
        assert reader.folder is not None
        net = architectures.classifier(reader.folder, card.labels, work.seed, card.precision, self.dropout)
        a_pass = source.steps(work.seed, 0)
        plan = loop.Plan(
            steps=self.epochs * a_pass,
            lr=self.optimiser.rate(3e-4),
            optimiser=self.optimiser,
            schedule=self.schedule,
            precision="bf16" if card.precision == "bf16" else "fp32",
            device=work.resources.device,
            evaluate_every=a_pass,
            keep_best="macro_f1",
        )

        def evaluate(model: Any) -> dict[str, float]:
            return task.measured(dev, task.answers(model, reader, dev, plan.precision), card.labels).values()

        note = lambda incident: work.say(guarding.told(incident))  # noqa: E731
        with work.progress(f"student, {home}", plan.steps, "steps") as meter:
            calls = loop.Calls(work.log, meter.advance, work.stopping, evaluate, note)
            loop.train(net, source, objective, plan, work.seed, work.scratch / home, calls)
        net.eval()
        return task.measured(dev, task.answers(net, reader, dev, plan.precision), card.labels), net


def _labels(work: Work, teachers: list[Model]) -> tuple[str, ...]:
    from sapwood.models.card import read_card

    if not teachers:
        raise InputError("there is no teacher", "wire at least one classifier to teachers")
    cards = [read_card(work.path(one)) for one in teachers]
    if len({card.labels for card in cards}) > 1:
        raise InputError(
            f"the teachers {', '.join(card.name for card in cards)} have different labels", "take teachers of one set of labels"
        )
    return cards[0].labels


def _records(work: Work, examples: Examples, port: str) -> list[Row]:
    from sapwood.text import fields

    found: list[Row] = list(fields.records(work.path(examples), ("text", "label")))
    if not found:
        raise InputError(f"{port} holds no examples", "see the report of the step that made it")
    return found


def _labelled(reader: Reader, given: Given, batch: int) -> tuple[Source, Objective]:
    """What the labels alone teach."""
    from sapwood.models.tasks.classification import Classification

    task = Classification()
    return task.source(reader, given.rows, batch), task.objective()


def _size(folder: Path) -> int:
    from sapwood.models.foreign import parameters

    return parameters(folder)


def _write(work: Work, name: str, scores: dict[str, Measured], given: Given, sizes: dict[str, int]) -> Report:
    from sapwood import report
    from sapwood.metrics.measured import gap

    gaps = {against: gap(scores[name], scores[against], "macro_f1") for against in ("teachers", ALONE)}
    data = {
        "labelled": len(given.rows),
        "unlabelled": len(given.texts),
        "parameters": sizes,
        "scores": {system: one.values() for system, one in scores.items()},
        "gaps": {against: one._asdict() for against, one in gaps.items()},
    }
    cells = [[who, *(round(one.values()[s], 4) for s in ("macro_f1", "accuracy", "log_loss"))] for who, one in scores.items()]
    shown = [[f"{name} against {who}", *(round(x, 4) for x in (one.value, one.low, one.high, one.p))] for who, one in gaps.items()]
    note = "The development examples picked the epoch of both students, so they are no test: see evaluate."
    blocks = [
        report.text(
            f"{sizes['student']:,} weights learned from {sizes['teachers']:,}, on {len(given.rows):,} labelled texts and {len(given.texts):,} more."
        ),
        report.table("Development examples", ("system", "macro F1", "accuracy", "log loss"), cells, note),
        report.table("Paired", ("macro F1", "gain", "low", "high", "p"), shown),
    ]
    told = f"macro F1 {scores[name].values()['macro_f1']:.3f}, teachers {scores['teachers'].values()['macro_f1']:.3f}"
    summary = f"{told}, the student {ALONE} {scores[ALONE].values()['macro_f1']:.3f}."
    folder = work.new("report")
    work.say(f"{name}: {summary}")
    report.write(folder, f"Distillation of {name}", summary, data, blocks)
    return work.put(Report, folder)
