from pathlib import Path

import pytest

from sapwood import recipe as recipes
from sapwood.errors import InputError, RecipeError
from sapwood.recipe import schema as schemas

GOOD = """
sapwood: 1
name: small
seed: 5
stages:
  texts: {stage: collect, sources: [{kind: lines, name: a, path: a.txt}]}
  kept: {stage: clean, documents: texts, min_chars: 9}
  named: {stage: label, documents: kept.kept, field: source}
  parts: {stage: split, documents: named}
"""


def parse(text, *overrides):
    return recipes.parse(text, "r.yaml", Path("."), overrides)


def problems(text, *overrides):
    with pytest.raises(RecipeError) as caught:
        parse(text, *overrides)
    return [str(problem) for problem in caught.value.problems]


def test_a_good_recipe_becomes_steps_in_running_order():
    backwards = GOOD.replace("  parts:", "  zz:").replace("stages:\n", "stages:\n  parts: {stage: split, documents: named}\n", 1)
    assert [step.name for step in parse(GOOD).steps] == ["texts", "kept", "named", "parts"]
    assert [step.name for step in parse(backwards).steps].index("parts") > 2


def test_three_mistakes_are_shown_at_once_with_line_and_nearest_name():
    text = GOOD.replace("min_chars", "min_char").replace("stage: label", "stage: labell").replace("documents: texts,", "documents: text,")
    found = problems(text)
    assert "r.yaml:7: stages.kept.min_char: no such field of clean. Did you mean min_chars?" in found
    assert any("Did you mean label?" in p and p.startswith("r.yaml:8") for p in found)
    assert any("no step is called 'text'. Did you mean texts?" in p for p in found)


def test_a_wrong_value_names_field_and_value():
    [found] = problems(GOOD.replace("min_chars: 9", "min_chars: -1"))
    assert found.startswith("r.yaml:7: stages.kept.min_chars:")
    assert found.endswith("it is -1")


def test_ports_must_fit_in_kind():
    [found] = problems(GOOD.replace("documents: kept.kept, field", "documents: kept.report, field"))
    assert "takes documents or examples, but kept.report is report" in found


def test_a_rows_port_hands_its_kind_on():
    text = GOOD + "  t: {stage: finetune, model: parts.train, train: parts.train}\n"
    found = problems(text)
    assert found == ["r.yaml:10: stages.t.model: takes model, but parts.train is examples"]


def test_a_missing_port_and_an_unknown_output_are_problems():
    assert "the port documents (documents or examples) is not connected" in problems(GOOD.replace("documents: kept.kept, ", ""))[0]
    assert "Did you mean kept?" in problems(GOOD.replace("kept.kept", "kept.keep"))[0]


def test_steps_that_wait_for_each_other_are_a_problem():
    text = "stages:\n  a: {stage: clean, documents: b.kept}\n  b: {stage: clean, documents: a.kept}\n"
    assert any("wait for each other: a <- b <- a" in p for p in problems(text))


def test_a_key_written_twice_is_a_problem():
    assert any("written twice" in p for p in problems(GOOD.replace("name: small", "name: small\nname: other")))


def test_invalid_yaml_is_one_problem_with_its_line():
    assert (
        "r.yaml:3: not valid YAML" in problems("name: x\nstages:\n  a: {stage: [\n")[0]
        or "r.yaml:4" in problems("name: x\nstages:\n  a: {stage: [\n")[0]
    )


def test_overrides_are_dotted_and_checked():
    assert parse(GOOD, "stages.kept.min_chars=20").step("kept").params.min_chars == 20
    assert parse(GOOD, "seed=6").seed == 6
    assert "no such step" in problems(GOOD, "stages.keptt.min_chars=20")[0]
    assert "Did you mean min_chars?" in problems(GOOD, "stages.kept.min_char=20")[0]
    assert "write it as" in problems(GOOD, "min_chars")[0]


def test_the_filled_recipe_is_a_recipe_with_every_default_written():
    import yaml

    filled = recipes.filled(parse(GOOD))
    assert filled["stages"]["kept"]["max_symbols"] == 0.8
    assert recipes.filled(parse(yaml.safe_dump(filled))) == filled


def test_a_missing_file_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="no such recipe"):
        recipes.read(tmp_path / "none.yaml")


def test_a_python_tag_is_refused_and_runs_nothing():
    assert any("tag" in p or "not" in p for p in problems("name: !!python/object/apply:os.system ['true']\nstages: {}\n"))


def test_the_schema_knows_every_stage_and_action():
    from sapwood import plugins

    schema = schemas.schema()
    assert {f"stage.{n}" for n in plugins.stages()} | {f"action.{n}" for n in plugins.actions()} <= set(schema["$defs"])


def test_only_the_steps_of_a_circle_are_named_and_not_those_behind_it():
    text = "stages:\n  front: {stage: clean, documents: a.kept}\n  a: {stage: clean, documents: b.kept}\n  b: {stage: clean, documents: a.kept}\n"
    assert any("wait for each other: a <- b <- a" in p for p in problems(text))


def test_a_wrong_key_inside_a_source_gets_the_nearest_name_and_its_place_in_the_file():
    text = "stages:\n  collect:\n    sources:\n      - {kind: csv, name: a, path: a.csv, text_colum: t}\n"
    assert problems(text) == ["r.yaml:4: stages.collect.sources.0.text_colum: no such field. Did you mean text_column?"]
