"""Adapt: go on pre-training a finished model on documents of a domain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NamedTuple

from pydantic import Field, model_validator

from sapwood.artifact import Documents, Examples, Model, Report
from sapwood.errors import InputError
from sapwood.models.guarding import Rules
from sapwood.models.methods.full import Full
from sapwood.models.methods.lora import Lora
from sapwood.models.optimisers import AdamW, Optimiser
from sapwood.models.pretraining.catalogue import DEFAULT, AnyPretraining
from sapwood.models.schedules import Linear, Schedule
from sapwood.models.support import ARCHITECTURES
from sapwood.stage import Estimate, Json, Stage, Work

if TYPE_CHECKING:
    from sapwood.metrics.measured import Measured
    from sapwood.models.card import Card
    from sapwood.models.objectives.terms import Objective
    from sapwood.models.pretraining.pretraining import Pretraining, Reading
    from sapwood.models.sources.source import Source
    from sapwood.models.train import Plan, Progress

FISHER_TEXTS = 256
"""Old texts that say what a weight is worth to `elastic`."""


class Adapted(NamedTuple):
    model: Model
    report: Report


class Side(NamedTuple):
    """The domain, or general text: what is learned from, and what was set aside of it."""

    taught: Any
    held_out: Source


class Texts(NamedTuple):
    """What the step reads: `general` is None where none was given; `rows` a step, of which `again` are general text."""

    domain: Side
    general: Side | None
    rows: int
    again: int


class Adapt(Stage):
    """Go on pre-training a model on documents of a domain, and measure what it learned there and what it forgot elsewhere.

    It learns what its card says: masked words, the next token, or hidden spans. `general` is text of the kind that the model knew; a share
    of each step is replayed from it, and held-out parts of it measure forgetting. The model before adapting is the baseline of everything.
    """

    version: ClassVar[int] = 2
    uses_seed: ClassVar[bool] = True
    uses_precision: ClassVar[bool] = True
    resumes: ClassVar[bool] = True
    examples: ClassVar[tuple[dict[str, Json], ...]] = (
        {"epochs": 1, "batch_tokens": 256, "held_out": 0.2, "elastic": 1.0},
        {"steps": 2, "batch_tokens": 256, "held_out": 0.2, "max_tokens": 32, "method": {"kind": "lora"}},
    )

    name: str = Field("adapted", min_length=1, description="Name of the new model.")
    objective: AnyPretraining | None = Field(None, description="What it learns; by default what its card says.")
    method: Annotated[Full | Lora, Field(discriminator="kind")] = Field(
        Full(), description="full trains every weight; lora small additions that are merged at the end."
    )
    epochs: int = Field(1, ge=1, le=1000, description="Passes over the domain's documents, where steps is 0.")
    steps: int = Field(0, ge=0, description="Optimiser steps; 0 follows from epochs.")
    batch_tokens: int = Field(2048, ge=64, description="Tokens of one step, on average and without padding.")
    max_tokens: int = Field(0, ge=0, description="Longest input in tokens; 0 takes the model's.")
    replay: float = Field(0.2, ge=0, lt=1, description="Share of each step that is general text, where some is given.")
    elastic: float = Field(0.0, ge=0, description="Strength that holds each weight to where it was, by what it is worth on general text.")
    optimiser: Optimiser = Field(AdamW(), description="What moves the weights; its lr is by default what suits the method.")
    schedule: Schedule = Field(Linear(), description="How the learning rate rises and falls.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Dropout of the model with method full; lora has its own.")
    held_out: float = Field(
        0.05,
        gt=0,
        lt=0.5,
        description="Share of the documents set aside to measure on, by the hash of their text: the same share, the same ones.",
    )
    rules: Rules = Field(Rules(), description="What to do when training goes wrong.")

    @model_validator(mode="after")
    def _possible(self) -> Adapt:
        if self.elastic and not isinstance(self.method, Full):
            raise ValueError("elastic holds a model's own weights, which lora does not train; set method to full, or elastic to 0")
        return self

    def check(self, workspace: Any) -> list[str]:
        return self.objective.missing() if self.objective else []

    def refusal(self, given: Mapping[str, str]) -> str:
        if self.elastic and "general" not in given:
            return "elastic weighs each weight by general text, and there is none; wire documents to the port general"
        family = given.get("model", "")
        unsuited = self.objective.refusal(family) if self.objective and family in ARCHITECTURES else ""
        return f"{unsuited.partition('; ')[0]}; leave objective out, or mend it" if unsuited else ""

    def estimate(self, bytes_in: int) -> Estimate:
        return Estimate(30 + self.epochs * bytes_in / 20e3, 2_500_000_000 + 4 * bytes_in, 1_000_000_000)

    def run(
        self, work: Work, model: Model, documents: list[Documents | Examples], general: list[Documents | Examples] | None = None
    ) -> Adapted:
        from sapwood.models import architectures, predict, texts
        from sapwood.models.card import read_card
        from sapwood.models.fresh import building
        from sapwood.models.pretraining.pretraining import Reading

        predict.use_threads(work.resources.threads)
        precision = predict.resolve(work.resources.precision)
        base, start = work.path(model), read_card(work.path(model))
        learns = self._learns(start)
        if why := self.refusal({"model": architectures.model_type(base)} | ({"general": ""} if general else {})):
            raise InputError(*why.rsplit("; ", 1))
        if self.max_tokens > start.max_tokens:
            raise InputError(f"max_tokens {self.max_tokens} is over the model's {start.max_tokens}", f"set {start.max_tokens} or less")
        words = texts.load_tokenizer(base)
        reading = Reading(words, building.marks(words), self.max_tokens or start.max_tokens)
        dropout = self.dropout if isinstance(self.method, Full) else None
        net, new_head = building.opened(base, learns.task, precision, work.seed, dropout)
        read = self._texts(work, learns, reading, documents, general or [])
        before = measured(net, learns, reading, read, precision)
        net = self.method.apply(net, precision, work.seed)
        progress = self._train(work, net, learns, reading, read, precision)
        finished = self.method.finish(net)
        after = measured(finished, learns, reading, read, precision)
        update = {
            "name": self.name,
            "task": learns.task,
            "base": model.digest,
            "method": f"adapt:{self.method.kind}",
            "precision": precision,
        }
        card = start.model_copy(update={**update, "max_tokens": reading.max_tokens, "labels": ()})
        baselines = learns.baselines(reading, read.domain.taught, read.domain.held_out)
        data, blocks = told(learns, read, (before, after, baselines), progress, new_head)
        finished.config.use_cache = True
        folder = work.new("model")
        architectures.save_model(folder, finished, base, card)
        return Adapted(work.put(Model, folder), self._write(work, card, data, blocks))

    def _learns(self, start: Card) -> Pretraining:
        if start.task not in DEFAULT:
            raise InputError(f"{start.name} answers {start.task}; only a language model can go on reading text", "adapt its base model")
        usual = DEFAULT[start.task]
        if self.objective is not None and self.objective.task != usual.task:
            raise InputError(f"{start.name} is a model for {start.task}, which {self.objective.kind} does not teach", "leave objective out")
        return self.objective or usual

    def _texts(
        self, work: Work, learns: Pretraining, reading: Reading, documents: list[Documents | Examples], general: list[Documents | Examples]
    ) -> Texts:
        from sapwood.models.pretraining.pretraining import HELD_OUT_TOKENS
        from sapwood.text.parts.aside import divided

        replay = self.replay if general else 0.0
        everything = 1 << 40
        enough = int((1 - replay) * self.steps * self.batch_tokens) + 4 * HELD_OUT_TOKENS if self.steps else everything
        found = divided([work.path(artifact) for artifact in documents], self.held_out, enough)
        ours = [learns.corpus(reading, side) for side in (found.taught, found.aside)]
        facts = learns.facts(ours[0])
        rows = max(1, round(self.batch_tokens / facts.per_row))
        again = min(rows - 1, max(1, round(replay * rows))) if replay and rows > 1 else 0
        domain = Side(ours[0], learns.source(reading, ours[1], rows))
        if not general:
            return Texts(domain, None, rows, 0)
        passes = self.epochs if not self.steps else 1
        wanted = int(passes * min(facts.tokens, enough) * (replay / (1 - replay) + 2 * self.held_out)) + 4 * HELD_OUT_TOKENS
        found = divided([work.path(artifact) for artifact in general], self.held_out, wanted)
        theirs = [learns.corpus(reading, side) for side in (found.taught, found.aside)]
        return Texts(domain, Side(theirs[0], learns.source(reading, theirs[1], rows)), rows, again)

    def _train(self, work: Work, net: Any, learns: Pretraining, reading: Reading, read: Texts, precision: str) -> Progress:
        from time import perf_counter

        from sapwood.models import costs, guarding, train
        from sapwood.models.sources.mixed import Mixed

        source = learns.source(reading, read.domain.taught, read.rows - read.again)
        if read.general and read.again:
            source = Mixed(source, learns.source(reading, read.general.taught, read.again))
        plan = self._plan(net, self.steps or self.epochs * source.steps(work.seed, 0), precision, work.resources.device)
        work.say(costs.forecast(net, plan.steps * self.batch_tokens, self.batch_tokens, precision))
        objective = self._objective(net, learns, reading, read, work.seed)

        def evaluate(model: Any) -> dict[str, float]:
            found = measured(model, learns, reading, read, precision)
            return {f"{side}_{name}": value for side, scores in found.items() for name, value in scores.values().items()}

        started = perf_counter()
        with work.progress("adapt", plan.steps, "steps") as meter:
            note = lambda incident: work.say(guarding.told(incident))  # noqa: E731
            calls = train.Calls(work.log, meter.advance, work.stopping, evaluate, note, self.method.extras(net, plan.steps), say=work.say)
            progress = train.train(net, source, objective, plan, work.seed, work.scratch / "checkpoints", calls)
        took = perf_counter() - started
        work.say(f"{plan.steps * self.batch_tokens / took:,.0f} tokens a second with evaluations, {took:.0f} s")
        return progress

    def _objective(self, net: Any, learns: Pretraining, reading: Reading, read: Texts, seed: int) -> Objective:
        from sapwood.models.objectives import wrapping

        inner = learns.objective()
        if not (self.elastic and read.general):
            return inner
        stiff = wrapping.fisher(net, learns.source(reading, read.general.taught, 1), inner, seed, FISHER_TEXTS)
        were = {name: p.detach().clone() for name, p in net.named_parameters() if p.requires_grad}
        return wrapping.elastic(inner, were, stiff, self.elastic)

    def _plan(self, net: Any, steps: int, precision: str, device: str) -> Plan:
        from sapwood.models.train import Plan

        return Plan(
            steps=steps,
            lr=self.optimiser.rate(self.method.rate(net)),
            optimiser=self.optimiser,
            schedule=self.schedule,
            rules=self.rules,
            precision="bf16" if precision == "bf16" else "fp32",
            device=device,
            log_every=max(1, steps // 60),
            save_every=max(50, steps // 10),
            evaluate_every=max(1, steps // 3),
        )

    def _write(self, work: Work, card: Any, data: dict[str, Json], blocks: list[Json]) -> Report:
        from sapwood import report

        folder = work.new("report")
        before, after = data["before"], data["after"]
        sides = [f"{side} perplexity {before[side]['perplexity']:.1f} before, {after[side]['perplexity']:.1f} after" for side in before]
        work.say(f"{card.name}: {'; '.join(sides)}.")
        report.write(folder, f"Adapting of {card.name}", f"{data['steps']} steps; {'; '.join(sides)}.", data, blocks)
        return work.put(Report, folder)


def measured(net: Any, learns: Pretraining, reading: Reading, read: Texts, precision: str) -> dict[str, Measured]:
    """Scores on what was set aside of the domain, and of general text where some was given. The same batches each time."""
    import torch

    sides = {"domain": read.domain, "general": read.general}
    was = net.training
    net.eval()
    with torch.inference_mode():
        found = {name: learns.measured(net, reading, side.held_out, precision) for name, side in sides.items() if side}
    net.train(was)
    return found


def told(
    learns: Pretraining, read: Texts, found: tuple[dict[str, Measured], dict[str, Measured], Any], progress: Progress, new_head: bool
) -> tuple[dict[str, Json], list[Json]]:
    """The report's data and blocks: before and after on both sides, with paired differences."""
    from sapwood import report
    from sapwood.metrics.measured import gap

    before, after, baselines = found
    facts = learns.facts(read.domain.taught)
    gaps = {side: {name: gap(after[side], before[side], name)._asdict() for name in after[side].scores} for side in after}
    data: dict[str, Json] = {
        "steps": progress.step,
        "tokens": facts.tokens,
        "documents": facts.documents,
        "replayed": read.again / read.rows,
        "new_head": new_head,
        "before": {side: values.values() for side, values in before.items()},
        "after": {side: values.values() for side, values in after.items()},
        "differences": gaps,
        "baselines": {name: values.values() for name, values in baselines.items()},
        "train": progress.points,
        "held_out": progress.scores,
        "incidents": progress.incidents,
    }
    cells = [
        [side, name.replace("_", " "), round(data["before"][side][name], 4), round(data["after"][side][name], 4),
         f"{gaps[side][name]['value']:+.4f} ({gaps[side][name]['low']:+.4f} to {gaps[side][name]['high']:+.4f})", round(gaps[side][name]["p"], 4),
         *(round(values[name], 4) if side == "domain" and name in values else "" for values in data["baselines"].values())]
        for side in after for name in after[side].scores
    ]  # fmt: skip
    spoken = f"{facts.documents:,} documents of the domain with {facts.tokens:,} tokens; {read.again} of the {read.rows} rows of each step were general text."
    if new_head:
        spoken += " The model had no head for words, so its scores before training are those of a new one and say nothing of what it knew."
    if read.general is None:
        spoken += " No general text was given, so nothing was replayed and forgetting was not measured."
    counted = ", ".join(f"{int(side.counts[:, 1].sum()):,} tokens of {name}" for name, side in after.items())
    note = f"On {counted} text set aside, the same in both. Differences with paired 95 % intervals; p of no difference. Counts are of the domain."
    first = next(name for name in ("mlm", "loss") if name in after["domain"].scores)
    curves = {side: [(p["step"], p[f"{side}_{first}"]) for p in progress.scores] for side in after}
    curves = {side: [(0.0, data["before"][side][first]), *points] for side, points in curves.items()}
    blocks = [
        report.text(spoken),
        report.table("Before and after", ("text", "measure", "before", "after", "difference", "p", *baselines), cells, note),
        report.lines("Held-out loss", "step", "nats", curves, "Step 0 is the model before adapting."),
        report.lines("Training", "step", "nats", {"loss": [(p["step"], p["loss"]) for p in progress.points if "loss" in p]}),
    ]
    return data, blocks
