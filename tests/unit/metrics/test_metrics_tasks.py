"""Scores of tasks as functions of sums: each against the definition or scikit-learn, and the order of rows changes nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as theirs

from sapwood.metrics import classes, numbers, spans
from sapwood.metrics.measured import Measured, gap
from sapwood.text.spans import Span

settings.register_profile("tasks", deadline=None, max_examples=20)
settings.load_profile("tasks")
SEEDS = st.integers(0, 10_000)


def entities(seed: int, n: int = 12) -> tuple[list[list[Span]], list[list[Span]]]:
    chance = np.random.default_rng(seed)

    def some() -> list[Span]:
        return [Span(int(i), int(i) + 1, str(chance.choice(["PER", "LOC"]))) for i in np.flatnonzero(chance.random(5) < 0.5)]

    return [some() for _ in range(n)], [some() for _ in range(n)]


@given(SEEDS)
def test_entity_scores_are_those_of_all_spans_together(seed: int) -> None:
    truth, said = entities(seed)
    found = spans.entities(truth, said, ["LOC", "PER"]).values()
    true = {(i, s) for i, row in enumerate(truth) for s in row}
    told = {(i, s) for i, row in enumerate(said) for s in row}
    hit = len(true & told)
    assert found["f1"] == pytest.approx(2 * hit / max(1, len(true) + len(told)))
    assert found["precision"] == pytest.approx(hit / max(1, len(told)))
    assert found["recall"] == pytest.approx(hit / max(1, len(true)))
    mine = {one for one in true if one[1].label == "PER"}, {one for one in told if one[1].label == "PER"}
    assert found["f1_PER"] == pytest.approx(2 * len(mine[0] & mine[1]) / max(1, len(mine[0]) + len(mine[1])))


@given(SEEDS)
def test_number_scores_are_scikit_learns_also_for_large_numbers(seed: int) -> None:
    chance = np.random.default_rng(seed)
    truth = 1e6 + chance.normal(size=30)
    said = truth + chance.normal(size=30) * 0.5
    found = numbers.predicted(truth, said).values()
    assert found["mse"] == pytest.approx(theirs.mean_squared_error(truth, said), rel=1e-6)
    assert found["mae"] == pytest.approx(theirs.mean_absolute_error(truth, said), rel=1e-6)
    assert found["r2"] == pytest.approx(theirs.r2_score(truth, said), rel=1e-6)
    assert found["pearson"] == pytest.approx(np.corrcoef(truth, said)[0, 1], rel=1e-6)


def test_a_constant_answer_has_no_correlation_and_explains_nothing() -> None:
    found = numbers.predicted(np.array([1.0, 2.0, 3.0]), np.full(3, 2.0)).values()
    assert (found["pearson"], found["r2"]) == (0.0, 0.0)


@given(SEEDS)
def test_scores_of_several_classes_are_scikit_learns(seed: int) -> None:
    chance = np.random.default_rng(seed)
    truth, probs = (chance.random((20, 4)) < 0.4).astype(float), chance.random((20, 4))
    found, said = classes.several(truth, probs).values(), probs >= 0.5
    assert found["micro_f1"] == pytest.approx(theirs.f1_score(truth, said, average="micro", zero_division=0))
    occurs = np.flatnonzero(truth.sum(0) + said.sum(0))
    assert found["macro_f1"] == pytest.approx(theirs.f1_score(truth[:, occurs], said[:, occurs], average="macro", zero_division=0))
    assert found["exact_match"] == pytest.approx(theirs.accuracy_score(truth, said))


def test_relations_leave_out_the_label_that_says_there_is_none() -> None:
    truth, said = np.array([0, 1, 1, 2, 0]), np.array([0, 1, 2, 0, 1])
    found = classes.related(truth, np.eye(3)[said], none=0).values()
    assert (found["precision"], found["recall"]) == (pytest.approx(1 / 3), pytest.approx(1 / 3))
    assert found["accuracy"] == pytest.approx(2 / 5)
    assert found["macro_f1"] == pytest.approx(theirs.f1_score(truth, said, average="macro"))


@pytest.mark.parametrize(
    ("text", "right", "said", "f1", "exact"),
    [
        ("The river Thames flows.", [Span(4, 16)], Span(10, 16), 2 / 3, 0),
        ("The river Thames flows.", [Span(10, 16), Span(4, 16)], Span(10, 17), 1, 1),
        ("北京市在中国北方。", [Span(0, 3)], Span(0, 2), 0.8, 0),
        ("北京市在中国北方。", [], None, 1, 1),
        ("北京市在中国北方。", [], Span(0, 2), 0, 0),
        ("北京市在中国北方。", [Span(0, 3)], None, 0, 0),
    ],
)
def test_answers_are_compared_by_word_and_chinese_by_character(
    text: str, right: list[Span], said: Span | None, f1: float, exact: float
) -> None:
    found = spans.answers([text], [right], [said]).values()
    assert (found["f1"], found["exact_match"]) == (pytest.approx(f1), exact)


def some(kind: str, seed: int) -> Measured:
    chance = np.random.default_rng(seed)
    if kind == "entities":
        return spans.entities(*entities(3, 40), ["LOC", "PER"]) if seed < 0 else spans.entities(*entities(seed, 40), ["LOC", "PER"])
    if kind == "numbers":
        truth = np.arange(40.0)
        return numbers.predicted(truth, truth + chance.normal(size=40) * (1 + seed))
    return classes.several((np.arange(80).reshape(40, 2) % 3 == 0).astype(float), chance.random((40, 2)))


@pytest.mark.parametrize("kind", ["entities", "numbers", "several"])
def test_every_score_lies_in_its_interval_and_no_system_beats_itself(kind: str) -> None:
    one = some(kind, 1)
    for name, value in one.values().items():
        found = one.interval(name)
        assert found.low <= value <= found.high
        same = gap(one, one, name)
        assert (same.value, same.p) == (0.0, 1.0)
