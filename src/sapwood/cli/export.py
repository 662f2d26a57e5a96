"""`sapwood export`: a proven bundle as a folder that serves alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def export(
    model: Annotated[str, typer.Argument(help="MODEL (its champion) or MODEL@VERSION.", show_default=False)],
    out: Annotated[Path, typer.Argument(help="The folder to write; must not exist.", show_default=False)],
    store: Annotated[Path | None, typer.Option("--store", envvar="SAPWOOD_STORE", help="The store's folder.")] = None,
) -> None:
    """Write a version with its signed proofs. Refused without a passing verdict.

    Example: sapwood export reviews ./reviews-release; sapwood serve --bundle ./reviews-release
    """
    from sapwood.artifact import Bundle, Report
    from sapwood.errors import NotFound
    from sapwood.runs import releases
    from sapwood.serving.export import export_release
    from sapwood.store.find import open_store

    opened = open_store(store, create=False)
    name, _, number = model.partition("@")
    version = (
        next((v for v in opened.records.versions(name) if str(v.number) == number), None) if number else releases.champion(opened, name)
    )
    if version is None:
        raise NotFound(f"{name} has no version {number}", "sapwood show lists versions")
    releases.check(opened, version)
    parity = opened.open(Report(version.parity)) if version.parity else None
    export_release(
        opened.open(Bundle(version.bundle)), opened.open(Report(version.verdict)), parity, opened.public_key(), out, name, version.number
    )
    print(out)
