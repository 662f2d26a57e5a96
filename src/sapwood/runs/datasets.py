"""A dataset artifact as a folder for others: its shards, a Hugging Face dataset card and Croissant metadata.

Card and metadata are rendered from records when they are asked for; the artifact and its digest stay as they are.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sapwood.artifact import Artifact
from sapwood.errors import InputError
from sapwood.runs import trace
from sapwood.stage import Result
from sapwood.store.local import LocalStore
from sapwood.text import rows
from sapwood.text.versions import cards, croissant, profile


def describe(store: LocalStore, artifact: Artifact, name: str = "", creator: str = "") -> cards.Dataset:
    """What is known of a rows artifact. Reads its rows once. Raises `InputError` for another kind."""
    folder = rows_of(store, artifact)
    made = time.strftime("%Y-%m-%d", time.gmtime())
    called = name or f"{artifact.kind}-{artifact.short}"
    found = profile.profile(folder)
    return cards.Dataset(
        called, artifact.kind, artifact.digest, rows.schema(folder), store.entries(artifact), found, steps(store, artifact), creator, made
    )


def steps(store: LocalStore, artifact: Artifact) -> list[cards.Made]:
    """The steps that led to an artifact, in the order in which they ran."""
    return [
        cards.Made(
            made.name,
            made.version,
            made.params,
            [str(one) for port in made.inputs.values() for one in port],
            [str(one) for one in made.outputs.values()],
            made.seed,
            made.run,
        )
        for made in _in_order(list(reversed(trace.ancestry(store, artifact))))
    ]


def _in_order(found: list[Result]) -> list[Result]:
    """Each after those whose outputs it took; of those that could come next, the one that stands first."""
    waiting, ordered = list(found), []
    while waiting:
        outputs = {id(one): {artifact.digest for artifact in one.outputs.values()} for one in waiting}
        takes = {id(one): {artifact.digest for many in one.inputs.values() for artifact in many} for one in waiting}
        free = (one for one in waiting if not any(takes[id(one)] & outputs[id(other)] for other in waiting if other is not one))
        ordered.append(next(free, waiting[0]))  # steps that hand the same rows on stand in a circle
        waiting.remove(ordered[-1])
    return ordered


def rows_of(store: LocalStore, artifact: Artifact) -> Path:
    """The payload folder of an artifact of rows; `InputError` for any other kind."""
    if not trace.is_rows(artifact):
        raise InputError(f"{artifact} holds no rows of text", f"sapwood show {artifact.short} says what it holds")
    return store.open(artifact)


def export(store: LocalStore, artifact: Artifact, out: Path, name: str = "", creator: str = "") -> cards.Dataset:
    """Write the folder: `rows-*.parquet`, `README.md`, `croissant.json`. It appears whole or not at all."""
    with appearing(out) as half:
        described = describe(store, artifact, name, creator)
        for entry in described.entries:
            shutil.copyfile(store.open(artifact) / entry.path, half / entry.path)
        (half / "README.md").write_text(cards.render(described), encoding="utf-8")
        (half / "croissant.json").write_text(croissant.render(described), encoding="utf-8")
    return described


@contextmanager
def appearing(out: Path) -> Iterator[Path]:
    """A folder to fill, which gets its name when that is done and is gone when it fails. `InputError` where `out` is there already."""
    if out.exists():
        raise InputError(f"{out} is there already", "name a new folder")
    half = out.with_name(f".{out.name}.part")
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir(parents=True)
    try:
        yield half
        half.rename(out)
    finally:
        shutil.rmtree(half, ignore_errors=True)
