"""A gate says no whenever it cannot say yes, signs what it says, and binds it to digests."""

import numpy as np
import pytest
from pydantic import ValidationError

from sapwood import report, verdict
from sapwood.artifact import Model, Report
from sapwood.errors import Refused
from sapwood.metrics import predictions, sheet
from sapwood.stages.gate import Gate, gate_digest
from sapwood.store.local import LocalStore
from sapwood.testing.stages import check_stage, make_work
from sapwood.verdict import Check, Parity

SUBJECT, CHAMPION, BUNDLE = Model("a" * 64), Model("b" * 64), "c" * 64
LABELS = ("negative", "positive")


@pytest.fixture
def store(tmp_path):
    return LocalStore(tmp_path / "store")


def evaluation(store, tmp_path, n=400, **right):
    """A report where each system is right on that share of rows."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, n)
    probs = {}
    for system, share in right.items():
        said = np.where(rng.random(n) < share, truth, 1 - truth)
        probs[{"subject": SUBJECT.digest, "champion": CHAMPION.digest}.get(system, system)] = np.eye(2)[said] * 0.8 + 0.1
    made = predictions.build([f"{i:04}" for i in range(n)], [LABELS[t] for t in truth], LABELS, probs)
    folder = tmp_path / f"evaluation{len(list(tmp_path.iterdir()))}"
    folder.mkdir()
    predictions.write(folder, made)
    scores = {system: sheet.score(made, system) for system in made.systems}
    slices = [one for system in made.systems for one in sheet.slices(made, system, {"language": ["zh", "en"] * (n // 2)})]
    report.write(folder, "Evaluation", "", {"labels": list(LABELS), "scores": scores, "slices": slices}, [])
    return store.put(Report, folder)


def judged(store, tmp_path, bars, reports, champion=None, parity=None):
    made = Gate(bars=bars).run(make_work(store, tmp_path / "scratch"), SUBJECT, reports, champion, parity)
    signed = verdict.read(store.open(made))
    verdict.check_signature(signed, store.public_key())
    return signed, report.read(store.open(made))


def test_a_model_over_all_bars_passes_and_the_verdict_names_every_digest(store, tmp_path):
    bars = [
        {"kind": "at_least", "value": 0.8},
        {"kind": "at_least", "metric": "recall", "label": "negative", "value": 0.8},
        {"kind": "at_least", "metric": "accuracy", "slice": {"language": "zh"}, "value": 0.8},
        {"kind": "at_most", "metric": "ece", "value": 0.2},
        {"kind": "better_than", "system": "majority"},
        {"kind": "not_worse_than", "system": "champion", "margin": 0.05},
    ]
    found = evaluation(store, tmp_path, subject=0.92, champion=0.9, majority=0.5)
    signed, page = judged(store, tmp_path, bars, [found], CHAMPION)
    assert signed.record.passed
    assert (signed.record.subject, signed.record.evaluations) == (SUBJECT.digest, (found.digest,))
    assert signed.record.gate == gate_digest(Gate(bars=bars).bars)
    assert page["summary"].startswith("PASS: 7 of 7")
    verdict.may_serve(SUBJECT.digest, SUBJECT.digest, signed, None, store.public_key())


@pytest.mark.parametrize(
    "bar",
    [
        {"kind": "at_least", "value": 0.95},
        {"kind": "at_least", "metric": "f1", "label": "positive", "value": 0.95},
        {"kind": "at_least", "slice": {"language": "fr"}, "value": 0.1},
        {"kind": "at_least", "metric": "f1", "label": "neutral", "value": 0.0},
        {"kind": "at_most", "metric": "log_loss", "value": 0.01},
        {"kind": "better_than", "system": "tfidf-logreg"},
        {"kind": "better_than", "system": "champion"},
        {"kind": "not_worse_than", "system": "champion", "margin": 0.0},
        {"kind": "not_worse_than", "system": "unknown", "margin": 1.0},
        {"kind": "at_least", "value": 0.1, "on": 1},
    ],
)
def test_a_bar_that_is_not_met_or_not_measured_fails(store, tmp_path, bar):
    found = evaluation(store, tmp_path, subject=0.8, champion=0.86, **{"tfidf-logreg": 0.8})
    signed, page = judged(store, tmp_path, [bar], [found], CHAMPION)
    assert not signed.record.passed
    assert [check.passed for check in signed.record.checks] == [True, False]
    assert page["summary"].startswith("FAIL: 1 of 2")
    with pytest.raises(Refused):
        verdict.may_serve(SUBJECT.digest, SUBJECT.digest, signed, None, store.public_key())


def test_without_a_champion_the_bar_fails_with_the_reason(store, tmp_path):
    found = evaluation(store, tmp_path, subject=0.9)
    signed, _ = judged(store, tmp_path, [{"kind": "not_worse_than", "system": "champion"}], [found])
    assert signed.record.checks[-1].detail == "no champion was given"
    assert not signed.record.passed


def test_a_report_about_another_model_proves_nothing(store, tmp_path):
    about_other = evaluation(store, tmp_path, champion=0.99, majority=0.5)
    bars = [{"kind": "at_least", "value": 0.1}, {"kind": "better_than", "system": "majority"}]
    signed, _ = judged(store, tmp_path, bars, [about_other])
    assert [check.passed for check in signed.record.checks] == [False, False, False]
    mixed, _ = judged(store, tmp_path, [{"kind": "at_least", "value": 0.1}], [evaluation(store, tmp_path, subject=0.9), about_other])
    assert not mixed.record.passed


def test_no_report_at_all_fails(store, tmp_path):
    signed, page = judged(store, tmp_path, [{"kind": "at_least", "value": 0.0}], [])
    assert not signed.record.passed
    assert page["summary"].startswith("FAIL")


def parity_report(store, tmp_path, model=SUBJECT.digest, passed=True, sign=None):
    checks = (Check(name="label agreement", passed=passed),)
    record = Parity(model=model, bundle=BUNDLE, lossless=True, evaluations=(), passed=passed, checks=checks)
    folder = tmp_path / "parity"
    folder.mkdir()
    verdict.write(folder, verdict.sign(record, sign or store.sign))
    report.write(folder, "Parity", "", {}, [])
    return store.put(Report, folder)


@pytest.mark.parametrize(
    ("change", "passes"), [({}, True), ({"passed": False}, False), ({"model": CHAMPION.digest}, False), ({"sign": "other"}, False)]
)
def test_parity_counts_when_this_store_signed_it_about_this_model(store, tmp_path, change, passes):
    if change.get("sign"):
        change = {"sign": LocalStore(tmp_path / "other").sign}
    found = evaluation(store, tmp_path, subject=0.9)
    signed, _ = judged(store, tmp_path, [{"kind": "at_least", "value": 0.8}], [found], parity=parity_report(store, tmp_path, **change))
    assert signed.record.passed is passes


@pytest.mark.parametrize(
    "bars",
    [
        [],
        [{"kind": "at_least", "metric": "recall", "value": 0.5}],
        [{"kind": "at_least", "metric": "accuracy", "label": "x", "value": 0.5}],
        [{"kind": "at_least", "metric": "ece", "value": 0.5}],
        [{"kind": "at_lest", "value": 0.5}],
        [{"kind": "at_least", "value": 0.5, "valeu": 1}],
        [{"kind": "better_than", "system": "majority", "alpha": 0.9}],
    ],
)
def test_bars_that_mean_nothing_are_refused_before_running(bars):
    with pytest.raises(ValidationError):
        Gate(bars=bars)


def test_the_gate_digest_follows_the_bars_and_nothing_else():
    one, same, other = ([{"kind": "at_least", "value": v, **more}] for v, more in ((0.8, {}), (0.8, {"metric": "macro_f1"}), (0.81, {})))
    assert gate_digest(Gate(bars=one).bars) == gate_digest(Gate(bars=same).bars) != gate_digest(Gate(bars=other).bars)


def test_it_is_a_stage_and_repeats_itself_to_the_byte(store, tmp_path):
    found = evaluation(store, tmp_path, subject=0.9, champion=0.85, majority=0.5)
    inputs = {"subject": SUBJECT, "evaluation": [found], "champion": CHAMPION, "parity": None}
    assert check_stage(Gate, store, inputs)["out"] == check_stage(Gate, store, inputs)["out"]
