"""Take named files and folders out of an archive (zip, tar, Debian package) in one pass, and nothing else.

No member decides where it is written: names come from the table of samples, and names below a folder are refused if they leave it.
Links, devices and hard links are never made. Caps hold against archives that state less than they hold: members, files, bytes a file,
bytes in total. Nothing of a package is run: `dpkg-deb --fsys-tarfile` prints the tar inside a Debian package and has no scripts.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import subprocess
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from sapwood.artifact import CHUNK
from sapwood.errors import InputError, ResourceError
from sapwood.samples.table import Sample, Tree

LARGEST_FILE = 2 << 30
LARGEST_TOTAL = 4 << 30
MOST_MEMBERS = 200_000
DEB = b"!<arch>\n"


class Member(NamedTuple):
    """One entry of an archive. `opened` gives its bytes and must be used before the next entry is asked for."""

    path: str
    plain: bool
    folder: bool
    size: int
    opened: Callable[[], IO[bytes]]


@dataclass
class Taken:
    """What was written: sha256 by path below the sample's folder; and how many links were left out."""

    digests: dict[str, str] = field(default_factory=dict)
    links: int = 0
    bytes: int = 0


def unpack(sample: Sample, archive: Path, ready: Path) -> Taken:
    """Write the sample's files and folders into the existing folder `ready`.

    Raises `InputError`: a file that is missing or no plain file, a name that leaves its folder, a cap passed, a broken archive.
    """
    for inside in (*sample.files, *(tree.root for tree in sample.folders.values())):
        check_path(inside)
    taken, wanted = Taken(), dict(sample.files)
    with members(archive) as found:
        for member in found:
            name = member.path.removeprefix("./").rstrip("/")
            if name in wanted:
                if not member.plain:
                    raise InputError(f"{archive.name}: {name} is not a plain file", "links and devices are never extracted")
                _take(archive, member, ready, wanted.pop(name), taken)
            else:
                _into_folders(sample.folders, archive, member, name, ready, taken)
    if wanted:
        raise InputError(f"{archive.name} has no file {min(wanted)}", "the table of samples and the archive disagree")
    for folder, tree in sample.folders.items():
        if not any(name.startswith(f"{folder}/") for name in taken.digests):
            raise InputError(f"{archive.name} has no file below {tree.root}", "the table of samples and the archive disagree")
    return taken


def _into_folders(folders: dict[str, Tree], archive: Path, member: Member, name: str, ready: Path, taken: Taken) -> None:
    for folder, tree in folders.items():
        below = name.removeprefix(f"{tree.root}/")
        if below == name or member.folder or not any(fnmatchcase(below, glob) for glob in tree.globs):
            continue
        check_path(below)
        if member.plain:
            _take(archive, member, ready, f"{folder}/{below}", taken)
        else:
            taken.links += 1


def check_path(inside: str) -> None:
    """Raises `InputError` for a path that could lie outside the folder it is meant for."""
    path = PurePosixPath(inside)
    if not path.parts or path.is_absolute() or ".." in path.parts or "\\" in inside or not inside.isprintable():
        raise InputError(f"{inside!r} leaves the archive", "do not use it; mend the table of samples if the path stands there")


def spec(tree: Tree) -> str:
    """A digest of what a folder takes, so that a changed table is noticed."""
    return hashlib.sha256(json.dumps(tree.model_dump(), sort_keys=True).encode()).hexdigest()


def peek(archive: Path, inside: str, most: int) -> str:
    """The first `most` bytes of one plain file as text; empty when the archive has no such file."""
    with members(archive) as found:
        for member in found:
            if member.plain and member.path.removeprefix("./") == inside:
                with member.opened() as stream:
                    return stream.read(most).decode("utf-8", "replace")
    return ""


def _take(archive: Path, member: Member, ready: Path, local: str, taken: Taken) -> None:
    if member.size > LARGEST_FILE:
        raise InputError(
            f"{archive.name}: {member.path} says it holds {member.size} bytes, the limit is {LARGEST_FILE}", "do not use this archive"
        )
    taken.bytes += member.size
    if taken.bytes > LARGEST_TOTAL:
        raise InputError(f"{archive.name}: its files hold more than {LARGEST_TOTAL} bytes together", "do not use this archive")
    if local in taken.digests:
        raise InputError(f"{archive.name}: {member.path} is in it twice", "do not use this archive")
    target = ready / local
    target.parent.mkdir(parents=True, exist_ok=True)
    hasher, copied = hashlib.sha256(), 0
    with member.opened() as stream, target.open("xb") as out:
        while piece := stream.read(CHUNK):
            copied += len(piece)
            if copied > member.size:  # a header may understate what follows
                raise InputError(f"{member.path} holds more than the {member.size} bytes its archive states", "do not use this archive")
            hasher.update(piece)
            out.write(piece)
        out.flush()
        os.fsync(out.fileno())
    taken.digests[local] = hasher.hexdigest()


# --------------------------------------------------------------------------- archives


@contextmanager
def members(archive: Path) -> Iterator[Iterator[Member]]:
    """The entries of a zip, tar or Debian package in their order. Raises `InputError` for a broken one or one with too many."""
    try:
        with archive.open("rb") as opened:
            start = opened.read(len(DEB))
        if start == DEB:
            with _fsys_tar(archive) as stream, tarfile.open(fileobj=stream, mode="r|") as tarred:
                yield _counted(archive, _tar(tarred))
        elif zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as zipped:
                yield _counted(archive, _zip(zipped))
        else:
            with tarfile.open(archive, "r|*") as tarred:
                yield _counted(archive, _tar(tarred))
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, RuntimeError) as fault:
        raise InputError(f"{archive.name} cannot be unpacked ({fault})", "fetch it again") from fault


def _counted(archive: Path, found: Iterator[Member]) -> Iterator[Member]:
    for number, member in enumerate(found, 1):
        if number > MOST_MEMBERS:
            raise InputError(f"{archive.name} has more than {MOST_MEMBERS} members", "do not use this archive")
        yield member


def _zip(zipped: zipfile.ZipFile) -> Iterator[Member]:
    for info in zipped.infolist():
        plain = not info.is_dir() and stat.S_IFMT(info.external_attr >> 16) in (0, stat.S_IFREG)
        yield Member(info.filename, plain, info.is_dir(), info.file_size, partial(zipped.open, info))


def _tar(tarred: tarfile.TarFile) -> Iterator[Member]:
    for info in tarred:
        yield Member(info.name, info.isreg(), info.isdir(), info.size, partial(_stream, tarred, info))
        tarred.members.clear()  # type: ignore[attr-defined]  # the list would grow with the archive


def _stream(tarred: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    stream = tarred.extractfile(info)
    assert stream is not None
    return stream


@contextmanager
def _fsys_tar(archive: Path) -> Iterator[IO[bytes]]:
    command = shutil.which("dpkg-deb")
    if command is None:
        raise ResourceError(
            f"{archive.name}: this machine has no dpkg-deb, which opens Debian packages", "install dpkg, or fetch on Debian"
        )
    with subprocess.Popen([command, "--fsys-tarfile", str(archive)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as running:
        assert running.stdout is not None
        try:
            yield running.stdout
        finally:
            running.stdout.close()
            running.terminate()
