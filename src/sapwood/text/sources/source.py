"""The contract of a source: what a recipe says about where text comes from, and how its rows are read.

A source has a `name`, which with the place of a row inside it (the locator) makes the document's id, so renaming a source makes
new documents. Other distributions add kinds through the entry-point group `sapwood.sources`; the built-in ones use the same table.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import ClassVar, NamedTuple, Protocol, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from sapwood.artifact import file_sha256
from sapwood.errors import InputError, SapwoodError
from sapwood.samples import fetch as samples
from sapwood.samples.table import sample as sample_entry

Say = Callable[[str], None]


class Row(NamedTuple):
    """One document as a source finds it. `locator`: where in the source, stable between runs. What is empty is filled from the
    source's own fields (`language`, `license`) or stays empty; `collected_at` is UTC ISO time to the second."""

    locator: str
    text: str
    meta: dict[str, str] = {}  # noqa: RUF012
    url: str = ""
    language: str = ""
    license: str = ""
    collected_at: str = ""


def _same(row: Row) -> Row:
    return row


@dataclass(frozen=True)
class Reading:
    """What a source is given while it is read.

    `scratch` belongs to this source and survives a kill: what was fetched over a network and kept there is not fetched again.
    `failed(locator, why)` records one damaged item; reading goes on after it. A fault of the whole source is raised.
    `why` begins with a short reason that is the same for like faults, then `: ` and the particulars (`damaged: no zip archive ...`):
    the report counts by what stands before the first colon.
    `skipped(reason)` counts a row that is no document. `stopping()` is true once the run was asked to stop.
    `mask(row)` takes personal data out; the reader applies it before a row is kept anywhere.
    `workers` is how many processes may parse. `start` is for sources that say `resumes`: how many items (rows yielded and calls of
    `failed`) are known already and are to be left out.
    """

    workspace: Path
    scratch: Path
    say: Say
    failed: Callable[[str, str], None]
    skipped: Callable[[str], None]
    stopping: Callable[[], bool]
    mask: Callable[[Row], Row] = _same
    workers: int = 1
    start: int = 0


class Source(BaseModel):
    """What every source says of itself. A kind sets `kind: Literal["name"]`, its fields, and the methods below."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    resumes: ClassVar[bool] = False
    """Whether `rows` costs enough to be kept in scratch while it is read, and then leaves out the first `reading.start` items."""

    name: str = Field(min_length=1, description="Name of the source; part of every document's id.")
    label: str = Field("", description="Label of every row, written to meta.label.")
    license: str = Field("", description="Licence of the text, kept with every document.")
    language: str = Field("", description="Language of the text when it is known, such as zh or en.")
    limit: int = Field(0, ge=0, description="Take the first so many documents; 0 takes all.")

    def check(self, workspace: Path) -> list[str]:
        """Faults that can be told before reading, one sentence each. Touches no network."""
        return []

    def fingerprint(self, workspace: Path) -> str | None:
        """What identifies the content now; None when only reading it can tell, and then the step always runs."""
        return None

    def size(self, workspace: Path) -> int:
        """About how many bytes there are to read; 0 where nobody can say."""
        return 0

    @abstractmethod
    def rows(self, reading: Reading) -> Iterator[Row]:
        """The source's rows in a stable order, with memory that does not grow with the source."""


