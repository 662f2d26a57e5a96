"""Finetune: teach a model a task."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from pydantic import Field

from sapwood.artifact import Examples, Model, Report
from sapwood.errors import InputError
from sapwood.models.guarding import Rules
from sapwood.models.methods.catalogue import AnyMethod
from sapwood.models.methods.full import Full
from sapwood.models.optimisers import AdamW, Optimiser
from sapwood.models.regularise import Regularise
from sapwood.models.remember import OWN_WEIGHTS, Remember
from sapwood.models.schedules import Linear, Schedule
from sapwood.models.tasks.catalogue import AnyTask
from sapwood.models.tasks.classification import Classification
from sapwood.stage import Estimate, Json, Stage, Work

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from sapwood.models.card import Card
    from sapwood.models.objectives.terms import Objective
    from sapwood.models.tasks.task import Reader, Row, Task
    from sapwood.models.train import Calls, Plan, Progress


class Rows(NamedTuple):
    """Examples to learn from, those that pick the weights kept, and those that must not be forgotten."""

    train: list[Row]
    dev: list[Row]
    old: list[Row]


class Nets(NamedTuple):
    """The model that learns, and the one that it was, where that is asked."""

    learner: Any
    teacher: Any


class Finetuned(NamedTuple):
    model: Model
    report: Report


class Finetune(Stage):
    """Fine-tune a model on labelled examples, and keep the epoch that does best on the development examples."""

    version: ClassVar[int] = 2
    uses_seed: ClassVar[bool] = True
    uses_precision: ClassVar[bool] = True
    resumes: ClassVar[bool] = True
    carries: ClassVar[tuple[str, ...] | None] = ("model", "train", "old")
    examples: ClassVar[tuple[dict[str, Json], ...]] = ({"epochs": 1}, {"epochs": 1, "method": {"kind": "lora"}})

    name: str = Field("classifier", min_length=1, description="Name of the new model.")
    task: AnyTask = Field(Classification(), description="What the model learns to answer.")
    method: AnyMethod = Field(
        Full(), description="Which weights train: full all of them; lora small additions, for models that know the language."
    )
    epochs: int = Field(4, ge=1, le=1000, description="Passes over the training examples.")
    batch_size: int = Field(32, ge=1, description="Examples of one step.")
    max_tokens: int = Field(0, ge=0, description="Longest input in tokens; 0 takes the base model's.")
    prefix: str | None = Field(None, description="Put before every text, also when serving; by default the base model's.")
    dropout: float = Field(0.1, ge=0, lt=1, description="Dropout of the model with methods full and freeze; others have their own.")
    optimiser: Optimiser = Field(AdamW(), description="What moves the weights; its lr is by default what suits the method.")
    schedule: Schedule = Field(Linear(), description="How the learning rate rises and falls.")
    regularise: Regularise = Field(Regularise(), description="Against over-fitting, and against answers that harm.")
    remember: Remember = Field(Remember(), description="Against forgetting what the model knew.")
    rules: Rules = Field(Rules(), description="What to do when training goes wrong.")
    patience: int = Field(0, ge=0, description="Stop after that many epochs without a better development score; 0 never.")

    def refusal(self, given: Mapping[str, str]) -> str:
        from sapwood.models import support

        unsuited = support.refusal(self.task, self.method, given["model"]) if given.get("model") else ""
        return f"{unsuited}; choose another base model, method or task" if unsuited else self.remember.unfed("old" in given)

    def estimate(self, bytes_in: int) -> Estimate:
        return Estimate(15 + self.epochs * bytes_in / 30e3, 2_500_000_000, 1_000_000_000)

    def check(self, workspace: Path) -> list[str]:
        own = self.dropout if self.method.kind in OWN_WEIGHTS else getattr(self.method, "dropout", 0.0)
        found = self.regularise.refusals(self.task.kind, own) + self.remember.refusals(self.task.kind, self.method.kind)
        missing = self.method.missing()
        return (
            [*found, f"method {self.method.kind} needs the package {missing}: pip install 'sapwood[{self.method.extra}]'"]
            if missing
            else found
        )

    def run(self, work: Work, model: Model, train: Examples, dev: Examples | None, old: Examples | None = None) -> Finetuned:
        from copy import deepcopy

        from sapwood.models import architectures, predict, texts
        from sapwood.models.card import read_card
        from sapwood.models.tasks.task import Reader, Setting

        predict.use_threads(work.resources.threads)
        precision = predict.resolve(work.resources.precision)
        base, start = work.path(model), read_card(work.path(model))
        if why := self.refusal({"model": architectures.model_type(base)} | ({"old": ""} if old else {})):
            raise InputError(*why.rsplit("; ", 1))
        ports = {"train": train, "dev": dev, "old": old}
        rows = Rows(*(self._rows(work, given, port) if given else [] for port, given in ports.items()))
        task = self.task.settled(rows.train, start)
        card = self._card(start, model.digest, rows.train, precision)
        single = (self.task.answers_as or self.task.kind) in ("classification", "relations")
        if single and rows.dev and (strange := sorted(set(task.labels(rows.dev)) - set(card.labels))):
            raise InputError(
                f"dev has labels {', '.join(strange)}, which train does not have", "give train examples of them, or relabel dev"
            )
        card = card.model_copy(update={"asks": task.model_dump(mode="json")})
        tokenizer = texts.load_tokenizer(base)
        reader = Reader(tokenizer, texts.pad_id(tokenizer), card, base)
        self.remember.fits(rows.old, start.task == card.task and start.labels == card.labels)
        dropout = self.dropout if self.method.kind in OWN_WEIGHTS else 0.0
        net = task.open(base, card, Setting(work.seed, precision, dropout))
        teacher = deepcopy(net) if self.remember.distil else None
        net = self.method.apply(net, precision, work.seed)
        progress, plan = self._train(work, task, Nets(net, teacher), reader, rows, precision)
        data, blocks = _summary(progress, net, len(rows.train), plan, card)
        folder = work.new("model")
        architectures.save_model(folder, self.method.finish(net), base, card)
        self.task.keep(base, folder)
        return Finetuned(work.put(Model, folder), self._write(work, card, data, blocks, [row.get("label", "") for row in rows.dev]))

    def _rows(self, work: Work, examples: Examples, port: str) -> list[Row]:
        from sapwood.text import fields

        found: list[Row] = list(fields.records(work.path(examples), self.task.fields()))
        if not found:
            raise InputError(f"{port} holds no examples", "see the report of the step that made it")
        return found

    def _card(self, start: Card, digest: str, rows: list[Row], precision: str) -> Card:
        """The new model's card. A model of the same task continues with its own labels; others take those of the training examples."""
        found, answers = self.task.labels(rows), self.task.answers_as or self.task.kind
        continued = start.task == answers and bool(start.labels)
        if continued and (strange := sorted(set(found) - set(start.labels))):
            raise InputError(
                f"train has labels {', '.join(strange)}, which {start.name} does not know ({', '.join(start.labels)})",
                "start from its base model, or relabel the examples",
            )
        if answers in ("classification", "relations") and len(found) < 2 and not continued:
            raise InputError(f"train has {len(found)} label, a classifier needs two or more", "give examples of every class")
        if self.max_tokens > start.max_tokens:
            raise InputError(f"max_tokens {self.max_tokens} is over the model's {start.max_tokens}", f"set {start.max_tokens} or less")
        return start.model_copy(
            update={
                "name": self.name,
                "task": answers,
                "labels": start.labels if continued else found,
                "max_tokens": self.max_tokens or start.max_tokens,
                "prefix": start.prefix if self.prefix is None else self.prefix,
                "base": digest,
                "method": f"finetune:{self.method.kind}",
                "precision": precision,
            }
        )

    def _train(self, work: Work, task: Task, nets: Nets, reader: Reader, rows: Rows, precision: str) -> tuple[Progress, Plan]:
        from time import perf_counter

        from sapwood.models import train

        source = self.remember.mixed(task, reader, rows.train, rows.old, self.batch_size)
        source = self.regularise.twinned(source, reader, [*rows.train, *rows.old])
        self.method.suit(nets.learner, getattr(source, "used", None))
        a_pass = source.steps(work.seed, 0)
        plan = train.Plan(
            steps=self.epochs * a_pass,
            lr=self.optimiser.rate(self.method.rate(nets.learner)),
            optimiser=self.optimiser,
            schedule=self.schedule,
            rules=self.rules,
            precision="bf16" if precision == "bf16" else "fp32",
            device=work.resources.device,
            log_every=max(1, self.epochs * a_pass // 100),
            evaluate_every=a_pass,
            keep_best=self.task.best if rows.dev else "",
            patience=self.patience,
        )
        started = perf_counter()
        with work.progress("fine-tune", plan.steps, "steps") as meter:
            calls = self._calls(work, task, meter.advance, reader, rows, plan, nets.learner)
            objective = self._objective(task, nets, reader, rows.old, work.seed)
            progress = train.train(nets.learner, source, objective, plan, work.seed, work.scratch / "checkpoints", calls)
        took = perf_counter() - started
        work.say(f"{len(rows.train) * progress.step / a_pass / took:,.1f} examples a second with evaluations, {took:.0f} s")
        return progress, plan

    def _objective(self, task: Task, nets: Nets, reader: Reader, old: list[Row], seed: int) -> Objective:
        """What the task teaches, with all that the blocks add."""
        inner = self.regularise.wrapped(task.objective(self.regularise.label_smoothing), self.task.kind, reader)
        inner = self.remember.wrapped(inner, task, reader, old, nets.learner, nets.teacher, seed)
        return self.method.taught(inner)

    def _calls(self, work: Work, task: Task, advance: Any, reader: Reader, rows: Rows, plan: Plan, net: Any) -> Calls:
        from sapwood.models import guarding, train

        def evaluate(model: Any) -> dict[str, float]:
            answers = task.answers(model, reader, rows.dev, plan.precision)
            return task.measured(rows.dev, answers, reader.card.labels).values()

        extras = {**self.method.extras(net, plan.steps), **self.regularise.extras(plan.steps)}
        note = lambda incident: work.say(guarding.told(incident))  # noqa: E731
        return train.Calls(work.log, advance, work.stopping, evaluate if rows.dev else None, note, extras, say=work.say)

    def _write(self, work: Work, card: Card, data: dict[str, Json], blocks: list[Json], truth: Sequence[str]) -> Report:
        """`truth`: the labels of the development examples."""
        from sapwood import report

        kept = next((s for s in data["dev"] if s["step"] == data["best_step"]), None)
        name = self.task.best.removeprefix("-")
        told = f"{name} {kept[name]:.3f} on development examples" if kept else "not measured on development examples"
        if kept and card.task == "classification" and (only := _only_answer(truth, kept)):
            told += f". It answers {only} to every one of them, so it tells nothing apart: try a lower rate, more epochs or more examples"
        folder = work.new("report")
        work.say(f"{card.name}: {told}.")
        report.write(
            folder, f"Fine-tuning of {card.name}", f"{data['steps']} steps on {data['examples']:,} examples; {told}.", data, blocks
        )
        return work.put(Report, folder)


def _only_answer(truth: Sequence[str], scores: Mapping[str, float]) -> str:
    """The label that a model with these scores gives to every example; empty where it gives several. One label for all has an accuracy of
    its share p, and a macro-F1 of 2 p / (1 + p) over the number of labels."""
    shares = {label: truth.count(label) / len(truth) for label in sorted(set(truth))}
    if len(shares) < 2:
        return ""
    alike = partial(math.isclose, abs_tol=1e-6)
    suits = (
        label
        for label, p in shares.items()
        if alike(scores.get("accuracy", -1.0), p) and alike(scores.get("macro_f1", -1.0), 2 * p / (1 + p) / len(shares))
    )
    return next(suits, "")


def _summary(progress: Progress, net: Any, examples: int, plan: Plan, card: Card) -> tuple[dict[str, Json], list[Json]]:
    """The report's data and blocks. No speed in it: equal training must give equal bytes."""
    from sapwood import report
    from sapwood.models import guarding

    total = sum(p.numel() for p in net.parameters())
    free = sum(p.numel() for p in net.parameters() if p.requires_grad)
    data = {
        "labels": list(card.labels),
        "examples": examples,
        "steps": progress.step,
        "best_step": progress.best_step,
        "parameters": total,
        "trained_parameters": free,
        "precision": card.precision,
        "learning_rate": plan.lr,
        "dev": progress.scores,
        "train": progress.points,
        "incidents": progress.incidents,
    }
    names = [name for name in (progress.scores[0] if progress.scores else {}) if name != "step"]
    cells = [
        [number, int(s["step"]), *(round(s[name], 4) for name in names), "kept" if s["step"] == progress.best_step else ""]
        for number, s in enumerate(progress.scores, start=1)
    ]
    told = [name for name in (progress.points[0] if progress.points else {}) if name != "step"]
    curves = {name: [(p["step"], p[name]) for p in progress.points if name in p] for name in told}
    blocks = [
        report.text(f"{free:,} of {total:,} weights were trained on {examples:,} examples in {card.precision}; peak rate {plan.lr:g}."),
        report.lines("Training", "step", "value", curves, "Means between two points, with dropout and smoothing."),
    ]
    if progress.incidents:
        blocks.append(report.text(" ".join(guarding.told(incident) for incident in progress.incidents)))
    if cells:
        columns = ("epoch", "step", *(name.replace("_", " ") for name in names), "kept")
        blocks.append(report.table("Development examples", columns, cells, "They picked the epoch, so they are no test: see evaluate."))
    return data, blocks
