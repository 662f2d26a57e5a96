"""Study files are checked whole, and no score may come from rows that a gate judges by."""

from __future__ import annotations

import pytest

from sapwood.errors import InputError, RecipeError
from sapwood.recipe import study as studies
from sapwood.recipe.study import Number, taken

STAGES = """
seed: 3
stages:
  texts:
    stage: collect
    sources: [{kind: csv, name: texts, path: texts.csv, text_column: text, label_column: label}]
  labelled: {stage: label, documents: texts}
  cleaned: {stage: clean, documents: labelled.examples}
  split: {documents: cleaned.kept}
  encoder: {stage: base, path: base}
  tuned: {stage: finetune, model: encoder, train: split.train, dev: split.dev}
  picked: {stage: select, candidates: [tuned], dev: split.dev}
  tested: {stage: select, candidates: [tuned], dev: split.test}
  judged: {stage: evaluate, candidates: [tuned], examples: split.later}
  bars: {stage: gate, subject: tuned, evaluation: [judged], bars: [{kind: at_least, metric: macro_f1, value: 0.5}]}
  later: {stage: clean, documents: split.later}
  spied: {stage: select, candidates: [tuned], dev: later.kept}
"""
HEAD = """study: search
name: 评论搜索
over:
  stages.tuned.optimiser.lr: {low: 1e-5, high: 1e-3, log: true}
  stages.tuned.method: [{kind: full}, {kind: lora, r: 4}]
"""


def write(folder, head, score="score: {of: tuned, number: dev.max.macro_f1}\n", stages=STAGES):
    file = folder / "study.yaml"
    file.write_text(head + score + stages, encoding="utf-8")
    return file


def faults(file, *overrides):
    with pytest.raises(RecipeError) as caught:
        studies.read(file, overrides)
    return [(problem.where.rpartition(":")[2], problem.path, problem.what) for problem in caught.value.problems]


def test_a_study_runs_its_recipe_only_as_far_as_its_score(tmp_path):
    study = studies.read(write(tmp_path, HEAD))
    assert study.name == "评论搜索"
    assert [step.name for step in study.recipe.steps] == ["texts", "labelled", "cleaned", "split", "encoder", "tuned"]
    assert studies.touched(study) == {"tuned"}
    assert studies.moving_rows(study) == []


def test_a_path_may_lead_into_a_block_that_the_recipe_leaves_to_its_default(tmp_path):
    study = studies.read(write(tmp_path, HEAD))
    changed = study.variant({"stages.tuned.optimiser.lr": 3e-4, "stages.tuned.method": {"kind": "lora", "r": 4}, "stages.tuned.seed": 9})
    step = changed.step("tuned")
    assert (step.params.optimiser.lr, step.params.method.r, step.seed) == (3e-4, 4, 9)
    assert study.recipe.step("tuned").params.optimiser.lr is None


def test_a_rate_written_without_a_dot_is_a_number(tmp_path):
    study = studies.read(write(tmp_path, "study: search\nover:\n  stages.tuned.optimiser.lr: [1e-4, 3e-4]\n"))
    assert study.asked.over["stages.tuned.optimiser.lr"] == [1e-4, 3e-4]


def test_every_fault_is_told_at_once_with_its_line(tmp_path):
    head = "study: search\nover:\n  stages.tuned.metod.r: [4]\n  stages.cleaned.min_chars: {low: -3, high: 9}\n  stages.picked.x: [1]\n"
    found = faults(write(tmp_path, head))
    assert [line for line, _, _ in found] == ["3", "4", "5"]
    assert "Did you mean method?" in found[0][2]
    assert "picked: no step before tuned" in found[2][2]


