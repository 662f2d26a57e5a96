"""Artifacts: finished, immutable things in the store, named by kind and content digest.

An `Artifact` is a reference. Its payload is a folder of files that `Work.path` opens. The digest covers the
kind, the kind's schema version and the sorted (path, size, sha256) of the payload: no time, host, run or path.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from sapwood.errors import InputError

CHUNK = 1 << 20


@dataclass(frozen=True)
class Artifact:
    """A reference to a stored payload. `digest` is 64 hex characters."""

    digest: str
    kind: ClassVar[str] = ""
    schema: ClassVar[int] = 1

    @property
    def short(self) -> str:
        return self.digest[:12]

    def __str__(self) -> str:
        return f"{self.kind}:{self.short}"


@dataclass(frozen=True)
class Documents(Artifact):
    """Rows of text with provenance: `rows-00000.parquet`, ... in the columns of `sapwood.text.rows.DOCUMENTS`."""

    kind = "documents"
    schema = 2


@dataclass(frozen=True)
class Examples(Artifact):
    """Documents with a label: `rows-00000.parquet`, ... in the columns of `sapwood.text.rows.EXAMPLES`."""

    kind = "examples"
    schema = 2


@dataclass(frozen=True)
class Tokenizer(Artifact):
    """`tokenizer.json` (Hugging Face tokenizers) and `tokenizer_config.json`."""

    kind = "tokenizer"


@dataclass(frozen=True)
class Tokens(Artifact):
    """Packed token shards with document starts and ids."""

    kind = "tokens"


@dataclass(frozen=True)
class Model(Artifact):
    """A Hugging Face model folder (`config.json`, `model.safetensors`, `tokenizer.json`) and `sapwood.json`."""

    kind = "model"


@dataclass(frozen=True)
class Report(Artifact):
    """`report.json`: numbers for programs and blocks for people (see `sapwood.report`); verdicts and parity too."""

    kind = "report"


@dataclass(frozen=True)
class Bundle(Artifact):
    """A deployable package: `bundle.json`, the engine's model file, `tokenizer.json`."""

    kind = "bundle"


@dataclass(frozen=True)
class Index(Artifact):
    """A retrieval index."""

    kind = "index"


KINDS: dict[str, type[Artifact]] = {cls.kind: cls for cls in (Documents, Examples, Tokenizer, Tokens, Model, Report, Bundle, Index)}


@dataclass(frozen=True)
class Entry:
    """One payload file: `path` relative with `/`, `size` in bytes, `sha256` in hex."""

    path: str
    size: int
    sha256: str


def reference(kind: str, digest: str) -> Artifact:
    """The typed reference for a stored kind name."""
    try:
        return KINDS[kind](digest)
    except KeyError:
        raise InputError(f"unknown artifact kind {kind!r}", f"kinds are {', '.join(sorted(KINDS))}") from None


def file_sha256(path: Path) -> str:
    """Hex sha256 of a file, read in 1 MiB pieces."""
    hasher = hashlib.sha256()
    with path.open("rb") as stream:
        while piece := stream.read(CHUNK):
            hasher.update(piece)
    return hasher.hexdigest()


def payload_files(folder: Path) -> Iterator[tuple[str, Path]]:
    """(relative path, file) of every payload file, sorted. Links and special files are refused."""
    found: list[tuple[str, Path]] = []
    for base, folders, files in os.walk(folder, followlinks=False):
        for name in [*folders, *files]:
            path = Path(base) / name
            if path.is_symlink() or not (path.is_dir() or path.is_file()):
                raise InputError(f"{path}: only plain files and folders can be stored", "copy the file itself there")
        found.extend(((Path(base) / name).relative_to(folder).as_posix(), Path(base) / name) for name in files)
    yield from sorted(found)


def scan(folder: Path) -> tuple[Entry, ...]:
    """The entries of a payload folder, sorted by path."""
    return tuple(Entry(name, path.stat().st_size, file_sha256(path)) for name, path in payload_files(folder))


def digest_of(kind: type[Artifact], entries: tuple[Entry, ...]) -> str:
    """The artifact digest. Stable across machines: it sees names, sizes and contents only."""
    hasher = hashlib.sha256(f"sapwood-artifact\0{kind.kind}\0{kind.schema}\0".encode())
    for entry in sorted(entries, key=lambda e: e.path):
        hasher.update(f"{entry.path}\0{entry.size}\0{entry.sha256}\0".encode())
    return hasher.hexdigest()
