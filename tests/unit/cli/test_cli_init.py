"""A new workspace plans as it is written, in both languages of comments, and nothing of the user's is overwritten."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import yaml

from sapwood import recipe as recipes
from sapwood.cli import init
from sapwood.errors import InputError


def with_data(folder: Path) -> Path:
    with (folder / "data" / "texts.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["text", "label"])
        writer.writerows([f"text number {i} 第{i}条", "a" if i % 2 else "b"] for i in range(40))
    return folder


@pytest.mark.parametrize("language", init.LANGUAGES)
def test_the_written_recipe_is_whole(tmp_path: Path, language: str) -> None:
    folder = tmp_path / "My Project"
    written = init.write(folder, language)
    assert {path.relative_to(folder).as_posix() for path in written} == {"recipe.yaml", "data/README.md", ".gitignore"}
    recipe = recipes.read(with_data(folder) / "recipe.yaml")
    assert recipe.name == "my-project"
    assert [step.name for step in recipe.steps if step.is_action] == ["register", "promote", "deploy"]
    wanted = {
        "collect",
        "label",
        "clean",
        "mask",
        "dedup",
        "split",
        "tokenize",
        "pretrain",
        "finetune",
        "baselines",
        "evaluate",
        "compress",
        "parity",
        "gate",
    }
    assert wanted <= {step.name for step in recipe.steps}


def test_both_languages_write_the_same_recipe(tmp_path: Path) -> None:
    read = []
    for language in init.LANGUAGES:
        folder = tmp_path / language / "project"
        init.write(folder, language)
        loaded = yaml.safe_load((folder / "recipe.yaml").read_text(encoding="utf-8"))
        loaded.pop("description")
        read.append(loaded)
    assert read[0] == read[1]


def test_every_step_of_the_recipe_says_why_it_is_there(tmp_path: Path) -> None:
    for language in init.LANGUAGES:
        folder = tmp_path / language
        init.write(folder, language)
        lines = (folder / "recipe.yaml").read_text(encoding="utf-8").splitlines()
        steps = [
            i for i, line in enumerate(lines) if line.startswith("  ") and line[2:3].isalpha() and line.split("#")[0].rstrip().endswith(":")
        ]
        steps = [i for i in steps if "#" not in lines[i - 1] and "#" not in lines[i]]
        assert not [lines[i] for i in steps]


def test_a_folder_with_anything_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(InputError, match="not an empty folder"):
        init.write(tmp_path, "en")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    with pytest.raises(InputError, match="not an empty folder"):
        init.write(tmp_path / "mine.txt", "en")


def test_an_unknown_language_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="en and zh"):
        init.write(tmp_path / "new", "fr")
    assert not (tmp_path / "new").exists()


NAMES = [
    ("My Project", "my-project"),
    ("评论", "my-model"),
    ("a__b..", "a__b"),
    ("x" * 90, "x" * 56),
    ("2024", "model-2024"),
    ("true", "model-true"),
]


@pytest.mark.parametrize(("folder", "name"), NAMES)
def test_the_model_is_named_after_the_folder(tmp_path: Path, folder: str, name: str) -> None:
    assert init.model_name(tmp_path / folder) == name
