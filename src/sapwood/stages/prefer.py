"""Prefer: teach a model that writes which of two replies is the better one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from pydantic import Field

from sapwood.artifact import Examples, Model, Report
from sapwood.errors import InputError, Interrupted
from sapwood.models.guarding import Rules
from sapwood.models.methods.catalogue import AnyMethod
from sapwood.models.methods.lora import Lora
from sapwood.models.optimisers import AdamW, Optimiser
from sapwood.models.schedules import Linear, Schedule
from sapwood.stage import Estimate, Json, Stage, Work

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np

    from sapwood.metrics.measured import Measured
    from sapwood.models.replies import Reply, Writer
    from sapwood.models.tasks.task import Reader, Row
    from sapwood.models.train import Plan, Progress

RATE = 0.1
"""Share of the method's usual rate: the loss is steep, and a model that moves far forgets how to write."""
MEASURED_ON = 64
"""Held-out replies on which the distance from the model before is measured."""
PROMPT, CHOSEN, REJECTED = "text", "meta.chosen", "meta.rejected"


class Preferred(NamedTuple):
    model: Model
    report: Report


class Pairs(NamedTuple):
    """Rows, and their replies as ids: chosen and rejected."""

    rows: Sequence[Row]
    replies: Sequence[tuple[Reply, Reply]]


