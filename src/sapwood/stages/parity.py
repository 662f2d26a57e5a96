"""The stage `parity`: does a bundle answer as its model does?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from sapwood.artifact import Bundle, Examples, Model, Report
from sapwood.stage import Estimate, Json, Stage, Work

if TYPE_CHECKING:
    from sapwood.serving.engines import Engine
    from sapwood.verdict import Check

LOSSLESS = 1e-4


class ParityStage(Stage):
    """Compare a bundle with the model it was made from on labelled examples, and sign what was found.

    A failed comparison is a finished report that says `passed: false`; it keeps the bundle from being served.
    """

    carries: ClassVar[tuple[str, ...] | None] = ()
    examples: ClassVar[tuple[dict[str, Json], ...]] = ({}, {"agreement": 0.9, "loss_margin": 0.1, "rows": 500})

    agreement: float = Field(0.97, ge=0, le=1, description="Lossy bundles: share of examples that must get the same label.")
    loss_margin: float = Field(0.05, ge=0, description="Lossy bundles: how much the cross-entropy may grow, in nats.")
    rows: int = Field(0, ge=0, description="How many examples, from the first; 0 takes all.")

    def estimate(self, bytes_in: int) -> Estimate:
        return Estimate(10 + bytes_in / 5e6, 1_500_000_000, 100_000)

    def run(self, work: Work, bundle: Bundle, model: Model, examples: Examples) -> Report:
        from sapwood import report, verdict
        from sapwood.serving.engines import open_engine, open_model

        threads = work.resources.threads
        served = open_engine(work.path(bundle), threads)
        trained = open_model(work.path(model), model.digest, threads)
        texts, truth = _rows(work.path(examples), self.rows, trained.labels)
        lossless = served.card.quantise == "none"
        checks = [_source(served, trained, work.path(bundle), work.path(model))]
        facts: dict[str, Any] = {"rows": len(texts), "lossless": lossless, "model": model.digest, "bundle": bundle.digest}
        if served.labels == trained.labels:
            numbers = _compare(work, served, trained, texts, truth)
            facts |= numbers
            checks += [_at_most("logits", numbers["logit_gap"], LOSSLESS)] if lossless else self._lossy(numbers)
        record = verdict.Parity(
            model=model.digest,
            bundle=bundle.digest,
            lossless=lossless,
            evaluations=(examples.digest,),
            passed=all(check.passed for check in checks),
            checks=tuple(checks),
        )
        page = work.new("report")
        verdict.write(page, verdict.sign(record, work.sign))
        answers = "answers" if record.passed else "does NOT answer"
        summary = f"Bundle {bundle.short} {answers} as model {model.short} does, on {len(texts)} examples."
        table = report.table("Bars", ["check", "passed", "measured", "bar", "detail"], [_row(check) for check in checks])
        report.write(page, "Parity", summary, facts | {"passed": record.passed}, [table])
        work.say(summary)
        return work.put(Report, page)

    def _lossy(self, numbers: dict[str, Any]) -> list[Check]:
        from sapwood.verdict import Check

        same = numbers["agreement"]
        reached = same is not None and same >= self.agreement
        detail = f"at least {self.agreement:g} of the examples get the same label"
        return [
            Check(name="agreement", passed=reached, measured=same, bar=self.agreement, detail=detail),
            _at_most("loss", numbers["loss_growth"], self.loss_margin),
        ]


def _rows(folder: Path, limit: int, labels: tuple[str, ...]) -> tuple[list[str], list[int]]:
    """Texts and true classes. `InputError` when there are none or a label is not one of the model's."""
    from sapwood.errors import InputError
    from sapwood.text import rows

    table = rows.read(folder, ["text", "label"])
    table = table.slice(0, limit) if limit else table
    columns: dict[str, list[str]] = table.to_pydict()
    texts, given = columns["text"], columns["label"]
    if not texts:
        raise InputError("parity has no examples to compare on", "give examples with rows in them")
    if strange := sorted(set(given) - set(labels)):
        raise InputError(
            f"labels that the model does not know: {', '.join(strange[:5])}",
            f"its labels are {', '.join(labels)}",
        )
    return texts, [labels.index(label) for label in given]


def _source(served: Engine, trained: Engine, bundle: Path, model: Path) -> Check:
    """The bundle names this model and reads text as it does."""
    from sapwood.verdict import Check

    old, new = trained.card, served.card
    differing = [field for field in ("model", "labels", "max_tokens", "prefix") if getattr(old, field) != getattr(new, field)]
    if (bundle / "tokenizer.json").read_bytes() != (model / "tokenizer.json").read_bytes():
        differing.append("tokenizer")
    detail = f"differs in {', '.join(differing)}" if differing else "same model, labels, tokenizer, prefix and length"
    return Check(name="source", passed=not differing, detail=detail)


def _compare(work: Work, served: Engine, trained: Engine, texts: list[str], truth: list[int]) -> dict[str, Any]:
    """Numbers over all texts; None where a logit is not a finite number."""
    import numpy as np

    size, new, old = 128, [], []
    with work.progress("parity", len(texts)) as meter:
        for start in range(0, len(texts), size):
            part = texts[start : start + size]
            new.append(served.logits(part))
            old.append(trained.logits(part))
            meter.advance(len(part))
    after, before = np.concatenate(new).astype(np.float64), np.concatenate(old).astype(np.float64)
    if not (np.isfinite(after).all() and np.isfinite(before).all()):
        return dict.fromkeys(("logit_gap", "agreement", "loss_before", "loss_after", "loss_growth"))
    loss_before, loss_after = _cross_entropy(before, truth), _cross_entropy(after, truth)
    return {
        "logit_gap": float(np.abs(after - before).max()),
        "agreement": float((after.argmax(1) == before.argmax(1)).mean()),
        "loss_before": loss_before,
        "loss_after": loss_after,
        "loss_growth": loss_after - loss_before,
    }


def _cross_entropy(logits: Any, truth: list[int]) -> float:
    """Mean, in nats."""
    import numpy as np

    raised = logits - logits.max(axis=1, keepdims=True)
    chances = raised - np.log(np.exp(raised).sum(axis=1, keepdims=True))
    return float(-chances[np.arange(len(truth)), truth].mean())


def _at_most(name: str, measured: float | None, bar: float) -> Check:
    from sapwood.verdict import Check

    detail = f"at most {bar:g}" if measured is not None else "a logit is not a finite number"
    return Check(name=name, passed=measured is not None and measured <= bar, measured=measured, bar=bar, detail=detail)


def _row(check: Check) -> list[Any]:
    measured, bar = ("" if v is None else v for v in (check.measured, check.bar))
    return [check.name, "yes" if check.passed else "no", measured, bar, check.detail]
