"""`sapwood store`: look into the store, check it, and give space back."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Look into the store, check it, and give space back.")

StoreOption = Annotated[
    Path | None, typer.Option("--store", help="Folder of the store. Default: SAPWOOD_STORE, or the nearest .sapwood from here up.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


@app.command("list")
def list_(
    store: StoreOption = None,
    kind: Annotated[str, typer.Option(help="Only artifacts of this kind, such as model.")] = "",
    as_json: JsonOption = False,
) -> None:
    """List artifacts, oldest first: kind, digest, files, bytes and when they were made."""
    from sapwood.store.find import open_store

    rows = open_store(store, create=False).listing(kind)
    if as_json:
        typer.echo(json.dumps([vars(row) for row in rows]))
        return
    for row in rows:
        made = datetime.fromtimestamp(row.created, UTC).strftime("%Y-%m-%d %H:%M:%S")
        typer.echo(f"{row.kind:<10} {row.digest[:12]}  {row.files:>5} files  {size(row.bytes):>9}  {made}Z")
    typer.echo(f"{count(len(rows), 'artifact')}, {size(sum(row.bytes for row in rows))}", err=True)


@app.command()
def path(
    digest: Annotated[str, typer.Argument(help="The digest or its first 6 characters or more; kind: may stand in front.")],
    store: StoreOption = None,
) -> None:
    """Print the read-only folder with an artifact's payload."""
    from sapwood.store.find import open_store

    opened = open_store(store, create=False)
    typer.echo(opened.open(opened.find(digest)))


@app.command()
def verify(
    store: StoreOption = None,
    set_aside: Annotated[
        bool, typer.Option("--set-aside", help="Take corrupt artifacts out, so that the steps that made them run again.")
    ] = False,
) -> None:
    """Read every stored byte again and compare it with its digest. Exit 5 when something is wrong."""
    from sapwood.errors import Corrupt
    from sapwood.store.find import open_store

    opened = open_store(store, create=False)
    faults = opened.set_aside() if set_aside else opened.verify()
    for fault in faults:
        typer.echo(fault)
    if faults and not set_aside:
        mend = "restore a backup; or sapwood store verify --set-aside, then run the recipe again"
        raise Corrupt(f"{count(len(faults), 'fault')} in {opened.root}", mend)
    sound = f"verified {count(len(opened.artifacts()), 'artifact')}: sound"
    typer.echo(f"{count(len(faults), 'fault')} set aside; run the recipe again" if faults else sound)


@app.command()
def reindex(store: StoreOption = None) -> None:
    """Rebuild the index of artifacts from their manifests, and results from the files kept beside the database."""
    from sapwood.store.find import open_store

    typer.echo(f"indexed {count(open_store(store, create=False).reindex(), 'artifact')}")


@app.command()
def gc(
    store: StoreOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
    older_than: Annotated[float, typer.Option("--older-than", min=0, help="Keep what was touched within so many hours.")] = 24,
) -> None:
    """Remove bytes that no artifact names, and scratch of finished steps. No artifact is removed."""
    from sapwood.store.find import open_store

    files, freed = open_store(store, create=False).gc(older_than * 3600, dry_run)
    typer.echo(f"{'would remove' if dry_run else 'removed'} {count(files, 'file')}, {size(freed)}")


def count(number: int, noun: str) -> str:
    """1 file, 2 files."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def size(count: float) -> str:
    """Bytes in words: 1.5 MB."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
