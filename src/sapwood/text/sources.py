"""Sources: what a recipe says about where text comes from. Reading them is `sapwood.text.readers`.

A source has a `name`, which with the place of a row inside it makes the document's id, so renaming a source makes new documents.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from sapwood.artifact import file_sha256
from sapwood.errors import InputError, SapwoodError
from sapwood.samples import fetch as samples
from sapwood.samples.table import sample as sample_entry

Say = Callable[[str], None]
SUFFIXES = (".txt", ".md")


class Origin(BaseModel):
    """What every source says of itself. Either `path`, or `sample` and `file`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, description="Name of the source; part of every document's id.")
    path: str = Field("", description="File or folder, relative to the workspace.")
    sample: str = Field("", description="Name of a sample (see: sapwood samples list), instead of a path.")
    file: str = Field("", description="File of the sample.")
    label: str = Field("", description="Label of every row, written to meta.label.")
    license: str = Field("", description="Licence of the text, kept with every document.")
    language: str = Field("", description="Language of the text when it is known, such as zh or en.")
    limit: int = Field(0, ge=0, description="Take the first so many documents; 0 takes all.")

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if bool(self.path) == bool(self.sample):
            raise ValueError("give either path, or sample and file")
        if bool(self.sample) != bool(self.file):
            raise ValueError("sample and file go together")
        return self


class Lines(Origin):
    """One document a line of a text file; blank lines are skipped."""

    kind: Literal["lines"] = Field("lines", description="One document a line.")
    format: Literal["plain", "tagged", "segmented"] = Field(
        "plain",
        description="plain; tagged: word/TAG tokens, joined again; segmented: words parted by spaces, joined where the script has none.",
    )
    skip_columns: int = Field(0, ge=0, description="Tab-separated columns to drop at the start of each line.")
    turns: tuple[str, ...] = Field(("\t",), description="Segmented only: marks between turns of a dialogue; each gets its own line.")


class Csv(Origin):
    """One document a row of a CSV file with a header."""

    kind: Literal["csv"] = Field("csv", description="Rows of a CSV file.")
    text_column: str = Field("text", description="Column with the text.")
    label_column: str = Field("", description="Column with the label, written to meta.label.")
    id_column: str = Field("", description="Column that identifies a row; the row's number when empty.")
    delimiter: str = Field(",", min_length=1, max_length=1, description="Character between columns.")


class Jsonl(Origin):
    """One document a line of JSON."""

    kind: Literal["jsonl"] = Field("jsonl", description="One JSON object a line.")
    text_field: str = Field("text", description="Key of the text.")
    label_field: str = Field("", description="Key of the label, written to meta.label.")
    id_field: str = Field("", description="Key that identifies a row; the line's number when empty.")


class JsonFile(Origin):
    """One document an entry of a JSON file that holds a list of objects, or an object of objects."""

    kind: Literal["json"] = Field("json", description="Entries of one JSON file.")
    text_field: str = Field("text", description="Key of the text.")
    label_field: str = Field("", description="Key of the label, written to meta.label.")
    title_field: str = Field("", description="Key of a title, put before the text as its first line and kept in meta.title.")


class Sqlite(Origin):
    """One document a row of a table in a SQLite file, which is opened read-only."""

    kind: Literal["sqlite"] = Field("sqlite", description="Rows of a table in a SQLite file.")
    table: str = Field(min_length=1, description="Table to read.")
    text_column: str = Field("text", description="Column with the text.")
    id_column: str = Field("id", description="Column that identifies a row; rows are read in its order.")
    title_columns: tuple[str, ...] = Field((), description="Columns put before the text as its first line and kept in meta.title.")


class Files(Origin):
    """One document a text file of a folder. Links are not followed."""

    kind: Literal["files"] = Field("files", description="The .txt and .md files of a folder.")
    glob: str = Field("*", description="Which files, by their path in the folder; * also crosses folders.")

    @model_validator(mode="after")
    def _a_folder(self) -> Self:
        if self.sample:
            raise ValueError("files needs path, not sample")
        return self


Source = Annotated[Lines | Csv | Jsonl | JsonFile | Sqlite | Files, Field(discriminator="kind")]
AnySource = Lines | Csv | Jsonl | JsonFile | Sqlite | Files


def place(source: AnySource, workspace: Path) -> Path:
    """The local file or folder of a `path` source. Raises `InputError` when it is missing or leaves the workspace."""
    if PurePosixPath(source.path).is_absolute() or ".." in PurePosixPath(source.path).parts:
        raise InputError(f"source {source.name}: {source.path} is not inside the workspace", "give a path relative to the workspace")
    root, found = workspace.resolve(), (workspace / source.path).resolve()
    if not found.exists():
        raise InputError(f"source {source.name}: no such file: {source.path}", "paths are relative to the workspace")
    if not found.is_relative_to(root):
        raise InputError(f"source {source.name}: {source.path} is a link that leaves the workspace", "copy the file into the workspace")
    if found.is_dir() != isinstance(source, Files):
        expected = "a folder" if isinstance(source, Files) else "a file"
        raise InputError(f"source {source.name}: {source.path} is not {expected}", "check path and kind")
    return found


def locate(source: AnySource, workspace: Path, say: Say) -> Path:
    """The file or folder to read, fetched first if it is a sample."""
    if not source.sample:
        return place(source, workspace)
    found = samples.fetch(source.sample, say) / source.file
    if source.file not in sample_entry(source.sample).files.values():
        raise InputError(f"source {source.name}: sample {source.sample} has no file {source.file}", _files_of(source.sample))
    return found


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


def fingerprint(source: AnySource, workspace: Path) -> str:
    """Hex sha256 of the source's content: of the file, of all names and files of a folder, or of the sample's archive."""
    if source.sample:
        return samples.fingerprint(source.sample)
    found = place(source, workspace)
    if not isinstance(source, Files):
        return file_sha256(found)
    hasher = hashlib.sha256()
    for inside, file in members(source, found):
        hasher.update(f"{inside}\0{file_sha256(file)}\0".encode())
    return hasher.hexdigest()


def faults(sources: Sequence[AnySource], workspace: Path) -> list[str]:
    """What can be told before reading: names used twice, missing files, unknown samples; one sentence each."""
    names = [source.name for source in sources]
    found = [f"two sources are named {name}" for name in sorted(set(names)) if names.count(name) > 1]
    for source in sources:
        try:
            if source.sample:
                if source.file not in sample_entry(source.sample).files.values():
                    found.append(f"source {source.name}: sample {source.sample} has no file {source.file}; {_files_of(source.sample)}")
            elif isinstance(source, Files):
                members(source, place(source, workspace))
            else:
                place(source, workspace)
        except SapwoodError as fault:
            found.append(f"{fault.what}; {fault.next_step}" if fault.next_step else fault.what)
    return found


def collected_at(path: Path) -> str:
    """UTC ISO time of the file's last change, to the second."""
    return datetime.fromtimestamp(int(path.stat().st_mtime), UTC).isoformat()


def _files_of(sample: str) -> str:
    return f"its files are {', '.join(sample_entry(sample).files.values())}"
