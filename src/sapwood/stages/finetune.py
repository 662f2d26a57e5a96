"""Finetune: teach a model to classify."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from pydantic import Field

from sapwood.artifact import Examples, Model, Report
from sapwood.errors import InputError
from sapwood.models.methods import Full, Method
from sapwood.stage import Estimate, Json, Stage, Work

if TYPE_CHECKING:
    from sapwood.models.card import Card
    from sapwood.models.texts import Ids
    from sapwood.models.train import Plan, Progress


SCORES = ("accuracy", "macro_f1", "log_loss")


class Rows(NamedTuple):
    """Encoded texts and their class numbers."""

    ids: list[Ids]
    labels: Ids


class Finetuned(NamedTuple):
    model: Model
    report: Report


class Finetune(Stage):
    """Fine-tune a model on labelled examples, and keep the epoch that does best on the development examples."""

    uses_seed: ClassVar[bool] = True
    uses_precision: ClassVar[bool] = True
    resumes: ClassVar[bool] = True
    carries: ClassVar[tuple[str, ...] | None] = ("model", "train")
    examples: ClassVar[tuple[dict[str, Json], ...]] = ({"epochs": 1}, {"epochs": 1, "method": {"kind": "lora"}})

    name: str = Field("classifier", min_length=1, description="Name of the new model.")
    method: Method = Field(Full(), description="full trains every weight; lora small additions, for models that know the language already.")
    epochs: int = Field(4, ge=1, le=1000, description="Passes over the training examples.")
    lr: float | None = Field(None, gt=0, description="Peak learning rate; by default what suits the method: 3e-4 for full, 1e-3 for lora.")
    batch_size: int = Field(32, ge=1, description="Examples of one step.")
    max_tokens: int = Field(0, ge=0, description="Longest input in tokens; 0 takes the base model's.")
    prefix: str | None = Field(None, description="Put before every text, also when serving; by default the base model's.")
    warmup: float = Field(0.1, ge=0, le=1, description="Share of the steps in which the rate rises.")
    weight_decay: float = Field(0.01, ge=0, description="AdamW's decay of matrices.")
    dropout: float = Field(0.1, ge=0, lt=1, description="Dropout of the encoder with method full; with lora see method.dropout.")
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="Share of the target spread over all classes.")
    patience: int = Field(0, ge=0, description="Stop after that many epochs without a better development macro-F1; 0 never.")

    def estimate(self, bytes_in: int) -> Estimate:
        return Estimate(15 + self.epochs * bytes_in / 30e3, 2_500_000_000, 1_000_000_000)

    def run(self, work: Work, model: Model, train: Examples, dev: Examples | None) -> Finetuned:
        from sapwood.models import architectures, methods, predict, texts
        from sapwood.models.card import read_card

        predict.use_threads(work.resources.threads)
        precision = predict.resolve(work.resources.precision)
        base, start = work.path(model), read_card(work.path(model))
        card = self._card(work, start, model.digest, train, precision)
        tokenizer = texts.load_tokenizer(base)
        taught = _rows(work, tokenizer, train, card, "train")
        judged = _rows(work, tokenizer, dev, card, "dev") if dev else None
        dropout = self.dropout if isinstance(self.method, Full) else 0.0
        net = architectures.classifier(base, card.labels, work.seed, precision, dropout)
        net = methods.apply(self.method, net, precision, work.seed)
        progress, plan = self._train(work, net, taught, judged, texts.pad_id(tokenizer), precision)
        data, blocks = _summary(progress, net, len(taught.ids), plan, card)
        folder = work.new("model")
        architectures.save_model(folder, methods.finish(self.method, net), base, card)
        return Finetuned(work.put(Model, folder), _write(work, card, data, blocks))

    def _card(self, work: Work, start: Card, digest: str, train: Examples, precision: str) -> Card:
        """The new model's card. A classifier continues with its own labels; others take those of the training examples."""
        from sapwood.text import rows

        found = sorted({str(label) for label in rows.read(work.path(train), ["label"])["label"].to_pylist()})
        if start.task == "classification" and (strange := sorted(set(found) - set(start.labels))):
            raise InputError(
                f"train has labels {', '.join(strange)}, which {start.name} does not know ({', '.join(start.labels)})",
                "start from its base model, or relabel the examples",
            )
        if len(found) < 2 and start.task != "classification":
            raise InputError(f"train has {len(found)} label, a classifier needs two or more", "give examples of every class")
        if self.max_tokens > start.max_tokens:
            raise InputError(f"max_tokens {self.max_tokens} is over the model's {start.max_tokens}", f"set {start.max_tokens} or less")
        return start.model_copy(
            update={
                "name": self.name,
                "task": "classification",
                "labels": start.labels if start.task == "classification" else tuple(found),
                "max_tokens": self.max_tokens or start.max_tokens,
                "prefix": start.prefix if self.prefix is None else self.prefix,
                "base": digest,
                "method": f"finetune:{self.method.kind}",
                "precision": precision,
            }
        )

    def _train(self, work: Work, net: Any, taught: Rows, judged: Rows | None, fill: int, precision: str) -> tuple[Progress, Plan]:
        from time import perf_counter

        from sapwood.models import costs, objectives, sources, train

        source = sources.LabelledTexts(taught.ids, taught.labels, self.batch_size, fill)
        a_pass = source.steps(work.seed, 0)
        plan = train.Plan(
            steps=self.epochs * a_pass,
            lr=self.lr or self.method.learning_rate,
            warmup=self.warmup,
            weight_decay=self.weight_decay,
            precision="bf16" if precision == "bf16" else "fp32",
            log_every=max(1, self.epochs * a_pass // 100),
            evaluate_every=a_pass,
            keep_best="macro_f1" if judged else "",
            patience=self.patience,
        )
        tokens = sum(source.lengths)
        work.say(costs.forecast(net, self.epochs * tokens, self.batch_size * max(source.lengths), precision))
        started = perf_counter()
        with work.progress("fine-tune", plan.steps, "steps") as meter:
            evaluate = (lambda m: scores(m, judged, fill, precision)) if judged else None
            calls = train.Calls(work.log, meter.advance, work.stopping, evaluate)
            objective, home = objectives.classification(self.label_smoothing), work.scratch / "checkpoints"
            progress = train.train(net, source, objective, plan, work.seed, home, calls)
        took = perf_counter() - started
        work.say(f"{len(taught.ids) * progress.step / a_pass / took:,.1f} examples a second with evaluations, {took:.0f} s")
        return progress, plan


def scores(net: Any, rows: Rows, fill: int, precision: str) -> dict[str, float]:
    """Accuracy, macro-F1 and mean log loss of the model on encoded rows."""
    from sapwood.metrics import classification
    from sapwood.models.predict import probabilities

    probs = probabilities(net, rows.ids, fill, autocast=precision == "bf16")
    counted = classification.tally(rows.labels, probs.argmax(1), probs.shape[1])
    return {
        "accuracy": float(classification.accuracy(counted)),
        "macro_f1": float(classification.macro_f1(counted)),
        "log_loss": float(classification.log_losses(rows.labels, probs.astype("float64")).mean()),
    }


def _rows(work: Work, tokenizer: Any, examples: Examples, card: Card, port: str) -> Rows:
    """Encode the examples; a label outside the card's, or no examples at all, is an `InputError`."""
    import numpy as np

    from sapwood.models import texts
    from sapwood.text import rows

    table = rows.read(work.path(examples), ["text", "label"])
    numbers = {label: i for i, label in enumerate(card.labels)}
    labels = [str(label) for label in table["label"].to_pylist()]
    if not labels:
        raise InputError(f"{port} holds no examples", "see the report of the step that made it")
    if strange := sorted({label for label in labels if label not in numbers}):
        raise InputError(f"{port} has labels {', '.join(strange)}; the model's are {', '.join(card.labels)}", "relabel the examples")
    ids = texts.encode(tokenizer, [str(text) for text in table["text"].to_pylist()], card.prefix, card.max_tokens)
    return Rows(ids, np.asarray([numbers[label] for label in labels], dtype=np.int64))


def _summary(progress: Progress, net: Any, examples: int, plan: Plan, card: Card) -> tuple[dict[str, Json], list[Json]]:
    """The report's data and blocks. No speed in it: equal training must give equal bytes."""
    from sapwood import report

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
    }
    columns = ("epoch", "step", "accuracy", "macro-F1", "log loss", "kept")
    cells = [
        [number, int(s["step"]), *(round(s[name], 4) for name in SCORES), "kept" if s["step"] == progress.best_step else ""]
        for number, s in enumerate(progress.scores, start=1)
    ]
    curves = {name: [(p["step"], p[name]) for p in progress.points] for name in ("loss", "accuracy")}
    blocks = [
        report.text(f"{free:,} of {total:,} weights were trained on {examples:,} examples in {card.precision}; peak rate {plan.lr:g}."),
        report.lines("Training", "step", "value", curves, "Means between two points, with dropout and smoothing."),
    ]
    if cells:
        blocks.append(report.table("Development examples", columns, cells, "They picked the epoch, so they are no test: see evaluate."))
    return data, blocks


def _write(work: Work, card: Card, data: dict[str, Json], blocks: list[Json]) -> Report:
    from sapwood import report

    kept = next((s for s in data["dev"] if s["step"] == data["best_step"]), None)
    told = f"macro-F1 {kept['macro_f1']:.3f} on development examples" if kept else "not measured on development examples"
    folder = work.new("report")
    report.write(folder, f"Fine-tuning of {card.name}", f"{data['steps']} steps on {data['examples']:,} examples; {told}.", data, blocks)
    return work.put(Report, folder)
