"""Score models of any task beside the simple systems that fit it, with intervals, paired gaps, slices and mistakes to read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from pydantic import Field

from sapwood import report
from sapwood.artifact import Examples, Model, Report
from sapwood.errors import InputError, Interrupted
from sapwood.stage import Estimate, Json, Stage, Work

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sapwood.metrics.measured import Measured
    from sapwood.models.tasks.task import Answers, Row, Task

LONGEST = 300
"""Characters of a mistaken row that the report quotes."""
FEWEST = 20
"""Rows that a slice must have to be shown: below, an interval says nothing."""


class Asked(NamedTuple):
    """One system's answers and what they are worth."""

    answers: Answers
    measured: Measured


class Score(Stage):
    """Score models on examples, each beside every other and beside simple systems fitted on `train`: all on the same rows.

    What a model was trained for stands in its card, so any task is scored here; models of different tasks, or with other labels, are
    refused. Models answer in fp32 whatever the machine is fast in. Intervals are the bootstrap's over rows, p that of approximate
    randomisation, two-sided and not adjusted for the number of tests. It does NOT say what is good enough, nor how scores vary with the
    training seed; bundles and classifiers before a gate are judged by `evaluate`.
    """

    carries: ClassVar[tuple[str, ...] | None] = ("examples",)  # the samples block quotes mistaken rows
    examples: ClassVar[tuple[dict[str, Json], ...]] = ({}, {"slice_by": ["label"], "mistakes": 2})

    slice_by: tuple[str, ...] = Field(("language",), description="Fields whose values are scored apart, such as language or meta.domain.")
    mistakes: int = Field(10, ge=0, description="Worst rows of the first candidate to quote.")

    def estimate(self, bytes_in: int) -> Estimate:
        return Estimate(20 + bytes_in / 20e6, 1_500_000_000, 2_000_000)

    def run(self, work: Work, candidates: list[Model], examples: Examples, train: Examples | None) -> Report:
        from sapwood.models import predict
        from sapwood.text import rows as stored
        from sapwood.text.labelling.self_labelled import refuse

        predict.use_threads(work.resources.threads)
        models = list(dict.fromkeys(candidates))
        task, labels = _task(work, models)
        refuse(stored.read(work.path(examples), ["meta"])["meta"].to_pylist())
        rows = _rows(work, examples, [*task.fields(), *self.slice_by])
        names, systems = self._answered(work, task, labels, models, rows)
        if train is not None:
            beside = _beside(work, task, labels, _rows(work, train, task.fields()), rows)
            systems |= beside
            names |= {name: name for name in beside}
        data = self._data(task, systems, names, [one.digest for one in models], rows)
        data |= {"examples": examples.digest, "labels": list(labels), "task": task.model_dump(mode="json")}
        first = models[0].digest
        shown = _mistakes(task, labels, rows, systems[first], data["main"], self.mistakes)
        folder = work.new("report")
        work.say(_summary(data))
        report.write(folder, "Scores", _summary(data), data, _blocks(data, shown))
        return work.put(Report, folder)

    def _answered(
        self, work: Work, task: Task, labels: Sequence[str], models: Sequence[Model], rows: Sequence[Row]
    ) -> tuple[dict[str, str], dict[str, Asked]]:
        """By digest: a display name, and what the model answered."""
        import torch

        from sapwood.models import texts
        from sapwood.models.card import read_card
        from sapwood.models.tasks.task import Reader, Setting

        names: dict[str, str] = {}
        found: dict[str, Asked] = {}
        with work.progress("score", len(models) * len(rows), "rows") as meter:
            for one in models:
                if work.stopping():
                    raise Interrupted("stopped while scoring", "run the same command again to continue")
                folder = work.path(one)
                card, tokenizer = read_card(folder), texts.load_tokenizer(folder)
                own = _own_task(folder)
                model = own.open(folder, card, Setting(0, "fp32")).eval()
                with torch.inference_mode():
                    answers = own.answers(model, Reader(tokenizer, texts.pad_id(tokenizer), card, folder), rows, "fp32", meter.advance)
                found[one.digest] = Asked(answers, task.measured(rows, answers, labels))
                names[one.digest] = f"{card.name} {one.short}" if card.name in names.values() else card.name
        return names, found

    def _data(
        self, task: Task, systems: Mapping[str, Asked], names: Mapping[str, str], candidates: list[str], rows: Sequence[Row]
    ) -> dict[str, Any]:
        from sapwood.metrics.measured import gap

        main = _main(task, systems)
        order = list(systems)
        pairs = [(a, b) for i, a in enumerate(order) for b in order[i + 1 :] if a in candidates]
        return {
            "main": main,
            "lower_is_better": task.best == f"-{main}",
            "n": len(rows),
            "systems": dict(names),
            "candidates": candidates,
            "precision": dict.fromkeys(candidates, "fp32"),
            "scores": {name: _scores(one.measured) for name, one in systems.items()},
            "paired": [{"a": a, "b": b, **gap(systems[a].measured, systems[b].measured, main)._asdict()} for a, b in pairs],
            "slices": [cut for name, one in systems.items() for cut in _slices(name, one.measured, main, rows, self.slice_by)],
        }


