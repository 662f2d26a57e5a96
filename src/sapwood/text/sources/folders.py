"""A source that is one file, or every file of a folder with certain endings. Links are left out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from sapwood.artifact import file_sha256
from sapwood.errors import InputError
from sapwood.text.sources.source import Located, place

Listed = list[tuple[str, Path]]
"""(path in the folder with `/`, file), sorted."""


def at(source: Located, workspace: Path) -> Path:
    """The file or folder of a `path` source. Raises `InputError` as `place` does."""
    return place(source, workspace, folder=(workspace / source.path).is_dir())


def listed(source: Located, root: Path, suffixes: tuple[str, ...]) -> Listed:
    """The files below the root with these endings, or the root itself when it is a file. Raises `InputError` when there is none."""
    if root.is_file():
        return [(root.name, root)]
    plain = (file for file in root.rglob("*") if file.name.endswith(suffixes) and file.is_file() and not file.is_symlink())
    found = [(file.relative_to(root).as_posix(), file) for file in plain]
    if not found:
        raise InputError(f"source {source.name}: no file ending in {', '.join(suffixes)} in {source.path}", "check path and kind")
    return sorted(found)


def digest(found: Iterable[tuple[str, Path]]) -> str:
    """One digest of names and contents."""
    hasher = hashlib.sha256()
    for inside, file in found:
        hasher.update(f"{inside}\0{file_sha256(file)}\0".encode())
    return hasher.hexdigest()


def size(found: Iterable[tuple[str, Path]]) -> int:
    return sum(file.stat().st_size for _, file in found)
