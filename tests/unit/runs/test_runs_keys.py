from pathlib import Path
from typing import ClassVar

from pydantic import Field

from sapwood import recipe as recipes
from sapwood.artifact import Documents, Report
from sapwood.runs.keys import canonical, step_key
from sapwood.stage import Stage, Work

RECIPE = """
stages:
  texts: {stage: collect, sources: [{kind: lines, name: a, path: a.txt}]}
  kept: {stage: clean, documents: texts}
  named: {stage: label, documents: kept.kept, field: source}
  parts: {stage: split, documents: named}
"""
DOCUMENTS = {"documents": (Documents("a" * 64),)}


def step(name, *overrides):
    return recipes.parse(RECIPE, "r.yaml", Path("."), overrides).step(name)


class Before(Stage):
    """One field."""

    limit: int = Field(1, description="A limit.")

    def run(self, work: Work, documents: Documents) -> Report: ...


class After(Stage):
    """The same with one more field that has a default."""

    version: ClassVar[int] = 1
    limit: int = Field(1, description="A limit.")
    extra: str = Field("none", description="New.")

    def run(self, work: Work, documents: Documents) -> Report: ...


def test_an_added_field_with_a_default_does_not_change_the_key():
    assert canonical(Before(limit=3)) == canonical(After(limit=3)) == {"limit": 3}


def test_a_default_that_is_written_out_has_the_key_of_one_that_is_not():
    assert step_key(step("kept"), DOCUMENTS) == step_key(step("kept", "stages.kept.max_symbols=0.8"), DOCUMENTS)


def test_parameters_inputs_and_fingerprints_change_the_key():
    keys = {
        step_key(step("kept"), DOCUMENTS),
        step_key(step("kept", "stages.kept.max_symbols=0.9"), DOCUMENTS),
        step_key(step("kept"), {"documents": (Documents("b" * 64),)}),
        step_key(step("texts"), {}, "one"),
        step_key(step("texts"), {}, "two"),
    }
    assert len(keys) == 5


def test_the_seed_counts_only_where_it_is_used():
    assert step_key(step("kept", "seed=1"), DOCUMENTS) == step_key(step("kept", "seed=2"), DOCUMENTS)
    assert step_key(step("parts", "seed=1"), DOCUMENTS) != step_key(step("parts", "seed=2"), DOCUMENTS)


def test_the_tag_of_a_block_is_always_in_the_key():
    assert canonical(step("texts").params)["sources"][0]["kind"] == "lines"