class Prefer(Stage):
    """Direct preference optimisation (DPO) on pairs of replies: text is the prompt, meta.chosen the better reply, meta.rejected the worse one.

    The model before is the reference: what it thinks of each reply is computed once, so training holds one model only. `held_out` is never
    learned from and picks nothing: it is measured before and after, beside simple systems. It does NOT make a model safer or truer than
    its pairs, and likelier is not the same as written: read what the model writes.
    """

    uses_seed: ClassVar[bool] = True
    uses_precision: ClassVar[bool] = True
    resumes: ClassVar[bool] = True
    carries: ClassVar[tuple[str, ...] | None] = ("model", "train")
    examples: ClassVar[tuple[dict[str, Json], ...]] = ({"batch_size": 16}, {"keep_chosen": 0.5, "method": {"kind": "full"}})

    name: str = Field("preferred", min_length=1, description="Name of the new model.")
    template: str = Field("", description="Chat template: chatml, plain, or Jinja text; empty takes the model's own, or none.")
    method: AnyMethod = Field(Lora(), description="Which weights train.")
    beta: float = Field(0.1, gt=0, description="How strongly the model is held near the one before; higher holds more.")
    keep_chosen: float = Field(0.0, ge=0, description="Weight of the chosen replies' own loss, which keeps them likely.")
    epochs: int = Field(1, ge=1, le=100, description="Passes over the pairs.")
    batch_size: int = Field(32, ge=1, description="Pairs of one step.")
    max_tokens: int = Field(0, ge=0, description="Longest prompt and reply in tokens; 0 takes the model's. Prompts lose their first lines.")
    optimiser: Optimiser = Field(AdamW(), description="What moves the weights; its lr is by default a tenth of what suits the method.")
    schedule: Schedule = Field(Linear(), description="How the learning rate rises and falls.")
    rules: Rules = Field(Rules(), description="What to do when training goes wrong.")

    def check(self, workspace: Path) -> list[str]:
        missing = self.method.missing()
        return [f"method {self.method.kind} needs the package {missing}"] if missing else []

    def refusal(self, given: Mapping[str, str]) -> str:
        unsuited = self.method.refusal("sequence", given["model"]) if given.get("model") else ""
        return f"{unsuited}; choose another method, or another base model" if unsuited else ""

    def estimate(self, bytes_in: int) -> Estimate:
        return Estimate(30 + self.epochs * bytes_in / 20e3, 3_000_000_000, 1_000_000_000)

    def run(self, work: Work, model: Model, train: Examples, held_out: Examples | None) -> Preferred:
        from sapwood.models import architectures, predict, replies
        from sapwood.models.tasks.sequence import open_writer
        from sapwood.models.tasks.task import Setting

        predict.use_threads(work.resources.threads)
        precision = predict.resolve(work.resources.precision)
        reader = self._reader(work, model, precision)
        how = replies.writer(reader, self.template)
        learned, held = (self._pairs(work, one, how) if one else Pairs([], []) for one in (train, held_out))
        net = open_writer(work.path(model), Setting(work.seed, precision, 0.0))
        before = _likelihoods(work, net, learned, how, precision)
        net = self.method.apply(net, precision, work.seed)
        progress, plan = self._train(work, net, learned, before, how, precision)
        parameters = [sum(p.numel() for p in net.parameters() if p.requires_grad or every) for every in (False, True)]
        net = self.method.finish(net)
        data: dict[str, Json] = {"pairs": len(learned.rows), "steps": progress.step, "learning_rate": plan.lr, "train": progress.points}
        data |= {"trained_parameters": parameters[0], "parameters": parameters[1], "incidents": progress.incidents}
        if held.rows:
            after = _of(work, "held-out replies after", net, held, how, "fp32")
            first = open_writer(work.path(model), Setting(work.seed, "fp32", 0.0))
            shown = [reply[0] for reply in held.replies[:MEASURED_ON]]
            data["divergence"] = replies.divergence(net.float(), first, shown, how)
            data |= _compared(learned, held, {"before": _of(work, "held-out replies before", first, held, how, "fp32"), "after": after})
        folder = work.new("model")
        architectures.save_model(folder, net, work.path(model), reader.card)
        _keep_template(folder, self.template)
        return Preferred(work.put(Model, folder), _write(work, reader.card.name, data))

    def _reader(self, work: Work, model: Model, precision: str) -> Reader:
        """How the model reads, with the new model's card."""
        from sapwood.models import architectures, texts
        from sapwood.models.card import read_card
        from sapwood.models.tasks.task import Reader

        folder = work.path(model)
        if why := self.refusal({"model": architectures.model_type(folder)}):
            raise InputError(*why.rsplit("; ", 1))
        start, tokenizer = read_card(folder), texts.load_tokenizer(folder)
        if self.max_tokens > start.max_tokens:
            raise InputError(f"max_tokens {self.max_tokens} is over the model's {start.max_tokens}", f"set {start.max_tokens} or less")
        new = {"name": self.name, "base": model.digest, "method": f"prefer:{self.method.kind}", "precision": precision}
        card = start.model_copy(update={**new, "max_tokens": self.max_tokens or start.max_tokens})
        return Reader(tokenizer, texts.pad_id(tokenizer), card, folder)

    def _pairs(self, work: Work, examples: Examples, how: Writer) -> Pairs:
        from sapwood.text import fields

        rows = fields.records(work.path(examples), (PROMPT, CHOSEN, REJECTED))
        if not rows:
            raise InputError("there are no preference examples", "see the report of the step that made them")
        for row in rows:
            if not row[CHOSEN] or not row[REJECTED] or row[CHOSEN] == row[REJECTED]:
                raise InputError(f"example {row['id']}: {CHOSEN} and {REJECTED} must be two different texts", "mend or leave out that row")
        made = [tuple(how.reply(row[PROMPT], row[name], row["id"]) for name in (CHOSEN, REJECTED)) for row in rows]
        return Pairs(rows, made)  # type: ignore[arg-type]

    def _train(self, work: Work, net: Any, pairs: Pairs, before: np.ndarray, how: Writer, precision: str) -> tuple[Progress, Plan]:
        from time import perf_counter

        from sapwood.models import guarding, train
        from sapwood.models.objectives.preference import preference
        from sapwood.models.sources.preferences import Preferences

        source = Preferences(pairs.replies, before, self.batch_size, how.both, how.start, how.fill)
        a_pass = source.steps(work.seed, 0)
        plan = train.Plan(
            steps=self.epochs * a_pass,
            lr=self.optimiser.rate(self.method.rate(net) * RATE),
            optimiser=self.optimiser,
            schedule=self.schedule,
            rules=self.rules,
            precision="bf16" if precision == "bf16" else "fp32",
            device=work.resources.device,
            log_every=max(1, self.epochs * a_pass // 100),
        )
        started = perf_counter()
        with work.progress("preferences", plan.steps, "steps") as meter:
            note = lambda incident: work.say(guarding.told(incident))  # noqa: E731
            calls = train.Calls(work.log, meter.advance, work.stopping, None, note, self.method.extras(net, plan.steps), say=work.say)
            objective = self.method.taught(preference(self.beta, self.keep_chosen))
            progress = train.train(net, source, objective, plan, work.seed, work.scratch / "checkpoints", calls)
        work.say(f"{len(pairs.rows) * progress.step / a_pass / (perf_counter() - started):,.1f} pairs a second")
        return progress, plan


def _of(work: Work, label: str, net: Any, pairs: Pairs, how: Writer, precision: str) -> np.ndarray:
    """(n, 2) log-probabilities of chosen and rejected."""
    from sapwood.models import replies

    each = [reply for pair in pairs.replies for reply in pair]
    with work.progress(label, len(each), "replies") as meter:

        def advance(count: float) -> None:
            meter.advance(count)
            if work.stopping():
                raise Interrupted("stopped while reading replies", "run the same command again to continue")

        return replies.of(net, each, how, precision, advance).reshape(-1, 2)


def _likelihoods(work: Work, net: Any, pairs: Pairs, how: Writer, precision: str) -> np.ndarray:
    """What the model before thinks of the pairs to learn from. Kept in scratch, so that a resumed training does not compute it again."""
    import numpy as np

    kept = work.scratch / "before.npy"
    if not kept.is_file():
        found = _of(work, "replies under the model before", net, pairs, how, precision)
        fresh = kept.with_suffix(".new.npy")
        np.save(fresh, found)
        fresh.rename(kept)
    loaded: np.ndarray = np.load(kept)
    return loaded


def _compared(learned: Pairs, held: Pairs, found: Mapping[str, np.ndarray]) -> dict[str, Json]:
    """Scores on the held-out pairs before and after, the gap between them, and the share that simple systems get right."""
    import numpy as np

    from sapwood.metrics.measured import gap
    from sapwood.metrics.preferences import preferred

    tokens = np.array([[len(reply.written) for reply in pair] for pair in held.replies], dtype=np.float64)
    measured = {name: preferred(values, found["before"], tokens) for name, values in found.items()}
    scores = {name: {score: one.interval(score).as_dict() for score in one.scores} for name, one in measured.items()}
    gaps = {name: gap(measured["after"], measured["before"], name)._asdict() for name in ("accuracy", "accuracy_per_token")}
    return {"held_out": len(held.rows), "scores": scores, "gaps": gaps, "beside": _beside(learned.rows, held.rows)}


def _beside(learned: Sequence[Row], held: Sequence[Row]) -> dict[str, Json]:
    """Accuracy of systems that never saw the model: the longer reply, and those that compare texts, fitted on the same pairs."""
    import json

    import numpy as np

    from sapwood.metrics import ranking
    from sapwood.models.tasks import candidates
    from sapwood.probes.beside import comparing

    def asked(rows: Sequence[Row]) -> list[Row]:
        pairs = [json.dumps([row[CHOSEN], row[REJECTED]], ensure_ascii=False) for row in rows]
        return [
            {"id": row["id"], "text": row[PROMPT], candidates.CANDIDATES: pair, candidates.RIGHT: "0"}
            for row, pair in zip(rows, pairs, strict=True)
        ]

    answers = comparing.beside(None, asked(learned), asked(held))
    answers["longer-reply"] = [np.array([len(row[CHOSEN]), len(row[REJECTED])], dtype=np.float64) for row in held]
    found: dict[str, Measured] = {name: ranking.ranked([(0,)] * len(held), one) for name, one in answers.items()}
    return {name: one.interval("accuracy@1").as_dict() for name, one in found.items()}


def _keep_template(folder: Any, template: str) -> None:
    """Put a template that the recipe gave beside the weights."""
    from sapwood.models import conversation

    if template:
        (folder / conversation.FILE).write_text(conversation.TEMPLATES.get(template, template), encoding="utf-8")


def _write(work: Work, name: str, data: dict[str, Json]) -> Report:
    from sapwood import report

    folder = work.new("report")
    report.write(folder, f"Preferences of {name}", _said(data), data, _blocks(data))
    work.say(_said(data))
    return work.put(Report, folder)


def _said(data: Mapping[str, Any]) -> str:
    from sapwood.metrics.sheet import shown

    head = f"{data['steps']} steps on {data['pairs']:,} pairs"
    if "scores" not in data:
        return f"{head}; not measured on held-out pairs."
    before, after = (data["scores"][name]["accuracy"] for name in ("before", "after"))
    best = max(data["beside"], key=lambda one: data["beside"][one]["value"])
    own = max(after["value"], data["scores"]["after"]["accuracy_per_token"]["value"])
    ahead = f"; {best} is ahead with {shown(data['beside'][best])}" if data["beside"][best]["value"] > own else ""
    token = [shown(data["scores"][name]["accuracy_per_token"]) for name in ("after", "before")]
    likelier = f"the chosen reply is likelier in {shown(after)} of {data['held_out']} held-out pairs, before in {shown(before)}"
    return f"{head}; {likelier}; token by token in {token[0]}, before in {token[1]}{ahead}."


def _blocks(data: Mapping[str, Any]) -> list[Any]:
    from sapwood import report
    from sapwood.models import guarding

    names = [name for name in (data["train"][0] if data["train"] else {}) if name != "step"]
    curves = {name: [(p["step"], p[name]) for p in data["train"] if name in p] for name in names}
    free, total = data["trained_parameters"], data["parameters"]
    blocks = [
        report.text(f"{free:,} of {total:,} weights were trained; peak rate {data['learning_rate']:g}."),
        report.lines(
            "Training", "step", "value", curves, "wins: share of pairs whose margin is above 0; chosen_moved: nats a chosen reply."
        ),
    ]
    if data["incidents"]:
        blocks.append(report.text(" ".join(guarding.told(incident) for incident in data["incidents"])))
    if "scores" in data:
        blocks += _held_out(data)
    return blocks


def _held_out(data: Mapping[str, Any]) -> list[Any]:
    from sapwood import report
    from sapwood.metrics.sheet import shown

    scores, gaps = data["scores"], data["gaps"]
    rows = [[name.replace("_", " "), *(shown(scores[system][name]) for system in ("before", "after"))] for name in scores["after"]]
    systems = [(system, *(scores[system]["accuracy"][end] for end in ("value", "low", "high"))) for system in ("after", "before")]
    systems += [(name, *(one[end] for end in ("value", "low", "high"))) for name, one in data["beside"].items()]
    cells = [[name.replace("_", " "), *(round(one[end], 4) for end in ("value", "low", "high", "p"))] for name, one in gaps.items()]
    lost = scores["after"]["chosen_loss"]["value"] - scores["before"]["chosen_loss"]["value"]
    told = f"Chosen replies lost {lost:.3f} nats a token" if lost > 0 else f"Chosen replies gained {-lost:.3f} nats a token"
    fell = " It widens the gap by making both replies less likely; keep_chosen holds against that." if lost > 0.1 else ""
    moved = f"The model moved {data['divergence']:.4f} nats a token from the one before (KL on held-out replies)."
    return [
        report.table("Held-out pairs", ["score", "before", "after"], rows, "95 % intervals over pairs. Losses and margin in nats."),
        report.table("After against before", ["score", "gap", "low", "high", "p"], cells, "Paired on the same pairs; two-sided p."),
        report.bars("Share of held-out pairs whose chosen reply is put first", systems, note="The others never saw the model."),
        report.text(f"{told}.{fell} {moved}"),
    ]
