"""Blobs: file contents by sha256, each stored once and read-only.

A payload is first staged (linked or copied into a leased folder of tmp, hashed, fsynced), then adopted (renamed into place).
Files of the store's own scratch are linked, so a large model costs one reading; files from elsewhere are copied, so that
nobody's own files are moved, or shared with something that can still write to them.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from sapwood.artifact import CHUNK, Artifact, Entry, payload_files
from sapwood.errors import Corrupt, InputError
from sapwood.store.layout import Layout, checked_payload_path, sync_folder


@dataclass(frozen=True)
class Staged:
    """A payload file whose bytes are on the disk under a temporary name."""

    entry: Entry
    path: Path


def stage(layout: Layout, folder: Path, staging: Path) -> list[Staged]:
    """Stage every file of a payload folder, sorted by path."""
    if not folder.is_dir() or folder.is_symlink():
        raise InputError(f"{folder}: not a folder", "a payload is a folder of files")
    ours = owned(layout, folder)
    files = [(checked_payload_path(name), path) for name, path in payload_files(folder)]
    return [_stage_file(name, path, staging / str(number), ours) for number, (name, path) in enumerate(files)]


def owned(layout: Layout, folder: Path) -> bool:
    """Whether a folder lies in this store's scratch, so that its files may be taken over."""
    return folder.resolve().is_relative_to(layout.root / "work")


def _stage_file(name: str, source: Path, staged: Path, ours: bool) -> Staged:
    if not (ours and os.stat(source).st_nlink == 1 and _link(source, staged)):
        size, sha256 = _copy(source, staged)
        return Staged(Entry(name, size, sha256), staged)
    with staged.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        size = stream.tell()
        os.fsync(stream.fileno())
    return Staged(Entry(name, size, sha256), staged)


def _link(source: Path, staged: Path) -> bool:
    """Hard-link, if the file system can."""
    try:
        os.link(source, staged)
    except OSError:
        return False  # another device, or no links here: the caller copies, which reports what is really wrong
    return True


def _copy(source: Path, target: Path) -> tuple[int, str]:
    """Copy and hash in one reading: (bytes, hex sha256)."""
    hasher, size = hashlib.sha256(), 0
    with source.open("rb") as reading, target.open("xb") as writing:
        while piece := reading.read(CHUNK):
            hasher.update(piece)
            writing.write(piece)
            size += len(piece)
        writing.flush()
        os.fsync(writing.fileno())
    return size, hasher.hexdigest()


def adopt(layout: Layout, staged: list[Staged]) -> None:
    """Rename staged files to their blob names; the names are on the disk when this returns. Hold the writers' lock."""
    folders: set[Path] = set()
    for item in staged:
        target = layout.blob(item.entry.sha256)
        folders |= {target.parent, target.parent.parent}  # also of a blob found there: whoever made it may not have synced yet
        if _size(target) == item.entry.size:
            os.unlink(item.path)
            continue
        target.parent.mkdir(exist_ok=True)
        os.chmod(item.path, 0o444)
        os.replace(item.path, target)
    for folder in sorted(folders):
        sync_folder(folder)


def _size(path: Path) -> int | None:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return None


def check(layout: Layout, artifact: Artifact, entry: Entry) -> Path:
    """The blob of a payload file, present and of the right size, or `Corrupt`."""
    path = layout.blob(entry.sha256)
    size = _size(path)
    if size is None:
        raise Corrupt(f"{artifact}: the bytes of {entry.path} are gone ({entry.sha256[:12]})", "sapwood store verify")
    if size != entry.size:
        raise Corrupt(f"{artifact}: {entry.path} has {size:,} bytes instead of {entry.size:,}", "sapwood store verify")
    return path