def _own_task(folder: Any) -> Task:
    """The task that the model's card asks; `InputError` where it tells none."""
    from pydantic import TypeAdapter, ValidationError

    from sapwood.models.card import read_card
    from sapwood.models.tasks.catalogue import AnyTask
    from sapwood.models.tasks.classification import Classification

    card = read_card(folder)
    if not card.asks and card.task == "classification":
        return Classification()
    if not card.asks:
        raise InputError(
            f"{card.name} is a model for {card.task}: its card does not say what it is asked", "fine-tune it first: stage finetune"
        )
    try:
        task: Task = TypeAdapter(AnyTask).validate_python(card.asks)
    except ValidationError as fault:
        raise InputError(f"{card.name}: its card asks {card.asks.get('kind')}: {fault.errors()[0]['msg']}", "train it again") from None
    return task


def _task(work: Work, models: Sequence[Model]) -> tuple[Task, tuple[str, ...]]:
    """The task and the labels that all the models share."""
    from sapwood.models.card import read_card

    if not models:
        raise InputError("there is no candidate to score", "wire at least one model to `candidates`")
    tasks = [_own_task(work.path(one)) for one in models]
    cards = [read_card(work.path(one)) for one in models]
    for task, card in zip(tasks, cards, strict=True):
        if (type(task), tuple(task.fields())) != (type(tasks[0]), tuple(tasks[0].fields())):
            raise InputError(
                f"{card.name} answers another question than {cards[0].name} ({card.task} of {', '.join(task.fields())})",
                "score models of one task and one set of fields together",
            )
        if card.labels != cards[0].labels:
            raise InputError(f"{card.name} has other labels than {cards[0].name}", "score models with the same labels together")
    return tasks[0], cards[0].labels


def _main(task: Task, systems: Mapping[str, Asked]) -> str:
    """The score that ranks: the task's own, or the first that all systems have, since a simple system may answer in text where a model's loss
    is the task's own score."""
    common = [name for name in next(iter(systems.values())).measured.scores if all(name in one.measured.scores for one in systems.values())]
    own = task.best.removeprefix("-")
    return own if own in common else common[0]


def _rows(work: Work, examples: Examples, names: Sequence[str]) -> list[Row]:
    from sapwood.text import fields

    found: list[Row] = list(fields.records(work.path(examples), list(dict.fromkeys(names))))
    if not found:
        raise InputError("the examples have no rows", "see the report of the step that made them")
    return found


def _beside(work: Work, task: Task, labels: Sequence[str], train: Sequence[Row], rows: Sequence[Row]) -> dict[str, Asked]:
    """The simple systems that fit the task, fitted on `train`, by name."""
    from sapwood.probes.beside import beside

    own = task.labels(train)
    if strange := sorted(set(own) - set(labels)):
        raise InputError(f"train has labels that the models do not know: {', '.join(strange)}", "wire the examples they were trained on")
    known = {row["id"] for row in train}
    if both := sum(row["id"] in known for row in rows):
        raise InputError(f"{both} of the examples to score are among the training rows", "score on rows that nothing was trained on")
    with work.progress("baselines", 1, "systems") as meter:
        answered = beside(task, train, rows)
        meter.advance(1)
    found = {}
    for name, answers in answered.items():
        widened = _widened(answers, own, labels)
        found[name] = Asked(widened, task.measured(rows, widened, labels))
    return found


def _widened(answers: Answers, own: Sequence[str], labels: Sequence[str]) -> Answers:
    """An array over classes in the order of the models' labels, 0 where the training rows lack one; other answers as they are."""
    import numpy as np

    if not isinstance(answers, np.ndarray) or answers.ndim != 2 or tuple(own) == tuple(labels):
        return answers
    found = np.zeros((len(answers), len(labels)))
    found[:, [labels.index(label) for label in own]] = answers
    return found


