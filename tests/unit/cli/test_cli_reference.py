"""The reference pages say what the definitions say."""

from __future__ import annotations

import types
from typing import Any, Literal

from pydantic import BaseModel, Field

from sapwood import errors
from sapwood.artifact import Documents, Report
from sapwood.cli import reference
from sapwood.stage import Stage, Work


class Wires(BaseModel):
    """A block."""

    kind: Literal["wires"] = "wires"
    gap: float = Field(0.5, gt=0, description="Width of a gap.")


class Sieve(Stage):
    """Keep what is long enough.

    Second paragraph | with a bar.
    """

    least: int = Field(20, ge=0, le=99, description="Shortest text | in characters.")
    mesh: Wires = Field(Wires(), description="What it is made of.")
    mode: str = Field("fast", pattern="^(fast|slow)$", description="How.")

    def run(self, work: Work, documents: Documents, more: list[Documents], old: Report | None) -> Documents: ...  # type: ignore[empty-body]


def plugins() -> Any:
    return types.SimpleNamespace(stages=lambda: {"sieve": Sieve}, actions=dict)


def test_a_stage_page_holds_ports_fields_defaults_and_bounds() -> None:
    page = reference.render_stages(plugins())
    assert "### sieve" in page
    assert "| `least` | `20` | whole number, ≥ 0, ≤ 99 | Shortest text \\| in characters. |" in page
    assert "| `more` | list of documents |" in page
    assert "| `old` | report, optional |" in page
    assert "| `out` | documents |" in page


def test_blocks_inside_fields_are_documented_too() -> None:
    page = reference.render_stages(plugins())
    assert "#### `kind: wires`" in page
    assert "| `gap` | `0.5` | number, > 0 | Width of a gap. |" in page


def test_every_exit_code_of_the_tree_is_explained() -> None:
    page = reference.render_errors()
    codes = {cls.exit_code for cls in reference._family(errors.SapwoodError) if cls.__module__ == "sapwood.errors"}
    assert not [code for code in codes if f"| {code} | " not in page]


def test_every_sample_is_listed_with_its_licence() -> None:
    from sapwood.samples.table import samples

    page = reference.render_samples()
    assert len(samples()) >= 3
    assert not [name for name, entry in samples().items() if f"## {name}" not in page or entry.licence.replace("|", "\\|") not in page]


def test_every_setting_is_listed() -> None:
    from sapwood.stage import Resources

    page = reference.render_settings()
    assert not [name for name in (*Resources.model_fields, *reference.VARIABLES) if f"`{name}`" not in page]


def test_every_variable_the_source_reads_is_listed() -> None:
    import re
    from pathlib import Path

    source = Path(reference.__file__).parents[1]
    read = {name for path in source.rglob("*.py") for name in re.findall(r"(?:SAPWOOD|OMP)_[A-Z_]+[A-Z]", path.read_text(encoding="utf-8"))}
    assert read == set(reference.VARIABLES)


def test_the_pages_do_not_change_from_one_writing_to_the_next() -> None:
    assert reference.render_samples() == reference.render_samples()
    assert reference.render_stages(plugins()) == reference.render_stages(plugins())
