"""`sapwood train`: look into training before it runs."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sapwood.cli.run import AsJson, Given, RecipeFile, Set, StorePath

if TYPE_CHECKING:
    from sapwood.models.preview import Example, Token

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Look into training before it runs.")


@app.callback()
def main() -> None:
    """Look into training before it runs."""


@app.command()
def preview(
    recipe: RecipeFile,
    step: Annotated[str, typer.Argument(help="A step that trains: pretrain, finetune, ...", show_default=False)],
    example: Annotated[int, typer.Option(min=0, help="Which example, in the order of training, from 0.")] = 0,
    find: Annotated[str, typer.Option(help="The first example from there on that holds this text.", show_default=False)] = "",
    overrides: Set = None,
    given: Given = None,
    store: StorePath = None,
    as_json: AsJson = False,
) -> None:
    """Print what the model sees of one example, and what the loss counts, token by token. Nothing is trained.

    The steps before it have to be made: run the recipe once, or stop it at the training step. What is shown comes from the batches
    of the first epoch themselves.

    Examples: sapwood train preview recipes/translate.yaml translator --example 3;
    sapwood train preview recipes/support-chat.yaml tuned --find "refund";
    sapwood train preview recipes/reviews.yaml pretrain --find 酒店 --json
    """
    from sapwood import recipe as recipes
    from sapwood.cli.run import _given
    from sapwood.runs import preview as previews
    from sapwood.store.find import open_store

    checked = recipes.read(recipe, overrides or [])
    opened = open_store(store, create=False)
    found = previews.example(checked, opened, _given(opened, given or []), step, example, find)
    if as_json:
        print(json.dumps(dataclasses.asdict(found), ensure_ascii=False))
        return
    for line in told(found):
        print(line)


def told(one: Example) -> list[str]:
    """The lines that a person reads."""
    from sapwood.runs.terminal import folded

    units = ", ".join(f"{count:,} {name}" for name, count in one.step_units.items())
    place = f"Example {one.number}: step {one.step}, micro-batch {one.batch}, row {one.row}; the step's loss is divided by {units}"
    lines = [folded(place)]
    lines += [f"reads: {one.read}"] + ([f"says:  {one.said}"] if one.trained else [])
    lines += [f"{name}: {_value(value)}" for name, value in one.targets.items()]
    for name, tokens in one.parts.items():
        lines += ["", f"{name}: {len(tokens)} tokens, {sum(t.target is not None for t in tokens)} of them counted", *_rows(tokens)]
    return lines


def _rows(tokens: list[Token]) -> list[str]:
    head = f"{'place':>6} {'part':>4} {'id':>7}  {'token':<24} must say here"
    return [head] + [
        f"{t.position:>6} {t.segment:>4} {t.id:>7}  {_quoted(t.text):<24} {'' if t.target is None else _quoted(t.target)}".rstrip()
        for t in tokens
    ]


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _value(value: Any) -> str:
    return json.dumps(value) if not isinstance(value, str) else value
