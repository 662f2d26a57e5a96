"""`sapwood export`: a proven bundle as a folder that serves alone, or a model or rows as a folder with their card."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sapwood.store.local import LocalStore


def export(
    what: Annotated[
        str,
        typer.Argument(
            metavar="WHAT",
            help="MODEL (its champion), MODEL@VERSION, or a model or rows: a digest, STEP.PORT or RUN:STEP.PORT.",
            show_default=False,
        ),
    ],
    out: Annotated[Path, typer.Argument(help="The folder to write; must not exist.", show_default=False)],
    name: Annotated[str, typer.Option(help="Rows: what the dataset is called.", show_default=False)] = "",
    creator: Annotated[str, typer.Option(help="Rows: who made it.", show_default=False)] = "",
    store: Annotated[Path | None, typer.Option("--store", envvar="SAPWOOD_STORE", help="The store's folder.")] = None,
) -> None:
    """Write a version with its signed proofs (refused without a passing verdict), a model that a step made as a Hugging Face folder with its
    card, or rows with their card and Croissant metadata.

    Example: sapwood export reviews ./reviews-release; sapwood serve --bundle ./reviews-release
    Example: sapwood export finetune.model ./reviews-model; sapwood export split.train ./reviews-data
    """
    from sapwood.store.find import open_store

    opened = open_store(store, create=False)
    if what.partition("@")[0] in opened.records.names():
        _release(opened, what, out)
    else:
        _artifact(opened, what, out, name, creator)
    print(out)


def _release(store: LocalStore, model: str, out: Path) -> None:
    from sapwood.artifact import Bundle, Report
    from sapwood.errors import NotFound
    from sapwood.runs import releases
    from sapwood.serving.export import export_release

    name, _, number = model.partition("@")
    version = next((v for v in store.records.versions(name) if str(v.number) == number), None) if number else releases.champion(store, name)
    if version is None:
        raise NotFound(f"{name} has no version {number}", "sapwood show lists versions")
    releases.check(store, version)
    parity = store.open(Report(version.parity)) if version.parity else None
    proofs = (store.open(Bundle(version.bundle)), store.open(Report(version.verdict)), parity)
    export_release(*proofs, store.public_key(), out, name, version.number)


def _artifact(store: LocalStore, what: str, out: Path, name: str, creator: str) -> None:
    from sapwood.artifact import Model
    from sapwood.errors import NotFound
    from sapwood.runs import datasets, modelcards
    from sapwood.store import address

    try:
        artifact = address.find(store, what)
    except NotFound as fault:
        raise NotFound(f"{what!r} is no registered model here, and no artifact", fault.next_step) from None
    if isinstance(artifact, Model):
        modelcards.export(store, artifact, out)
    else:
        datasets.export(store, artifact, out, name, creator)
