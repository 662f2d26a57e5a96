"""Every recipe of the project is checked whole; the number of them is known."""

from pathlib import Path

import pytest

from sapwood import recipe as recipes
from sapwood.recipe.study import is_study

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted([*(ROOT / "recipes").glob("*.yaml"), *(ROOT / "tests" / "recipes").glob("*.yaml")])
RECIPES = [path for path in FILES if not is_study(path)]


def test_the_recipes_are_known():
    assert [p.name for p in RECIPES] == [
        "adapt-domain.yaml",
        "corpus.yaml",
        "entities.yaml",
        "prefer.yaml",
        "pretrain-en-llama.yaml",
        "pretrain-zh-bert.yaml",
        "rank-replies.yaml",
        "relations.yaml",
        "reviews-cycle.yaml",
        "reviews.yaml",
        "sentiment.yaml",
        "summarise.yaml",
        "support-chat.yaml",
        "translate.yaml",
        "cycle.yaml",
        "loop.yaml",
    ]


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.name)
def test_a_recipe_is_right_and_its_actions_recipes_too(path):
    recipe = recipes.read(path)
    for step in recipe.steps:
        if step.registered == "cycle":
            assert step.params.check(recipe.workspace) == []


def test_the_first_champions_bars_stand_in_the_demo_recipe():
    bars = {type(bar).__name__: bar for bar in recipes.read(ROOT / "recipes" / "reviews.yaml").step("gate").params.bars}
    assert bars["AtLeast"].value == 0.75
    assert bars["BetterThan"].system == "majority"
