"""`sapwood stage NAME --help` teaches a stage: every field, its default as a recipe writes it, and every kind of block it takes."""

import re

import pytest
from typer.testing import CliRunner

from sapwood import plugins
from sapwood.cli.main import application


def shown(name: str) -> str:
    done = CliRunner().invoke(application("stage"), [name, "--help"])
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.parametrize("name", sorted(plugins.table("stages")))
def test_the_help_of_every_stage_fits_80_columns_and_names_every_field(name):
    told = shown(name)
    assert max(map(len, told.splitlines())) <= 80
    assert [field for field in plugins.load("stages", name).model_fields if f"--{field.replace('_', '-')} " not in told] == []
    assert "Undefined" not in told
    assert "<class" not in told


def test_the_kinds_of_a_source_and_of_a_method_are_listed_with_their_fields():
    kinds = set(re.findall(r"- kind: (\w+)", shown("collect")))
    assert kinds == set(plugins.table("sources"))
    assert re.search(r"- kind: lora, r: 8,", shown("finetune"))
