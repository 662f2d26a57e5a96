"""Pretrain: grow a model from nothing on the team's own documents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NamedTuple

from pydantic import AfterValidator, Field, model_validator

from sapwood.artifact import Documents, Examples, Model, Report, Tokenizer, Tokens
from sapwood.errors import InputError
from sapwood.models.fresh import dial, shapes
from sapwood.models.guarding import Rules
from sapwood.models.optimisers import AdamW, Optimiser
from sapwood.models.pretraining.catalogue import AnyPretraining
from sapwood.models.pretraining.causal import CausalLM
from sapwood.models.pretraining.corruption import SpanCorruption
from sapwood.models.pretraining.masked import MaskedLM
from sapwood.models.schedules import Linear, Schedule
from sapwood.stage import Estimate, Json, Stage, Work

if TYPE_CHECKING:
    from sapwood.metrics.measured import Measured
    from sapwood.models.pretraining.pretraining import Pretraining, Reading
    from sapwood.models.sources.source import Source
    from sapwood.models.train import Plan, Progress

USUAL: dict[str, Pretraining] = {
    "bert": MaskedLM(),
    "albert": MaskedLM(second="sentence_order"),
    "llama": CausalLM(),
    "gpt2": CausalLM(),
    "t5": SpanCorruption(),
}
"""What an architecture was made for."""
TITLES = {
    "loss": "L", "mlm": "L_MLM, masked words", "nsp": "L_NSP, next sentence", "sop": "L_SOP, sentence order", "mlm_accuracy": "masked words right",
    "nsp_accuracy": "next sentences right", "sop_accuracy": "sentence orders right", "accuracy": "tokens right", "perplexity": "perplexity",
    "bits_per_byte": "bits per byte",
}  # fmt: skip


class Pretrained(NamedTuple):
    model: Model
    report: Report


class Sides(NamedTuple):
    """What is learned from, what was set aside, and what both are made into."""

    taught: Any
    source: Source
    held_out: Source
    steps: int


class Pretrain(Stage):
    """Pre-train a model from random weights on documents or packed tokens: an encoder, a decoder or an encoder-decoder.

    What is left open follows from `size` or from the shape, and `sapwood plan` says how. Measured on documents set aside, beside what
    counting words gets on them. To go on with a model on new text, use `adapt`.
    """

    version: ClassVar[int] = 3
    uses_seed: ClassVar[bool] = True
    uses_precision: ClassVar[bool] = True
    resumes: ClassVar[bool] = True
    carries: ClassVar[tuple[str, ...] | None] = ("documents", "tokens")
    examples: ClassVar[tuple[dict[str, Json], ...]] = (
        {
            "architecture": {"kind": "bert", "layers": 1, "width": 16, "heads": 2},
            "max_tokens": 32,
            "steps": 4,
            "batch_tokens": 256,
            "held_out": 0.2,
        },
        {"architecture": {"kind": "llama"}, "size": "30k", "max_tokens": 32, "steps": 2, "batch_tokens": 256, "held_out": 0.2},
    )

    name: str = Field("own", min_length=1, description="Name of the new model.")
    architecture: shapes.AnyShape = Field(shapes.Bert(), description="Family, and as much of its shape as is to be fixed.")
    size: Annotated[str, AfterValidator(dial.written)] = Field(
        "", description="Weights without embeddings, such as 12M: what is left open follows from it."
    )
    objective: AnyPretraining | None = Field(None, description="What it learns; by default what the family was made for.")
    max_tokens: int = Field(128, ge=16, le=8192, description="Longest input in tokens, special tokens included.")
    steps: int = Field(0, ge=0, description="Optimiser steps; 0 follows from the size, and is at most four passes over the text.")
    batch_tokens: int = Field(0, ge=0, description="Tokens of one step, on average and without padding; 0 follows from the horizon.")
    minutes: float = Field(20, gt=0, le=1e5, description="What the horizon may cost on two cores, where steps follow from the size.")
    optimiser: Optimiser = Field(AdamW(), description="What moves the weights; its lr by default follows from the size.")
    schedule: Schedule = Field(Linear(), description="How the learning rate rises and falls.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Dropout; short training on much text needs none.")
    held_out: float = Field(
        0.02,
        gt=0,
        lt=0.5,
        description="Share of the documents set aside to measure on, by the hash of their text: the same share, the same ones.",
    )
    rules: Rules = Field(Rules(), description="What to do when training goes wrong.")

    @model_validator(mode="after")
    def _possible(self) -> Pretrain:
        found = [*shapes.faults(self._derived().shape), self._learns().refusal(self.architecture.kind)]
        if wrong := [fault for fault in found if fault]:
            raise ValueError("; ".join(wrong))
        return self

    def check(self, workspace: Any) -> list[str]:
        return self._learns().missing()

    def model_type(self, workspace: Any, given: Mapping[str, str]) -> str:
        return self.architecture.kind

    def notes(self) -> list[str]:
        found = list(self._derived().notes)
        if self.architecture.kind == "t5" and self.optimiser.kind != "adafactor":
            found.append("t5 begins with word vectors of size 1, for rates relative to a weight's size: adafactor learns sooner than adamw")
        return found

    def estimate(self, bytes_in: int) -> Estimate:
        derived = self._derived()
        n = derived.shape.weights
        took = dial.seconds(derived.shape, derived.steps * derived.batch_tokens)
        return Estimate(20 + 1.2 * took, 1_500_000_000 + 4 * bytes_in + 20 * n, 60 * n + 50_000_000)

    def run(
        self, work: Work, tokenizer: Tokenizer, documents: list[Documents | Examples] | None = None, tokens: Tokens | None = None
    ) -> Pretrained:
        from sapwood.models import architectures, predict, texts
        from sapwood.models.card import Card
        from sapwood.models.fresh import building
        from sapwood.models.pretraining.pretraining import Reading

        if bool(documents) == (tokens is not None):
            raise InputError("pretrain reads documents or tokens, and got " + ("both" if documents else "neither"), "wire one of the two")
        predict.use_threads(work.resources.threads)
        precision = predict.resolve(work.resources.precision)
        derived, learns, family = self._derived(), self._learns(), self.architecture.kind
        begins = tokens is None or bool(_header(work, tokens, work.path(tokenizer))["start"])
        words = building.tokenizer(work.path(tokenizer), work.scratch / "tokenizer", family, self.max_tokens, begins)
        loaded = texts.load_tokenizer(words)
        reading = Reading(loaded, building.marks(loaded), self.max_tokens)
        sides = self._sides(work, documents or [], tokens, reading)
        net = building.model(
            building.config(derived.shape, reading.marks, self.max_tokens, self.dropout), learns.pair, work.seed, precision
        )
        progress = self._train(work, net, sides, reading, precision)
        card = Card(name=self.name, task=learns.task, max_tokens=self.max_tokens, method="pretrain", precision=precision)
        told = self._report(work, card, progress, sides, reading, net)
        net.config.use_cache = True
        folder = work.new("model")
        architectures.save_model(folder, net, words, card)
        return Pretrained(work.put(Model, folder), told)

    def _derived(self) -> dial.Derived:
        given = dial.Given(self.architecture, self.size, self.optimiser.lr, self.batch_tokens, self.steps, self.minutes)
        return dial.derive(given)

    def _learns(self) -> Pretraining:
        return self.objective or USUAL[self.architecture.kind]

    def _sides(self, work: Work, documents: list[Documents | Examples], tokens: Tokens | None, reading: Reading) -> Sides:
        from sapwood.text.parts.aside import divided

        learns, derived = self._learns(), self._derived()
        if tokens is not None:
            taught, aside = self._packed(work, tokens)
        else:
            enough = derived.steps * derived.batch_tokens
            found = divided([work.path(artifact) for artifact in documents], self.held_out, enough)
            if found.share < 1:
                work.say(f"{found.share:.0%} of the documents, drawn by the hash of their text, are enough for {enough:,} tokens")
            with work.progress("read documents", 2, "sides") as meter:
                taught = learns.corpus(reading, found.taught)
                meter.advance(1)
                aside = learns.corpus(reading, found.aside)
                meter.advance(1)
        rows = max(1, round(derived.batch_tokens / learns.facts(taught).per_row))
        source = learns.source(reading, taught, rows)
        steps = derived.steps
        if not self.steps and steps > (most := dial.PASSES * source.steps(work.seed, 0)):
            work.say(f"{dial.PASSES} passes over the text are {most:,} steps; {steps:,} were planned")
            steps = most
        return Sides(taught, source, learns.source(reading, aside, rows), steps)

    def _packed(self, work: Work, tokens: Tokens) -> tuple[Any, Any]:
        from sapwood.models.pretraining.pretraining import HELD_OUT_TOKENS
        from sapwood.models.sources import streams
        from sapwood.text.tokens.shards import Packed

        if self._learns().task != "causal-lm":
            raise InputError("packed tokens are for causal_lm; other objectives cut the text themselves", "wire documents instead")
        packed = Packed(work.path(tokens))
        if packed.length > self.max_tokens:
            raise InputError(
                f"the tokens are packed to {packed.length}, max_tokens is {self.max_tokens}", f"set max_tokens to {packed.length}"
            )
        return streams.Kept(packed, self.held_out), streams.aside(packed, self.held_out, 2 * HELD_OUT_TOKENS)

    def _train(self, work: Work, net: Any, sides: Sides, reading: Reading, precision: str) -> Progress:
        from time import perf_counter

        from sapwood.models import costs, guarding, train

        learns, derived, plan = self._learns(), self._derived(), self._plan(sides.steps, precision, work.resources.device)
        work.say(costs.forecast(net, sides.steps * derived.batch_tokens, derived.batch_tokens, precision))
        started = perf_counter()
        with work.progress("pretrain", sides.steps, "steps") as meter:
            calls = train.Calls(
                work.log,
                meter.advance,
                work.stopping,
                lambda model: learns.measured(model, reading, sides.held_out, precision).values(),
                lambda incident: work.say(guarding.told(incident)),
                say=work.say,
            )
            progress = train.train(net, sides.source, learns.objective(), plan, work.seed, work.scratch / "checkpoints", calls)
        took = perf_counter() - started
        work.say(f"{sides.steps * derived.batch_tokens / took:,.0f} tokens a second with evaluations, {took:.0f} s")
        return progress

    def _plan(self, steps: int, precision: str, device: str) -> Plan:
        from sapwood.models.train import Plan

        return Plan(
            steps=steps,
            lr=self.optimiser.rate(self._derived().lr),
            optimiser=self.optimiser,
            schedule=self.schedule,
            rules=self.rules,
            precision="bf16" if precision == "bf16" else "fp32",
            device=device,
            log_every=max(1, steps // 60),
            save_every=max(50, steps // 10),
            evaluate_every=max(1, steps // 6),
        )

    def _report(self, work: Work, card: Any, progress: Progress, sides: Sides, reading: Reading, net: Any) -> Report:
        """No speed in it: equal training must give equal bytes."""
        import torch

        from sapwood import report

        learns, derived = self._learns(), self._derived()
        net.eval()
        with torch.inference_mode():
            found = learns.measured(net, reading, sides.held_out, card.precision)
        baselines = learns.baselines(reading, sides.taught, sides.held_out)
        facts = learns.facts(sides.taught)
        data = {
            "steps": progress.step,
            "parameters": sum(p.numel() for p in net.parameters()),
            "weights": derived.shape.weights,
            "learning_rate": self.optimiser.rate(derived.lr),
            "batch_tokens": derived.batch_tokens,
            "tokens": facts.tokens,
            "epochs": progress.epoch + progress.index / sides.source.steps(work.seed, progress.epoch),
            "documents": facts.documents,
            "left_out": facts.left_out,
            "precision": card.precision,
            "train": progress.points,
            "held_out": progress.scores,
            "intervals": {name: found.interval(name).as_dict() for name in found.scores},
            "baseline": next(iter(baselines.values())).values(),
            "baselines": {name: measured.values() for name, measured in baselines.items()},
            "incidents": progress.incidents,
        }
        folder = work.new("report")
        summary, blocks = told(data, found, baselines)
        short = f" {facts.left_out:,} documents were too short for it." if facts.left_out else ""
        work.say(f"{card.name}: {summary}.{short}")
        report.write(folder, f"Pretraining of {card.name}", f"{progress.step} steps; {summary}.", data, blocks)
        return work.put(Report, folder)


def told(data: dict[str, Json], found: Measured, baselines: Mapping[str, Measured]) -> tuple[str, list[Json]]:
    """The summary and the blocks of a report."""
    from sapwood import report
    from sapwood.models import guarding

    losses = [name for name in TITLES if name in found.losses & found.scores.keys() - {"perplexity", "bits_per_byte"}]
    sides = (("train", data["train"]), ("held out", data["held_out"]))
    curves = {f"{TITLES[n]}, {side}": [(p["step"], p[n]) for p in points if n in p] for n in losses for side, points in sides}
    cells = []
    for name in sorted(found.scores, key=list(TITLES).index):
        value, low, high = found.interval(name)
        others = [round(values[name], 4) if name in values else "" for values in data["baselines"].values()]
        cells.append([TITLES[name], round(value, 4), f"{low:.4f} to {high:.4f}", *others])
    short = f" {data['left_out']:,} documents were too short." if data["left_out"] else ""
    note = f"On {int(found.counts[:, 1].sum()):,} tokens of documents set aside; losses in nats. Counts are of the same training text."
    blocks = [
        report.text(
            f"{data['documents']:,} documents with {data['tokens']:,} tokens, read {data['epochs']:.2f} times in steps of "
            f"{data['batch_tokens']:,} at a peak rate of {data['learning_rate']:g}.{short}"
        ),
        report.lines(
            "Losses", "step", "nats", {k: v for k, v in curves.items() if v}, "Each term is normalised by its own trained tokens or pairs."
        ),
        report.table("Held out", ("measure", "model", "95 %", *baselines), cells, note),
    ]
    if data["incidents"]:
        blocks.append(report.text(" ".join(guarding.told(incident) for incident in data["incidents"])))
    return _summary(found.values(), list(data["baselines"].values())), blocks


def _summary(last: Mapping[str, float], baselines: list[dict[str, float]]) -> str:
    if "mlm" not in last:
        best = min(values["bits_per_byte"] for values in baselines)
        read = f"{last['bits_per_byte']:.3f} bits per byte on documents set aside, perplexity {last['perplexity']:.1f}"
        return f"{read}; a trigram model gets {best:.3f}"
    pairs = [f" and {last[name]:.1%} of {TITLES[name]}" for name in ("nsp_accuracy", "sop_accuracy") if name in last]
    beside = max(values["mlm_accuracy"] for values in baselines)
    return f"{last['mlm_accuracy']:.1%} of masked words right{''.join(pairs)}, on documents set aside; counting neighbours gets {beside:.1%} of words"


def _header(work: Work, tokens: Tokens, tokenizer: Any) -> Any:
    """`tokens.json`. `InputError` when another tokenizer made the tokens."""
    from sapwood.artifact import file_sha256
    from sapwood.text.tokens.shards import Packed

    header = Packed(work.path(tokens)).header
    if header.get("tokenizer") != file_sha256(tokenizer / "tokenizer.json"):
        raise InputError("the tokens were packed with another tokenizer", "wire the tokenizer that pack was given")
    return header
