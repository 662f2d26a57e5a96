"""Hold a model or bundle to bars stated before measuring, and sign what was found."""

from __future__ import annotations

import hashlib
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from sapwood import report
from sapwood.artifact import Bundle, Model, Report
from sapwood.errors import InputError, Refused
from sapwood.stage import Stage, Work
from sapwood.verdict import Check, Parity, Verdict, check_signature, read, sign, write

if TYPE_CHECKING:
    from sapwood.metrics.paired import Difference
    from sapwood.metrics.predictions import Predictions

CHAMPION = "champion"
_ON = Field(0, ge=0, description="Which evaluation report, counted from 0.")


class _Bar(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class AtLeast(_Bar):
    """The score itself (not its interval) is at least `value`."""

    kind: Literal["at_least"] = "at_least"
    metric: Literal["macro_f1", "accuracy", "precision", "recall", "f1"] = Field("macro_f1", description="Which score.")
    value: float = Field(description="The lowest score that passes.", ge=0, le=1)
    label: str = Field("", description="The class meant, for precision, recall and f1.")
    slice: dict[str, str] = Field({}, description="One slice only, such as {language: zh}; for macro_f1 and accuracy.", max_length=1)
    on: int = _ON

    @model_validator(mode="after")
    def _fits(self) -> AtLeast:
        by_class = self.metric in ("precision", "recall", "f1")
        if by_class != bool(self.label):
            raise ValueError(f"{self.metric} {'needs' if by_class else 'takes no'} `label`")
        if by_class and self.slice:
            raise ValueError(f"{self.metric} is not measured by slice; use macro_f1 or accuracy")
        return self


class AtMost(_Bar):
    """The score itself is at most `value`: for losses and calibration error."""

    kind: Literal["at_most"] = "at_most"
    metric: Literal["log_loss", "brier", "ece"] = Field("ece", description="Which score.")
    value: float = Field(description="The highest score that passes.", ge=0)
    on: int = _ON


class BetterThan(_Bar):
    """Ahead of another system with a one-sided paired p under `alpha`."""

    kind: Literal["better_than"] = "better_than"
    system: str = Field(description="A baseline's name, a model digest, or champion.", min_length=1)
    metric: Literal["macro_f1", "accuracy"] = Field("macro_f1", description="What is compared.")
    alpha: float = Field(0.05, gt=0, lt=0.5, description="Chance of passing a model that is no better.")
    on: int = _ON


class NotWorseThan(_Bar):
    """The 95 % interval of the paired difference to another system stays above -`margin`."""

    kind: Literal["not_worse_than"] = "not_worse_than"
    system: str = Field(description="A baseline's name, a model digest, or champion.", min_length=1)
    metric: Literal["macro_f1", "accuracy"] = Field("macro_f1", description="What is compared.")
    margin: float = Field(0.01, ge=0, le=1, description="The largest loss that is accepted.")
    on: int = _ON


Bar = Annotated[AtLeast | AtMost | BetterThan | NotWorseThan, Field(discriminator="kind")]


class Gate(Stage):
    """Hold a model to bars stated before measuring; the signed verdict is what lets it be promoted and served.

    All bars must pass, so no correction for their number is needed. What cannot be measured (a report without the model, no
    champion) fails with its reason. A failing verdict is a result, not an error. It does NOT know whether the
    test rows are right, fresh or unseen: that is the split's part.
    """

    carries = ()
    examples = (
        {"bars": [{"kind": "at_least", "metric": "recall", "label": "negative", "value": 0.8}, {"kind": "at_most", "value": 0.1}]},
        {"bars": [{"kind": "better_than", "system": "majority"}, {"kind": "not_worse_than", "system": "champion"}]},
    )

    bars: list[Bar] = Field(description="What must hold: at_least, at_most, better_than, not_worse_than.", min_length=1)

    def run(
        self, work: Work, subject: Model | Bundle, evaluation: list[Report], champion: Model | Bundle | None, parity: Report | None
    ) -> Report:
        evidence = [_Evidence(work, one) for one in evaluation]
        checks = [one.covers(i, subject.digest) for i, one in enumerate(evidence)]
        checks += [_judge(bar, evidence, subject.digest, champion.digest if champion else "") for bar in self.bars]
        if parity is not None:
            checks.append(_parity_check(work, parity, subject.digest))
        verdict = Verdict(
            subject=subject.digest,
            subject_kind="bundle" if isinstance(subject, Bundle) else "model",
            gate=gate_digest(self.bars),
            evaluations=tuple(one.digest for one in evaluation),
            passed=bool(evaluation) and all(check.passed for check in checks),
            checks=tuple(checks),
        )
        folder = work.new("verdict")
        write(folder, sign(verdict, work.sign))
        report.write(folder, "Verdict", _summary(verdict), verdict.model_dump(mode="json"), [_table(verdict)])
        return work.put(Report, folder)


def gate_digest(bars: list[Bar]) -> str:
    """sha256 of the bars' canonical JSON (RFC 8785), defaults written out."""
    import rfc8785

    return hashlib.sha256(rfc8785.dumps([bar.model_dump(mode="json") for bar in bars])).hexdigest()


class _Evidence:
    """An evaluation report, opened: its scores as they are printed, and its predictions for paired tests."""

    def __init__(self, work: Work, evaluation: Report) -> None:
        self.folder = work.path(evaluation)
        self.data: dict[str, Any] = report.read(self.folder)["data"]
        if "scores" not in self.data or "labels" not in self.data:
            raise InputError(f"{evaluation} is not an evaluation report", "wire the report of an evaluate step to `evaluation`")

    def covers(self, place: int, subject: str) -> Check:
        found = subject in self.data["scores"]
        detail = "" if found else f"{subject[:12]} is not among its systems"
        return Check(name=f"evaluation {place} is about the subject", passed=found, detail=detail)

    def score(self, bar: AtLeast | AtMost, subject: str) -> float | None:
        """The printed value, or None where the report has none."""
        scores: Any = self.data["scores"].get(subject, {})
        if isinstance(bar, AtLeast) and bar.slice:
            scores = next((s for s in self.data.get("slices", []) if s["system"] == subject and s["slice"] == bar.slice), {})
        if isinstance(bar, AtLeast) and bar.label:
            scores = scores.get("classes", {}).get(bar.label, {})
        value = scores.get(bar.metric, {}).get("value")
        return None if value is None else float(value)

    @cached_property
    def answered(self) -> Predictions:
        from sapwood.metrics import predictions

        return predictions.read(self.folder, self.data["labels"])

    def difference(self, subject: str, other: str, metric: Literal["macro_f1", "accuracy"]) -> Difference:
        from sapwood.metrics import paired

        said = self.answered.predicted(subject), self.answered.predicted(other)
        return paired.difference(self.answered.truth, *said, len(self.answered.labels), metric=metric)


def _judge(bar: Bar, evidence: list[_Evidence], subject: str, champion: str) -> Check:
    name = _name(bar)
    if bar.on >= len(evidence):
        return Check(name=name, passed=False, detail=f"there is no evaluation report {bar.on}; {len(evidence)} were given")
    found = evidence[bar.on]
    if isinstance(bar, (AtLeast, AtMost)):
        measured = found.score(bar, subject)
        if measured is None:
            return Check(name=name, passed=False, bar=bar.value, detail=f"evaluation {bar.on} has no such score of {subject[:12]}")
        passed = measured >= bar.value if isinstance(bar, AtLeast) else measured <= bar.value
        return Check(name=name, passed=passed, measured=measured, bar=bar.value)
    other = champion if bar.system == CHAMPION else bar.system
    if not other:
        return Check(name=name, passed=False, detail="no champion was given")
    for system in (subject, other):
        if system not in found.answered.systems:
            return Check(name=name, passed=False, detail=f"{system[:12]} is not among the systems of evaluation {bar.on}")
    return _paired_check(name, bar, found.difference(subject, other, bar.metric))


def _paired_check(name: str, bar: BetterThan | NotWorseThan, gap: Difference) -> Check:
    words = f"difference {gap.value:+.4f} ({gap.low:+.4f} to {gap.high:+.4f}), one-sided p {gap.p_better:.4f}"
    if isinstance(bar, BetterThan):
        return Check(name=name, passed=gap.value > 0 and gap.p_better < bar.alpha, measured=gap.p_better, bar=bar.alpha, detail=words)
    return Check(name=name, passed=gap.low >= -bar.margin, measured=gap.low, bar=-bar.margin, detail=words)


def _parity_check(work: Work, parity: Report, subject: str) -> Check:
    """A signed parity record about this very model or bundle, and every check in it passed."""
    name = "the bundle answers as the model does"
    try:
        signed = read(work.path(parity))
        check_signature(signed, work.store.public_key())
    except (Refused, FileNotFoundError, ValueError) as fault:
        return Check(name=name, passed=False, detail=f"no parity record that this store signed: {str(fault).splitlines()[0]}")
    record = signed.record
    if not isinstance(record, Parity) or subject not in (record.model, record.bundle):
        return Check(name=name, passed=False, detail=f"the record is no parity record about {subject[:12]}")
    failed = [check.name for check in record.checks if not check.passed]
    return Check(name=name, passed=record.passed and not failed, detail=", ".join(failed) or f"bundle {record.bundle[:12]}")


def _name(bar: Bar) -> str:
    where = f" on evaluation {bar.on}" if bar.on else ""
    if isinstance(bar, AtMost):
        return f"{bar.metric} at most {bar.value:g}{where}"
    if isinstance(bar, AtLeast):
        of = (f" of {bar.label}" if bar.label else "") + "".join(f" in {k} {v}" for k, v in sorted(bar.slice.items()))
        return f"{bar.metric}{of} at least {bar.value:g}{where}"
    system = bar.system if len(bar.system) < 64 else bar.system[:12]
    if isinstance(bar, BetterThan):
        return f"{bar.metric} better than {system} (p < {bar.alpha:g}){where}"
    return f"{bar.metric} not worse than {system} by {bar.margin:g}{where}"


def _summary(verdict: Verdict) -> str:
    passed = sum(check.passed for check in verdict.checks)
    failed = "; ".join(check.name for check in verdict.checks if not check.passed)
    counts = f"{passed} of {len(verdict.checks)} checks hold for {verdict.subject_kind} {verdict.subject[:12]}"
    if not verdict.evaluations:
        return f"FAIL: no evaluation report was given for {verdict.subject_kind} {verdict.subject[:12]}"
    return f"PASS: {counts}" if verdict.passed else f"FAIL: {counts}; not: {failed}"


def _table(verdict: Verdict) -> report.Block:
    def cell(value: float | None) -> float | str:
        return "" if value is None else round(value, 4)

    rows = [[c.name, "pass" if c.passed else "FAIL", cell(c.measured), cell(c.bar), c.detail] for c in verdict.checks]
    note = "better_than measures a p-value, not_worse_than the low end of the difference."
    return report.table("Bars", ["bar", "result", "measured", "bar value", "detail"], rows, note)
