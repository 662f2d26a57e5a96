"""Score candidates beside their baselines on the same rows, with intervals, paired tests, slices and mistakes to read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sapwood import report
from sapwood.artifact import Bundle, Examples, Model, Report
from sapwood.errors import InputError
from sapwood.stage import Estimate, Meter, Stage, Work

if TYPE_CHECKING:
    from sapwood.metrics.predictions import Predictions, Probs
    from sapwood.serving.engines import Engine

Columns = dict[str, list[Any]]
SAMPLES = 10
ENGINE_BATCH = 512  # the engine itself groups rows of like length


class Evaluate(Stage):
    """Score models and bundles on examples, each beside every other and beside the baselines, with intervals and paired tests.

    Models answer in fp32 whatever the machine is fast in, so that the same model gets the same score; a bundle answers through
    its own engine. It does NOT say what is good enough (a gate does), nor how scores vary with the training seed.
    """

    carries = ("examples",)  # the samples block quotes mistaken rows

    def estimate(self, bytes_in: int) -> Estimate:
        return Estimate(15 + bytes_in / 20e6, 600_000_000 + 2 * bytes_in, 2_000_000)

    def run(self, work: Work, candidates: list[Model | Bundle], examples: Examples, baselines: Report | None) -> Report:
        from sapwood.metrics import predictions, sheet
        from sapwood.text import rows
        from sapwood.text.labelling.self_labelled import refuse

        if not candidates:
            raise InputError("there is no candidate to evaluate", "wire at least one model or bundle to `candidates`")
        table = rows.read(work.path(examples), ["id", "text", "label", "language", "meta"]).to_pydict()
        refuse(table["meta"])
        if not table["id"]:
            raise InputError("the examples have no rows", "see the report of the step that made them")
        answers, names = self._answers(work, list(dict.fromkeys(candidates)), table)
        judged = _joined(table, answers, self._held_against(work, baselines, table["id"]))
        names |= {system: system for system in judged.systems if system not in names}
        digests = [one.digest for one in dict.fromkeys(candidates)]
        scores = {system: sheet.score(judged, system) for system in judged.systems}
        pairs = [sheet.compare(judged, a, b) for i, a in enumerate(judged.systems) for b in judged.systems[i + 1 :] if a in digests]
        kinds = {one.digest: "bundle" if isinstance(one, Bundle) else "model" for one in candidates}
        data = {
            "labels": list(judged.labels),
            "systems": names,
            "candidates": digests,
            "kinds": kinds,
            "examples": examples.digest,
            "n": len(judged.ids),
            "precision": {digest: "engine" if kinds[digest] == "bundle" else "fp32" for digest in digests},
            "scores": scores,
            "paired": pairs,
            "slices": [one for system in judged.systems for one in sheet.slices(judged, system, _slice_keys(table))],
        }
        folder = work.new("report")
        predictions.write(folder, judged)
        report.write(folder, "Evaluation", _summary(data), data, _blocks(judged, data, table))
        return work.put(Report, folder)

    def _answers(
        self, work: Work, candidates: list[Model | Bundle], table: Columns
    ) -> tuple[dict[str, tuple[Sequence[str], Probs]], dict[str, str]]:
        """By digest: (own labels, probabilities), and a display name, with the short digest where two have the same."""
        from sapwood.models.predict import load_classifier
        from sapwood.serving.engines import open_engine

        answers: dict[str, tuple[Sequence[str], Probs]] = {}
        names: dict[str, str] = {}
        with work.progress("evaluate", len(candidates) * len(table["id"]), "rows") as meter:
            for one in candidates:
                if isinstance(one, Model):
                    classifier = load_classifier(work.path(one), "fp32", work.resources.threads)
                    answers[one.digest] = classifier.labels, classifier.predict(table["text"], meter.advance)
                    name = classifier.card.name
                else:
                    engine = open_engine(work.path(one), work.resources.threads)
                    answers[one.digest] = engine.labels, _ask(engine, table["text"], meter)
                    name = f"{engine.card.name} (bundle)"
                names[one.digest] = f"{name} {one.short}" if name in names.values() else name
        return answers, names

    def _held_against(self, work: Work, baselines: Report | None, ids: Sequence[str]) -> Predictions | None:
        from sapwood.metrics import predictions

        if baselines is None:
            return None
        folder = work.path(baselines)
        return predictions.read(folder, report.read(folder)["data"]["labels"]).for_ids(ids)


def _ask(engine: Engine, texts: list[str], meter: Meter) -> Probs:
    """(n, labels) from a serving engine, in pieces, so that progress shows."""
    import numpy as np

    parts = []
    for start in range(0, len(texts), ENGINE_BATCH):
        parts.append(engine.predict(texts[start : start + ENGINE_BATCH]))
        meter.advance(len(parts[-1]))
    return np.concatenate(parts)


def _joined(table: Columns, answers: dict[str, tuple[Sequence[str], Probs]], held_against: Predictions | None) -> Predictions:
    """All systems on the same rows and the same labels: those of the first candidate, then any that others or the truth add."""
    from sapwood.metrics import predictions

    own = dict(answers)
    known = [label for labels, _ in own.values() for label in labels] + (list(held_against.labels) if held_against else [])
    labels = list(dict.fromkeys([*known, *sorted(set(table["label"]))]))
    probs = {system: predictions.widened(p, of, labels) for system, (of, p) in own.items()}
    judged = predictions.build(table["id"], table["label"], labels, probs)
    if held_against is None:
        return judged
    if [held_against.labels[i] for i in held_against.truth] != [labels[i] for i in judged.truth]:
        raise InputError("the baselines saw other labels for the same rows", "run the baselines step on these examples again")
    beside = {system: predictions.widened(p, held_against.labels, labels) for system, p in held_against.probs.items()}
    return predictions.Predictions(judged.ids, judged.labels, judged.truth, {**judged.probs, **beside})


def _slice_keys(table: Columns) -> dict[str, list[str]]:
    """Language and domain of each row, in the order of sorted ids."""
    from sapwood.text import rows

    order = sorted(range(len(table["id"])), key=lambda i: table["id"][i])
    domains = [rows.meta({"meta": table["meta"][i]}).get("domain", "") for i in order]
    return {"language": [table["language"][i] or "" for i in order], "domain": domains}


def _summary(data: dict[str, Any]) -> str:
    """What a person reads first. A baseline that wins is named."""
    from sapwood.metrics.sheet import shown

    names, scores = data["systems"], data["scores"]
    first = data["candidates"][0]
    best = max(scores, key=lambda system: scores[system]["macro_f1"]["value"])
    head = f"{names[first]}: macro-F1 {shown(scores[first]['macro_f1'])} on {data['n']} rows"
    return head if best == first else f"{head}; {names[best]} is ahead with {shown(scores[best]['macro_f1'])}"


def _blocks(judged: Predictions, data: dict[str, Any], table: Columns) -> list[report.Block]:
    from sapwood.metrics import sheet
    from sapwood.metrics.classification import confusion

    names, first = data["systems"], data["candidates"][0]
    numbers = ("difference", "low", "high", "p")
    pairs = [
        [names[one["a"]], names[one["b"]], *(round(one["macro_f1"][k], 4) for k in numbers), round(one["mcnemar"]["p"], 4)]
        for one in data["paired"]
    ]
    cuts = [
        [names[one["system"]], " ".join(*one["slice"].items()), one["n"], sheet.shown(one["macro_f1"]), sheet.shown(one["accuracy"])]
        for one in data["slices"]
    ]
    counts = confusion(judged.truth, judged.predicted(first), len(judged.labels)).tolist()
    scored = sheet.score_blocks(data["scores"], names)
    note = "Macro-F1 by approximate randomisation, answers by exact McNemar; two-sided, not adjusted for the number of tests."
    paired = report.table("Paired tests", ["system", "against", "macro-F1 gain", "low", "high", "p", "McNemar p"], pairs, note)
    return [
        *scored[:2],
        *([paired] if pairs else []),
        scored[2],
        *([report.table("Slices", ["system", "slice", "n", "macro-F1", "accuracy"], cuts)] if cuts else []),
        report.matrix(f"Confusion: {names[first]}", judged.labels, counts),
        report.samples(f"Confident mistakes: {names[first]}", _mistakes(judged, first, table), "Wrong labels often show here."),
    ]


def _mistakes(judged: Predictions, system: str, table: Columns) -> list[dict[str, Any]]:
    """The rows that the system got wrong with the highest probability; ties by id."""
    texts = dict(zip(table["id"], table["text"], strict=True))
    said, probs = judged.predicted(system), judged.scores(system)
    wrong = [i for i in range(len(judged.ids)) if said[i] != judged.truth[i]]
    worst = sorted(wrong, key=lambda i: (-probs[i].max(), judged.ids[i]))[:SAMPLES]
    return [
        {
            "id": judged.ids[i],
            "text": texts[judged.ids[i]],
            "reason": f"said {judged.labels[said[i]]} at {probs[i].max():.3f}, labelled {judged.labels[judged.truth[i]]}",
        }
        for i in worst
    ]