def _scores(measured: Measured) -> dict[str, Any]:
    n = len(measured.counts)
    return {"n": n, **{name: measured.interval(name).as_dict() for name in measured.scores}}


def _slices(system: str, measured: Measured, main: str, rows: Sequence[Row], names: Sequence[str]) -> list[dict[str, Any]]:
    """The main score on the rows of each value of each field; nothing for a field that has one value only."""
    import numpy as np

    from sapwood.metrics.measured import Measured

    found = []
    for name in names:
        values = np.asarray([row[name] for row in rows])
        known, counts = np.unique(values, return_counts=True)
        for value, count in zip(known.tolist(), counts.tolist(), strict=True) if len(known) > 1 else ():
            if count >= FEWEST:
                part = Measured(measured.counts[values == value], measured.scores, measured.losses)
                found.append({"system": system, "slice": {name: value}, "n": count, main: part.interval(main).as_dict()})
    return found


def _mistakes(task: Task, labels: Sequence[str], rows: Sequence[Row], asked: Asked, main: str, most: int) -> list[dict[str, Any]]:
    """The rows that score worst by themselves; ties by id. Rows with nothing to find and nothing found are no mistakes."""
    score, counts = asked.measured.scores[main], asked.measured.counts
    worth = score(counts) * (-1 if task.best == f"-{main}" else 1)
    best = worth.max(initial=0)
    wrong = [i for i in range(len(rows)) if worth[i] < best and counts[i].any()]
    found = []
    for i in sorted(wrong, key=lambda i: (worth[i], rows[i]["id"]))[:most]:
        told = task.told(rows[i], asked.answers[i], labels)
        text = told.text[:LONGEST] + ("…" if len(told.text) > LONGEST else "")
        found.append({"id": rows[i]["id"], "text": text, "reason": f"said {told.said}; right is {told.truth}"})
    return found


def _summary(data: Mapping[str, Any]) -> str:
    """What a person reads first. A system that is ahead of the first candidate is named."""
    from sapwood.metrics.sheet import shown

    names, scores, main = data["systems"], data["scores"], data["main"]
    first = data["candidates"][0]
    sign = -1 if data["lower_is_better"] else 1
    best = max(scores, key=lambda system: sign * scores[system][main]["value"])
    head = f"{names[first]}: {main} {shown(scores[first][main])} on {data['n']} rows"
    return head if best == first else f"{head}; {names[best]} is ahead with {shown(scores[best][main])}"


def _blocks(data: Mapping[str, Any], mistakes: Sequence[Mapping[str, Any]]) -> list[report.Block]:
    from sapwood.metrics.sheet import shown

    names, scores, main = data["systems"], data["scores"], data["main"]
    columns = [name for name in scores[data["candidates"][0]] if name != "n"]
    sign = -1 if data["lower_is_better"] else 1
    ranked = sorted(scores, key=lambda system: (-sign * scores[system][main]["value"], names[system]))
    cells = [
        [names[system], scores[system]["n"], *(shown(scores[system][name]) if name in scores[system] else "" for name in columns)]
        for system in ranked
    ]
    note = f"Best {main} first. 95 % intervals over rows; they do not cover the training seed."
    bars = [(names[s], *(scores[s][main][end] for end in ("value", "low", "high"))) for s in ranked]
    numbers = ("value", "low", "high", "p")
    pairs = [[names[one["a"]], names[one["b"]], *(round(one[k], 4) for k in numbers)] for one in data["paired"]]
    cuts = [
        [names[one["system"]], " ".join(*one["slice"].items()), one["n"], shown(one[main])]
        for one in sorted(data["slices"], key=lambda one: (ranked.index(one["system"]), list(one["slice"].items())))
    ]
    said = "Score of the first less that of the second on the same rows; two-sided p, not adjusted for the number of tests."
    first = names[data["candidates"][0]]
    return [
        report.table("Scores", ["system", "n", *(name.replace("_", " ") for name in columns)], cells, note),
        report.bars(main.replace("_", " "), bars, note="Lower is better." if sign < 0 else ""),
        *([report.table("Paired gaps", ["system", "against", f"gap in {main}", "low", "high", "p"], pairs, said)] if pairs else []),
        *([report.table("Slices", ["system", "slice", "n", main], cuts)] if cuts else []),
        *([report.samples(f"Worst rows: {first}", mistakes, "Wrong labels often show here.")] if mistakes else []),
    ]
