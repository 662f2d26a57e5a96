"""Text files of a folder, one document each. Links are not followed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from sapwood.artifact import file_sha256
from sapwood.errors import InputError, SapwoodError
from sapwood.text import decode
from sapwood.text.sources.source import Located, Reading, Row, changed_at, locate, place

SUFFIXES = (".txt", ".md")


class Files(Located):
    """One document a text file of a folder. Links are not followed."""

    kind: Literal["files"] = Field("files", description="The .txt and .md files of a folder.")
    glob: str = Field("*", description="Which files, by their path in the folder; * also crosses folders.")

    @model_validator(mode="after")
    def _a_folder(self) -> Self:
        if self.sample:
            raise ValueError("files needs path, not sample")
        return self

    def check(self, workspace: Path) -> list[str]:
        try:
            members(self, place(self, workspace, folder=True))
        except SapwoodError as fault:
            return [f"{fault.what}; {fault.next_step}" if fault.next_step else fault.what]
        return []

    def fingerprint(self, workspace: Path) -> str | None:
        hasher = hashlib.sha256()
        for inside, file in members(self, place(self, workspace, folder=True)):
            hasher.update(f"{inside}\0{file_sha256(file)}\0".encode())
        return hasher.hexdigest()

    def size(self, workspace: Path) -> int:
        return sum(file.stat().st_size for _, file in members(self, place(self, workspace, folder=True)))

    def rows(self, reading: Reading) -> Iterator[Row]:
        for inside, file in members(self, locate(self, reading, folder=True)):
            yield Row(inside, decode.whole(file) if file.stat().st_size else "", collected_at=changed_at(self, file))


def members(source: Files, folder: Path) -> list[tuple[str, Path]]:
    """(path in the folder, file) of the text files that match, sorted. Links to files and folders are left out."""
    found: list[tuple[str, Path]] = []
    for base, _, names in os.walk(folder, followlinks=False):
        for name in names:
            file = Path(base) / name
            inside = file.relative_to(folder).as_posix()
            if file.suffix.lower() in SUFFIXES and fnmatch(inside, source.glob) and file.is_file() and not file.is_symlink():
                found.append((inside, file))
    if not found:
        raise InputError(f"source {source.name}: no .txt or .md file matches {source.glob} in {source.path}", "check path and glob")
    return sorted(found)
