"""Documents of a folder, one a file: text, Markdown, HTML, PDF, Word and epub, each packed or not. Links are not followed.

A file that cannot be read is one recorded failure and the next is read. A file of another type that the glob matches is counted by its
ending as left out. Memory: about 300 bytes a file for the list of them, and the documents that are being parsed.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterator
from fnmatch import fnmatch
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import ClassVar, Literal, NamedTuple, Self

from pydantic import Field, field_validator, model_validator

from sapwood.artifact import file_sha256
from sapwood.errors import InputError, SapwoodError
from sapwood.samples import fetch as samples
from sapwood.samples.table import sample as sample_entry
from sapwood.text.formats import compressed
from sapwood.text.formats.children import Children, Failed
from sapwood.text.formats.document import SUFFIXES, Job, Limits, Parsed, format_of, missing
from sapwood.text.sources.source import Located, Reading, Row, Say, changed_at, known_encoding, place

OTHER = "other type"
MOST_ENDINGS = 20
"""Endings of other types that are counted by themselves, the commonest first; the rest are counted together."""
ENDING = re.compile(r"(\.[a-z0-9_]{1,12}){1,2}")
"""What counts as an ending. A name with a dot in it, such as `Mr. Smith`, has none."""


class Member(NamedTuple):
    """One entry of the folder. `why` says what keeps it from being read; empty for a plain file."""

    inside: str
    file: Path
    why: str = ""


class Folder(NamedTuple):
    """`members`: the files of a known kind, sorted; `others`: reason to number of the files of other types, sorted by reason."""

    members: list[Member]
    others: dict[str, int]


class Files(Located):
    """One document a file of a folder. Links are not followed."""

    resumes: ClassVar[bool] = True

    kind: Literal["files"] = Field("files", description="The .txt, .md, .html, .pdf, .docx and .epub files of a folder, packed or not.")
    glob: str = Field("*", description="Which files, by their path in the folder; * also crosses folders.")
    encoding: str = Field("", description="Encoding of text and HTML, such as big5 or cp1251; empty finds it by evidence.")
    max_mb: int = Field(200, ge=1, le=2000, description="Largest file, unpacked, in MB; a larger one is a recorded failure.")
    max_pages: int = Field(20_000, ge=1, description="Most pages of one PDF.")
    max_seconds: float = Field(60, gt=0, le=3600, description="Longest time to parse one file, in seconds.")

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if bool(self.path) == bool(self.sample):
            raise ValueError("give either path, or sample (and file, for one file of it)")
        if self.file and not self.sample:
            raise ValueError("file goes with sample; give path alone")
        return self

    @field_validator("encoding")
    @classmethod
    def _known(cls, encoding: str) -> str:
        return known_encoding(encoding)

    def check(self, workspace: Path) -> list[str]:
        try:
            if self.sample:
                _check_sample(self)
                return []
            found = entries(self, root_of(self, workspace)).members
            absent = missing({format_of(one.inside) for one in found}, {one.inside for one in found})
        except SapwoodError as fault:
            return [f"{fault.what}; {fault.next_step}" if fault.next_step else fault.what]
        return [f"source {self.name}: {absent.what}; {absent.next_step}"] if absent else []

    def fingerprint(self, workspace: Path) -> str | None:
        if self.sample:
            return samples.fingerprint(self.sample)
        hasher = hashlib.sha256()
        found = entries(self, root_of(self, workspace))
        for one in found.members:
            hasher.update(f"{one.inside}\0{one.why or _digest(one.file)}\0".encode())
        for reason, number in found.others.items():  # the report counts them
            hasher.update(f"{reason}\0{number}\0".encode())
        return hasher.hexdigest()

    def size(self, workspace: Path) -> int:
        if self.sample:
            return sample_entry(self.sample).bytes
        return sum(one.file.stat().st_size for one in entries(self, root_of(self, workspace)).members if not one.why)

    def rows(self, reading: Reading) -> Iterator[Row]:
        found, others = entries(self, root_of(self, reading.workspace, reading.say))
        if absent := missing({format_of(one.inside) for one in found}, {one.inside for one in found}):
            raise absent
        if not reading.start:  # else the journal has them, before the first item
            for reason in (reason for reason, number in others.items() for _ in range(number)):
                reading.skipped(reason)
        limits = Limits(self.max_mb * 1_000_000, self.max_pages, self.max_seconds)
        with Children(reading.workers, limits) as children:
            for one, answer in children.answers((one, self._job(one)) for one in islice(found, reading.start, None)):
                if isinstance(answer, Failed):
                    reading.failed(one.inside, answer.why.removeprefix(f"{one.file.name}: "))
                else:
                    yield self._row(one, answer)

    def _job(self, one: Member) -> Job | Failed:
        if one.why:
            return Failed(one.why)
        try:
            size = one.file.stat().st_size
        except OSError as fault:
            return Failed(f"cannot be read: {fault.strerror}")
        if size > self.max_mb * 1_000_000:
            return Failed(f"too large: {size} bytes, the limit is {self.max_mb} MB (max_mb)")
        return Job(format_of(one.inside), one.file.name, str(one.file), forced=self.encoding)

    def _row(self, one: Member, parsed: Parsed) -> Row:
        meta = {**parsed.meta, **({"title": parsed.title} if parsed.title else {}), "path": one.inside}
        return Row(one.inside, parsed.text, meta, language=parsed.language, collected_at=changed_at(self, one.file))


def entries(source: Files, root: Path) -> Folder:
    """The files that match, those of a known kind sorted by their path in the folder; or the one file that the root is.

    Links are listed with the reason why they are not read. Raises `InputError` when nothing matches.
    """
    if root.is_file():
        if not format_of(root.name):
            raise InputError(f"source {source.name}: {root.name} is not one of {', '.join(SUFFIXES)}", "use another kind, such as lines")
        return Folder([Member(root.name, root)], {})
    found: list[Member] = []
    others: Counter[str] = Counter()
    for base, folders, names in os.walk(root, followlinks=False):
        for name in folders:
            if (file := Path(base) / name).is_symlink():
                found.append(Member(_inside(file, root), file, _link(file, root)))
        for name in names:
            if not fnmatch(inside := _inside(file := Path(base) / name, root), source.glob):
                continue
            if format_of(name):
                why = _link(file, root) if file.is_symlink() else "" if file.is_file() else "not a plain file: a pipe, socket or device"
                found.append(Member(inside, file, why))
            else:
                others[_ending(name)] += 1
    if not any(format_of(one.inside) for one in found):
        known = ", ".join(SUFFIXES)
        raise InputError(
            f"source {source.name}: no file ({known}) matches {source.glob} in {source.path or source.sample}", "check path and glob"
        )
    return Folder(sorted(found), _bounded(others))


def _ending(name: str) -> str:
    """The ending that says what a file is, with that of its packing, in small letters; "" where it says nothing."""
    path = PurePosixPath(name.lower())
    packed = path.suffix if path.suffix in compressed.SUFFIXES else ""
    ending = PurePosixPath(name.lower().removesuffix(packed)).suffix + packed
    return ending if ENDING.fullmatch(ending) else ""


def _bounded(endings: Counter[str]) -> dict[str, int]:
    """Reason to number, at most `MOST_ENDINGS` and one reasons, whatever order the folder was listed in."""
    ranked = sorted(((number, ending) for ending, number in endings.items() if ending), key=lambda one: (-one[0], one[1]))
    told = {f"{OTHER}: {ending}": number for number, ending in ranked[:MOST_ENDINGS]}
    if rest := endings.total() - sum(told.values()):
        told[OTHER] = rest
    return dict(sorted(told.items()))


def root_of(source: Files, workspace: Path, say: Say = lambda _: None) -> Path:
    """The file or folder to read. A sample is fetched first."""
    if not source.sample:
        return place(source, workspace, folder=(workspace / source.path).is_dir())
    _check_sample(source)
    root = samples.fetch(source.sample, say) / source.file
    if not root.exists():
        raise InputError(f"source {source.name}: sample {source.sample} has no {source.file}", "see its folder in the cache of samples")
    return root


def _check_sample(source: Files) -> None:
    entry = sample_entry(source.sample)
    if source.file and not entry.holds(source.file):
        raise InputError(f"source {source.name}: sample {source.sample} has no {source.file}", f"it has {entry.shown()}")


def _inside(file: Path, root: Path) -> str:
    """The path in the folder with `/`; bytes of a name that are no UTF-8 are written as escapes, so that every path is text."""
    return os.fsencode(file.relative_to(root).as_posix()).decode("utf-8", "backslashreplace")


def _link(file: Path, root: Path) -> str:
    try:
        target = file.resolve(strict=True)
    except (OSError, RuntimeError):
        return "link: it leads nowhere, or in a circle"
    return "link: not followed; its target is read at its own place" if target.is_relative_to(root) else "link: it leaves the folder"


def _digest(file: Path) -> str:
    try:
        return file_sha256(file)
    except OSError as fault:
        return f"unreadable: {fault.strerror}"
