"""Reinforce: a model that writes learns from rewards for its own replies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from pydantic import Field

from sapwood.artifact import Examples, Model, Report
from sapwood.errors import InputError
from sapwood.models.guarding import Rules
from sapwood.models.methods.catalogue import AnyMethod
from sapwood.models.methods.lora import Lora
from sapwood.models.optimisers import AdamW, Optimiser
from sapwood.models.rewards.catalogue import AnyReward
from sapwood.models.schedules import Constant, Schedule
from sapwood.stage import Estimate, Json, Stage, Work

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from sapwood.metrics.measured import Measured
    from sapwood.models.replies import Writer
    from sapwood.models.tasks.task import Reader, Row
    from sapwood.models.texts import Ids
    from sapwood.models.train import Plan, Progress

SHOWN = 8


class Reinforced(NamedTuple):
    model: Model
    report: Report


class Asked(NamedTuple):
    """Rows, and their prompts as ids."""

    rows: Sequence[Row]
    prompts: Sequence[Ids]


class Reinforce(Stage):
    """Policy gradient (REINFORCE with a leave-one-out baseline): the model writes several replies to each prompt, and those that the rewards
    find better than the others become likelier. A penalty holds it near the model before.

    Mechanics only: rewards are rules (length, words, JSON, likeness), and it was proven on such rules. A rule is satisfied by whatever
    satisfies it, so read the replies in the report. It writes at every step, which is slow on a CPU.
    """

    uses_seed: ClassVar[bool] = True
    uses_precision: ClassVar[bool] = True
    resumes: ClassVar[bool] = True
    carries: ClassVar[tuple[str, ...] | None] = ("model", "prompts")
    examples: ClassVar[tuple[dict[str, Json], ...]] = (
        {"rewards": [{"kind": "length", "most": 12}], "steps": 2, "batch_size": 4, "samples": 2, "most": 6, "max_tokens": 64},
        {"rewards": [{"kind": "words", "wanted": ["happy"]}], "steps": 1, "batch_size": 2, "most": 4, "template": "plain"},
    )

    name: str = Field("reinforced", min_length=1, description="Name of the new model.")
    template: str = Field("", description="Chat template: chatml, plain, or Jinja text; empty takes the model's own, or none.")
    rewards: tuple[AnyReward, ...] = Field(min_length=1, description="What a reply is worth: the weighted sum of these.")
    method: AnyMethod = Field(Lora(), description="Which weights train.")
    steps: int = Field(100, ge=1, description="Steps; each writes batch_size x samples replies.")
    batch_size: int = Field(8, ge=1, description="Prompts of one step.")
    samples: int = Field(4, ge=2, le=64, description="Replies to each prompt; each is held against the others.")
    beta: float = Field(0.05, ge=0, description="Penalty on a reply for each nat that it is likelier than before.")
    most: int = Field(32, ge=1, le=1024, description="Longest reply in tokens.")
    max_tokens: int = Field(0, ge=0, description="Longest prompt and reply in tokens; 0 takes the model's. Prompts lose their first lines.")
    optimiser: Optimiser = Field(AdamW(), description="What moves the weights; its lr is by default a tenth of what suits the method.")
    schedule: Schedule = Field(Constant(), description="How the learning rate rises and falls.")
    rules: Rules = Field(Rules(), description="What to do when training goes wrong.")

    def check(self, workspace: Path) -> list[str]:
        missing = self.method.missing()
        return [f"method {self.method.kind} needs the package {missing}"] if missing else []

    def refusal(self, given: Mapping[str, str]) -> str:
        unsuited = self.method.refusal("sequence", given["model"]) if given.get("model") else ""
        return f"{unsuited}; choose another method, or another base model" if unsuited else ""

    def estimate(self, bytes_in: int) -> Estimate:
        return Estimate(20 + self.steps * self.batch_size * self.samples * self.most / 200, 4_000_000_000, 1_000_000_000)

    def run(self, work: Work, model: Model, prompts: Examples, held_out: Examples | None) -> Reinforced:
        from sapwood.models import architectures, predict, replies
        from sapwood.models.tasks.sequence import open_writer
        from sapwood.models.tasks.task import Setting

        predict.use_threads(work.resources.threads)
        precision = predict.resolve(work.resources.precision)
        reader = self._reader(work, model, precision)
        how = replies.writer(reader, self.template)
        learned, held = (self._asked(work, one, how) if one else Asked([], []) for one in (prompts, held_out))
        reference, net = (open_writer(work.path(model), Setting(work.seed, precision, 0.0)) for _ in range(2))
        before = self._replies(reference, held, how, precision)
        net = self.method.apply(net, precision, work.seed)
        progress, plan = self._train(work, net, reference, learned, how, precision)
        net = self.method.finish(net)
        data: dict[str, Json] = {"prompts": len(learned.rows), "steps": progress.step, "learning_rate": plan.lr, "train": progress.points}
        data |= {"incidents": progress.incidents, "rewards": [one.model_dump(mode="json") for one in self.rewards]}
        if held.rows:
            data |= self._compared(held.rows, before, self._replies(net, held, how, precision))
        folder = work.new("model")
        architectures.save_model(folder, net, work.path(model), reader.card)
        if self.template:
            from sapwood.models import conversation

            (folder / conversation.FILE).write_text(conversation.TEMPLATES.get(self.template, self.template), encoding="utf-8")
        return Reinforced(work.put(Model, folder), _write(work, reader.card.name, data))

    def _reader(self, work: Work, model: Model, precision: str) -> Reader:
        """How the model reads, with the new model's card."""
        from sapwood.models import architectures, texts
        from sapwood.models.card import read_card
        from sapwood.models.tasks.task import Reader

        folder = work.path(model)
        if why := self.refusal({"model": architectures.model_type(folder)}):
            raise InputError(*why.rsplit("; ", 1))
        start, tokenizer = read_card(folder), texts.load_tokenizer(folder)
        longest = self.max_tokens or start.max_tokens
        if not self.most < longest <= start.max_tokens:
            raise InputError(
                f"max_tokens {longest} must be over most {self.most} and no more than the model's {start.max_tokens}", "set both"
            )
        new = {"name": self.name, "base": model.digest, "method": f"reinforce:{self.method.kind}", "precision": precision}
        return Reader(tokenizer, texts.pad_id(tokenizer), start.model_copy(update={**new, "max_tokens": longest}), folder)

    def _asked(self, work: Work, examples: Examples, how: Writer) -> Asked:
        from sapwood.text import fields

        rows = fields.records(work.path(examples), ["text", *(name for one in self.rewards for name in one.fields())])
        if not rows:
            raise InputError("there are no prompts", "see the report of the step that made them")
        return Asked(rows, [how.prompt(row["text"], 0 if how.both else self.most, row["id"]) for row in rows])

    def _train(self, work: Work, net: Any, reference: Any, asked: Asked, how: Writer, precision: str) -> tuple[Progress, Plan]:
        from sapwood.models import guarding, train
        from sapwood.models.objectives.reward import reinforce
        from sapwood.models.rewards.catalogue import total
        from sapwood.models.sources.rollouts import Rollouts

        def worth(number: int, reply: str) -> float:
            return total(self.rewards, reply, asked.rows[number])

        source = Rollouts(net, reference, asked.prompts, worth, how, self.batch_size, self.samples, self.beta, self.most, precision)
        plan = train.Plan(
            steps=self.steps,
            lr=self.optimiser.rate(self.method.rate(net) * 0.1),
            optimiser=self.optimiser,
            schedule=self.schedule,
            rules=self.rules,
            precision="bf16" if precision == "bf16" else "fp32",
            device=work.resources.device,
            log_every=max(1, self.steps // 100),
        )
        with work.progress("rewards", plan.steps, "steps") as meter:
            note = lambda incident: work.say(guarding.told(incident))  # noqa: E731
            calls = train.Calls(work.log, meter.advance, work.stopping, None, note, self.method.extras(net, plan.steps), say=work.say)
            return train.train(net, source, self.method.taught(reinforce), plan, work.seed, work.scratch / "checkpoints", calls), plan

    def _replies(self, net: Any, asked: Asked, how: Writer, precision: str) -> list[str]:
        """One reply to each prompt, drawn with the same generator before and after."""
        import numpy as np

        from sapwood.models.sources.rollouts import sampled

        found: list[str] = []
        for start in range(0, len(asked.rows), 32):
            numbers = np.arange(start, min(start + 32, len(asked.rows)))
            seed = np.random.SeedSequence([0, start])
            found += [told.text for told in sampled(net, asked.prompts, numbers, how, self.most, seed, precision)]
        return found

    def _compared(self, rows: Sequence[Row], before: Sequence[str], after: Sequence[str]) -> dict[str, Json]:
        from sapwood.metrics.measured import gap

        measured = {name: self._measured(rows, replies) for name, replies in (("before", before), ("after", after))}
        scores = {name: {score: one.interval(score).as_dict() for score in one.scores} for name, one in measured.items()}
        read = [
            {"id": row["id"], "text": row["text"], "before": old, "after": new}
            for row, old, new in zip(rows[:SHOWN], before, after, strict=False)
        ]
        return {
            "held_out": len(rows),
            "scores": scores,
            "gap": gap(measured["after"], measured["before"], "reward")._asdict(),
            "read": read,
        }

    def _measured(self, rows: Sequence[Row], replies: Sequence[str]) -> Measured:
        """The reward, and each of its parts before weighing, as means over replies."""
        import numpy as np

        from sapwood.metrics.measured import Measured

        parts = np.array([[one.of(reply, row) for one in self.rewards] for row, reply in zip(rows, replies, strict=True)])
        whole = parts @ np.array([one.weight for one in self.rewards])
        counts = np.column_stack([whole, parts, np.ones(len(rows))])
        names = ["reward", *(f"{place}_{getattr(one, 'kind', 'reward')}" for place, one in enumerate(self.rewards, 1))]
        return Measured(counts, {name: _mean(place) for place, name in enumerate(names)})


def _mean(place: int) -> Any:
    return lambda sums: sums[..., place] / sums[..., -1]


def _write(work: Work, name: str, data: dict[str, Json]) -> Report:
    from sapwood import report

    folder = work.new("report")
    report.write(folder, f"Rewards of {name}", _said(data), data, _blocks(data))
    work.say(_said(data))
    return work.put(Report, folder)


def _said(data: Mapping[str, Any]) -> str:
    from sapwood.metrics.sheet import shown

    head = f"{data['steps']} steps over {data['prompts']:,} prompts"
    if "scores" not in data:
        return f"{head}; not measured on held-out prompts."
    after, before = (shown(data["scores"][name]["reward"]) for name in ("after", "before"))
    return f"{head}; mean reward {after} on {data['held_out']} held-out prompts, before {before}."


def _blocks(data: Mapping[str, Any]) -> list[Any]:
    from sapwood import report
    from sapwood.metrics.sheet import shown
    from sapwood.models import guarding

    names = [name for name in ("reward", "drift") if data["train"] and name in data["train"][0]]
    curves = {name: [(p["step"], p[name]) for p in data["train"]] for name in names}
    note = "Means over the replies of a step. Drift: nats by which replies are likelier than before."
    blocks = [
        report.text("Rewards are rules; what satisfies them need not be good. Read the replies."),
        report.lines("Training", "step", "value", curves, note),
    ]
    if data["incidents"]:
        blocks.append(report.text(" ".join(guarding.told(incident) for incident in data["incidents"])))
    if "scores" in data:
        scores, gap = data["scores"], data["gap"]
        rows = [[name, *(shown(scores[system][name]) for system in ("before", "after"))] for name in scores["after"]]
        told = f"The reward rose by {gap['value']:.3f} ({gap['low']:.3f} to {gap['high']:.3f}), p {gap['p']:.4f}."
        blocks.append(report.table("Held-out prompts", ["reward", "before", "after"], rows, told))
        read = [
            {"text": one["text"], "reason": f"before: {one['before']} / after: {one['after']}", "id": one["id"]} for one in data["read"]
        ]
        blocks.append(report.samples("Replies to read", read, "Drawn, not picked."))
    return blocks
