"""The reference pages are the code's own: after a change to a field, command or error, `make docs` writes them again."""

from __future__ import annotations

from pathlib import Path

import pytest

from sapwood.cli import reference

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ["cli.md", "errors.md", "samples.md", "settings.md", "stages.md", "support.md"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reference")
    assert sorted(path.name for path in reference.write(folder)) == PAGES
    return folder


@pytest.mark.parametrize("page", PAGES)
def test_a_reference_page_says_what_the_code_says(made: Path, page: str) -> None:
    assert (DOCS / "reference" / page).read_text(encoding="utf-8") == (made / page).read_text(encoding="utf-8"), "run: make docs"


def test_every_command_and_every_stage_has_its_heading(made: Path) -> None:
    from sapwood import plugins
    from sapwood.cli.main import COMMANDS

    cli, stages = ((made / page).read_text(encoding="utf-8") for page in ("cli.md", "stages.md"))
    assert not [name for name in COMMANDS if f"## sapwood {name}\n" not in cli]
    assert not [name for name in (*plugins.stages(), *plugins.actions()) if f"### {name}\n" not in stages]


def test_every_page_is_in_the_navigation_and_every_entry_exists() -> None:
    import re

    listed = set(re.findall(r"[\w./-]+\.md", (DOCS.parent / "mkdocs.yml").read_text(encoding="utf-8")))
    there = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    assert listed == there


def test_every_link_between_pages_leads_somewhere() -> None:
    import re

    broken = []
    for path in DOCS.rglob("*.md"):
        for target in re.findall(r"\]\(([^)#:]+\.md)(?:#[^)]*)?\)", path.read_text(encoding="utf-8")):
            if not (path.parent / target).exists():
                broken.append(f"{path.name}: {target}")
    assert not broken


def test_no_page_fetches_anything_from_elsewhere() -> None:
    config = (DOCS.parent / "mkdocs.yml").read_text(encoding="utf-8")
    assert "font: false" in config
    assert "http" not in config
