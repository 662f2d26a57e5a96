"""What cannot work is said before anything runs: an architecture, a task and a method that do not go together."""

from __future__ import annotations

from pathlib import Path

import pytest

from sapwood import recipe as recipes
from sapwood.errors import RecipeError
from sapwood.runs import plan as plans
from sapwood.testing.tiny import tiny_model

RECIPE = """
sapwood: 1
name: r
resources: {}
stages:
  texts: {stage: collect, sources: [{kind: lines, name: a, path: a.txt, label: x}]}
  rows: {stage: label, documents: texts}
  %s
  first: {stage: finetune, model: start.model, train: rows.examples, %s}
  second: {stage: finetune, model: first.model, train: rows.examples, %s}
"""
BASE = "start: {stage: base, path: base}"
GROWN = """words: {stage: tokenize, documents: [texts]}
  start: {stage: pretrain, documents: [texts], tokenizer: words, architecture: {kind: %s}, size: 100k}"""


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    (tmp_path / "a.txt").write_text("one\ntwo\n")
    tiny_model(tmp_path / "base", labels=())
    return tmp_path


def faults(workspace: Path, start: str, first: str, second: str = "task: {kind: classification}") -> list[str]:
    try:
        plans.check_world(recipes.parse(RECIPE % (start, first, second), "r.yaml", workspace), {})
    except RecipeError as error:
        return [f"{problem.path}: {problem.what}" for problem in error.problems]
    return []


def test_a_task_that_an_imported_architecture_cannot_learn_is_refused_in_plan(workspace: Path) -> None:
    [fault] = faults(workspace, BASE, "task: {kind: chat}")
    assert fault.startswith("stages.first: chat cannot be taught to bert")
    assert fault.endswith("choose another base model, method or task")


def test_a_method_is_refused_on_an_architecture_that_the_recipe_grows(workspace: Path) -> None:
    assert faults(workspace, GROWN % "bert", "method: {kind: freeze}") == []
    [fault] = faults(workspace, GROWN % "albert", "method: {kind: freeze}")
    assert fault.startswith("stages.first: ")


def test_the_architecture_is_followed_through_the_steps_that_keep_it(workspace: Path) -> None:
    [fault] = faults(workspace, GROWN % "llama", "task: {kind: chat}", "task: {kind: prompt}")
    assert fault.startswith("stages.second: prompt cannot be taught to llama")


@pytest.mark.parametrize(
    ("start", "resources", "first", "said"),
    [
        ("bert", "tensor: 2", "", "the architecture bert has no plan for tensor parallel"),
        ("llama", "tensor: 2", "method: {kind: lora}", "method lora wraps layers"),
        ("llama", "shard: full", "regularise: {average: {kind: ema}}", "averages of weights"),
        ("llama", "shard: full", "optimiser: {kind: adafactor}", "adafactor keeps rows"),
    ],
)
def test_a_model_that_cannot_be_spread_so_is_refused_in_plan(workspace: Path, start: str, resources: str, first: str, said: str) -> None:
    text = RECIPE % (GROWN % start, first or "epochs: 1", "epochs: 1")
    found = recipes.parse(text.replace("resources: {}", f"resources: {{processes: 2, {resources}}}"), "r.yaml", workspace)
    with pytest.raises(RecipeError, match=said):
        plans.check_world(found, {})


@pytest.mark.parametrize(
    ("first", "said"),
    [
        ("remember: {replay: 0.2}", "remember.replay and remember.elastic take old examples, and there are none"),
        ("old: rows.examples", "there are old examples, and remember takes nothing from them"),
    ],
)
def test_old_examples_without_use_or_use_without_them_are_refused_in_plan(workspace: Path, first: str, said: str) -> None:
    found = recipes.parse(RECIPE % (BASE, first, "epochs: 1"), "r.yaml", workspace)
    with pytest.raises(RecipeError, match=said):
        plans.check_world(found, {})


ADAPTED = """
  grown: {stage: pretrain, documents: [texts], tokenizer: words, architecture: {kind: llama}, size: 100k}
  words: {stage: tokenize, documents: [texts]}
  adapted: {stage: adapt, model: grown.model, documents: [texts], %s}
"""


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ("objective: {kind: masked_lm}", "masked_lm is not for llama, it is for bert, albert; leave objective out, or mend it"),
        ("elastic: 1.0", "elastic weighs each weight by general text, and there is none; wire documents to the port general"),
    ],
)
def test_adapting_what_cannot_be_adapted_so_is_refused_in_plan(workspace: Path, fields: str, said: str) -> None:
    text = RECIPE % (BASE, "epochs: 1", "epochs: 1")
    with pytest.raises(RecipeError, match=said):
        plans.check_world(recipes.parse(text.rstrip() + ADAPTED % fields, "r.yaml", workspace), {})


def test_one_field_of_a_block_can_be_set_where_the_recipe_writes_no_block(workspace: Path) -> None:
    text = RECIPE % (BASE, "epochs: 1", "epochs: 1")
    found = recipes.parse(text, "r.yaml", workspace, ["stages.first.optimiser.lr=0.01", "stages.first.schedule.warmup=0.2"])
    first = next(step.params for step in found.steps if step.name == "first")
    assert (first.optimiser.kind, first.optimiser.lr) == ("adamw", 0.01)
    assert (first.schedule.kind, first.schedule.warmup) == ("linear", 0.2)


def test_a_field_of_a_block_of_a_step_that_writes_nothing_is_no_traceback(workspace: Path) -> None:
    text = "sapwood: 1\nname: r\ninputs: {raw: documents}\nstages:\n  clean:\n    documents: raw\n  tokenize:\n"
    with pytest.raises(RecipeError) as told:
        recipes.parse(text, "r.yaml", workspace, ["stages.tokenize.vocab_size=900", "stages.tokenize.nothing.at=1"])
    assert [problem.path for problem in told.value.problems] == ["stages.tokenize.nothing", "stages.tokenize"]


def test_a_size_that_cannot_be_read_is_named(workspace: Path) -> None:
    text = RECIPE % (GROWN % "bert", "epochs: 1", "epochs: 1")
    with pytest.raises(RecipeError, match="'banana' is no size: write a number with k, M or B behind it"):
        recipes.parse(text, "r.yaml", workspace, ["stages.start.size=banana"])
