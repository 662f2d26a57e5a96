"""`sapwood init`: a workspace with a commented recipe for one's own CSV of texts and labels."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path
from typing import Annotated

import typer

from sapwood.errors import InputError, ResourceError

LANGUAGES = ("en", "zh")
FILES = {"recipe.yaml": "recipe.{language}.yaml", "data/README.md": "data.{language}.md", ".gitignore": "gitignore.txt"}
"""Written file -> template. `NAME` in a template is the model's name."""


def init(
    folder: Annotated[Path, typer.Argument(help="The folder to make; it may exist if it is empty.", show_default=False)],
    language: Annotated[str, typer.Option(help="Language of the comments: en or zh. Texts may be in either, or both.")] = "en",
) -> None:
    """Write a workspace: a recipe for your own CSV, a place for the data, a .gitignore.

    Example: sapwood init my-project
    """
    written = write(folder, language)
    for path in written:
        print(path)
    print(f"\nNext: put texts.csv into {folder / 'data'}, then:\n  cd {folder}\n  sapwood plan recipe.yaml")


def write(folder: Path, language: str) -> list[Path]:
    """Write the files; the paths written. Raises `InputError` for a folder that is not empty or a language without templates."""
    if language not in LANGUAGES:
        raise InputError(f"--language {language}: there are comments in {' and '.join(LANGUAGES)}", "sapwood init my-project --language zh")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: exists and is not an empty folder", "name a folder that does not exist yet")
    name = model_name(folder)
    templates = resources.files("sapwood.cli") / "templates"
    written = []
    try:
        for target, template in FILES.items():
            text = (templates / template.format(language=language)).read_text(encoding="utf-8")
            path = folder / target
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text.replace("NAME", name), encoding="utf-8")
            written.append(path)
    except OSError as fault:
        raise ResourceError(f"{folder}: cannot be written ({fault.strerror})", "name a folder in a place where you may write") from None
    return written


def model_name(folder: Path) -> str:
    """A model name from the folder's: lower case, letters, digits, dots and dashes; `my-model` where nothing is left.

    A name that YAML would read as a number, date or truth value gets `model-` in front.
    """
    import yaml

    name = re.sub(r"[^a-z0-9._-]+", "-", folder.resolve().name.lower()).strip("-._")[:56] or "my-model"
    return name if isinstance(yaml.safe_load(name), str) else f"model-{name}"