class Located(Source):
    """A source that is one file or folder: a `path` in the workspace, or a `file` of a `sample`."""

    path: str = Field("", description="File or folder, relative to the workspace.")
    sample: str = Field("", description="Name of a sample (see: sapwood samples list), instead of a path.")
    file: str = Field("", description="File of the sample, or a folder where the kind reads folders.")

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if bool(self.path) == bool(self.sample):
            raise ValueError("give either path, or sample and file")
        if bool(self.sample) != bool(self.file):
            raise ValueError("sample and file go together")
        return self

    def check(self, workspace: Path) -> list[str]:
        try:
            if not self.sample:
                place(self, workspace)
            elif not sample_entry(self.sample).holds(self.file):
                return [f"source {self.name}: sample {self.sample} has no file {self.file}; {_files_of(self.sample)}"]
        except SapwoodError as fault:
            return [f"{fault.what}; {fault.next_step}" if fault.next_step else fault.what]
        return []

    def fingerprint(self, workspace: Path) -> str | None:
        return samples.fingerprint(self.sample) if self.sample else file_sha256(place(self, workspace))

    def size(self, workspace: Path) -> int:
        if self.sample:
            return samples.entry_of(self.sample).bytes
        found = workspace / self.path
        return found.stat().st_size if found.is_file() else 0


class Encoded(Located):
    """One text file, packed or not, whose encoding is found by evidence unless it is said."""

    encoding: str = Field("", description="Encoding, such as big5 or cp1251; empty finds it by evidence.")

    @field_validator("encoding")
    @classmethod
    def _known(cls, encoding: str) -> str:
        return known_encoding(encoding)


def known_encoding(encoding: str) -> str:
    """The encoding's name as it was given. Raises `ValueError` where Python has no such text codec."""
    from sapwood.text import decode

    if encoding and not decode.known(encoding):
        raise ValueError(f"no encoding is called {encoding!r}; try utf-8, gb18030, big5, cp932, cp949, cp1252")
    return encoding


class Placed(Protocol):
    """A source with a `path` in the workspace."""

    @property
    def name(self) -> str: ...
    @property
    def path(self) -> str: ...


def place(source: Placed, workspace: Path, folder: bool = False) -> Path:
    """The local file (or folder) of a `path` source. Raises `InputError` when it is missing or leaves the workspace."""
    if PurePosixPath(source.path).is_absolute() or ".." in PurePosixPath(source.path).parts:
        raise InputError(f"source {source.name}: {source.path} is not inside the workspace", "give a path relative to the workspace")
    root, found = workspace.resolve(), (workspace / source.path).resolve()
    if not found.exists():
        raise InputError(f"source {source.name}: no such file: {source.path}", "paths are relative to the workspace")
    if not found.is_relative_to(root):
        raise InputError(f"source {source.name}: {source.path} is a link that leaves the workspace", "copy the file into the workspace")
    if found.is_dir() != folder:
        raise InputError(f"source {source.name}: {source.path} is not {'a folder' if folder else 'a file'}", "check path and kind")
    return found


def locate(source: Located, reading: Reading, folder: bool = False) -> Path:
    """The file or folder to read, fetched first if it is a sample."""
    if not source.sample:
        return place(source, reading.workspace, folder)
    if not sample_entry(source.sample).holds(source.file):
        raise InputError(f"source {source.name}: sample {source.sample} has no file {source.file}", _files_of(source.sample))
    found = samples.fetch(source.sample, reading.say) / source.file
    if not found.exists() or found.is_dir() != folder:
        what = "a folder" if folder else "a file"
        raise InputError(f"source {source.name}: {source.file} of sample {source.sample} is not {what}", "check file and kind")
    return found


def changed_at(source: Located, path: Path) -> str:
    """UTC ISO time of the file's last change; empty for samples, whose time would be that of the download."""
    return "" if source.sample else datetime.fromtimestamp(int(path.stat().st_mtime), UTC).isoformat()


def unique(found: Iterator[Row], path: Path) -> Iterator[Row]:
    """The rows; `InputError` when a locator comes twice. 16 bytes a row are kept."""
    from sapwood.text import rows

    seen: set[bytes] = set()
    for row in found:
        key = bytes.fromhex(rows.document_id("", row.locator))
        if key in seen:
            raise InputError(f"{path.name}: the id {row.locator!r} is used twice", "name a column that identifies a row, or leave it empty")
        seen.add(key)
        yield row


def _files_of(sample: str) -> str:
    return f"its files are {sample_entry(sample).shown()}"