@pytest.mark.parametrize(
    ("head", "what"),
    [
        ("study: serach\n", "Did you mean search?"),
        ("study: search\nover: {stages.tuned.epochs: {low: 3, high: 2}}\n", "low must be less than high"),
        ("study: search\nsampler: grid\nover: {stages.tuned.epochs: {low: 1, high: 2}}\n", "a grid needs a list of values"),
        ("study: search\nbudgte: 3\nover: {stages.tuned.epochs: [1]}\n", "Did you mean budget?"),
        ("study: search\nover: {stages.tuned.epochs: [0]}\n", "greater than or equal to 1"),
        ("study: search\nover: {seed: [1, 2]}\n", "no step before tuned"),
        ("study: search\nover: {stages.tuned.epochs: [1]}\nconfirm: {steps: [tunde]}\n", "Did you mean tuned?"),
    ],
)
def test_a_faulty_study_says_what_is_wrong(tmp_path, head, what):
    assert any(what in told for _, _, told in faults(write(tmp_path, head)))


@pytest.mark.parametrize("step", ["tested", "judged", "spied", "bars"])
def test_a_score_on_rows_that_a_gate_judges_by_is_refused(tmp_path, step):
    """Directly, through the evaluation of the gate, through a stage that carries those rows on, and the verdict itself."""
    found = faults(write(tmp_path, "study: search\nover: {stages.tuned.epochs: [1, 2]}\n", f"score: {{of: {step}, number: n}}\n"))
    assert len(found) == 1
    assert "which a gate judges by" in found[0][2]


def test_a_score_on_development_rows_is_taken(tmp_path):
    study = studies.read(write(tmp_path, HEAD, "score: {of: picked, number: n}\n"))
    assert study.recipe.steps[-1].name == "picked"


def test_a_step_without_a_report_has_no_score(tmp_path):
    assert "has no report" in faults(write(tmp_path, HEAD, "score: {of: encoder.model, number: n}\n"))[0][2]


def test_fields_before_the_split_move_the_development_rows(tmp_path):
    study = studies.read(write(tmp_path, "study: search\nover: {stages.cleaned.min_chars: [1, 2]}\n"))
    assert [str(ref) for ref in studies.moving_rows(study)] == ["split.dev"]


def test_the_recipe_may_stand_in_another_file_and_both_take_overrides(tmp_path):
    (tmp_path / "recipe.yaml").write_text(STAGES, encoding="utf-8")
    file = write(tmp_path, HEAD + "recipe: recipe.yaml\n", stages="")
    study = studies.read(file, ["budget.trials=3", "stages.tuned.epochs=7"])
    assert (study.asked.budget.trials, study.recipe.step("tuned").params.epochs) == (3, 7)
    assert studies.is_study(file)
    assert not studies.is_study(tmp_path / "recipe.yaml")


def test_a_ladder_too_short_for_the_law_is_refused(tmp_path):
    head = (
        "study: scale-law\nsizes: [{stages.tuned.epochs: 1}, {stages.tuned.epochs: 2}]\n"
        "amounts: [{stages.tuned.batch_size: 8}, {stages.tuned.batch_size: 16}, {stages.tuned.batch_size: 32}]\n"
        "loss: {of: tuned, number: dev.last.loss}\nparameters: {of: tuned, number: parameters}\n"
    )
    assert "leave fewer than 6" in faults(write(tmp_path, head, "tokens: {of: tuned, number: examples}\n"))[0][2]


DATA = {"dev": [{"f1": 0.5, "loss": 2.0}, {"f1": 0.7, "loss": 1.0}, {"f1": 0.6, "loss": 1.5}], "steps": 10, "name": "x", "empty": []}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("dev.max.f1", 0.7),
        ("dev.min.loss", 1.0),
        ("dev.last.f1", 0.6),
        ("dev.first.f1", 0.5),
        ("dev.1.loss", 1.0),
        (["steps", "dev.1.f1"], 7.0),
    ],
)
def test_a_path_leads_to_a_number(path, value):
    assert taken(DATA, Number(of="tuned", number=path), "run x") == pytest.approx(value)


@pytest.mark.parametrize("path", ["dev.max.acc", "dev.9.f1", "name", "dev", "empty.max.f1", "stepz"])
def test_a_path_that_leads_nowhere_says_where_it_breaks(path):
    with pytest.raises(InputError) as caught:
        taken(DATA, Number(of="tuned", number=path), "run x")
    assert "run x" in caught.value.what
    assert "tuned" in caught.value.what
