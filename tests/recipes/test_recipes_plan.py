"""Every recipe of the project is checked whole; the number of them is known."""

from pathlib import Path

import pytest

from sapwood import recipe as recipes

ROOT = Path(__file__).resolve().parents[2]
RECIPES = sorted([*(ROOT / "recipes").glob("*.yaml"), *(ROOT / "tests" / "recipes").glob("*.yaml")])


def test_there_are_five_recipes():
    assert [p.name for p in RECIPES] == ["corpus.yaml", "reviews-cycle.yaml", "reviews.yaml", "cycle.yaml", "loop.yaml"]


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
