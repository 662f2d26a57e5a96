"""Where things lie in a local store, and how bytes reach the disk so that a kill leaves the old state or the new one.

    sapwood.db              runs, results, model versions, deployments, cycles (SQLite): the truth; and the index of artifacts
    manifests/<digest>.json one finished artifact; its rename is the commit
    blobs/ab/<sha256>       file contents, read-only, each once
    views/<digest>/         payload folders made of hard links to blobs, built on open, can be removed at any time
    results/<key>.json      the results of a step key, a copy of the database's rows for `reindex`
    work/<key>/             scratch of a step, survives a kill
    runs/<id>/              what a run leaves beside its record
    studies/<id>/           a study's settings, its sampler's database and its report
    keys/                   the Ed25519 key that signs verdicts
    leases/                 the lock between gc and writers, and who works on which scratch
    tmp/                    staging; nothing in it is part of the store
    aside/                  corrupt blobs that were set aside

Does not hold on network file systems: it counts on atomic rename, hard links and flock of one host's local disk.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sapwood.errors import InputError, ResourceError, StoreError

FOLDERS = ("blobs", "manifests", "views", "results", "work", "runs", "keys", "leases", "tmp", "aside")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True)
class Layout:
    """The paths of one store. Every name is checked, so no path leaves `root`."""

    root: Path

    @property
    def database(self) -> Path:
        return self.root / "sapwood.db"

    @property
    def manifests(self) -> Path:
        return self.root / "manifests"

    @property
    def tmp(self) -> Path:
        return self.root / "tmp"

    def blob(self, sha256: str) -> Path:
        return self.root / "blobs" / checked_digest(sha256)[:2] / sha256

    def manifest(self, digest: str) -> Path:
        return self.manifests / f"{checked_digest(digest)}.json"

    def view(self, digest: str) -> Path:
        return self.root / "views" / checked_digest(digest)

    def result(self, key: str) -> Path:
        return self.root / "results" / f"{checked_name(key)}.json"

    def work(self, key: str) -> Path:
        return self.root / "work" / checked_name(key)

    def run(self, run: str) -> Path:
        return self.root / "runs" / checked_name(run)

    @property
    def writers(self) -> Path:
        """The lock file that writers share and gc takes alone."""
        return self.root / "leases" / "writers.lock"

    def temporary(self, label: str) -> Path:
        """A fresh name in tmp; nothing is created."""
        return self.tmp / f"{label}-{secrets.token_hex(8)}"

    def create(self) -> None:
        with disk_faults(self.root):
            for name in FOLDERS:
                (self.root / name).mkdir(mode=0o700 if name == "keys" else 0o777, parents=True, exist_ok=True)


def checked_digest(digest: str) -> str:
    """The digest, if it is 64 lowercase hex characters."""
    if not _DIGEST.fullmatch(digest):
        raise InputError(f"{digest!r} is not a digest", "a digest is 64 characters of 0-9 and a-f; see sapwood store list")
    return digest


def checked_name(name: str) -> str:
    """A key or run id that is safe as one file name."""
    if not _NAME.fullmatch(name) or ".." in name:
        raise InputError(f"{name!r} cannot be a name in the store", "use letters, digits, dot, dash and underscore")
    return name


def checked_payload_path(path: str) -> str:
    """A payload path that stays inside its folder, reads the same on every system, and fits in a manifest."""
    parts = path.split("/")
    bad = any(part in ("", ".", "..") for part in parts) or "\\" in path or any(ord(c) < 32 or ord(c) == 127 for c in path)
    try:
        bad = bad or max(len(part.encode()) for part in parts) > 255
    except UnicodeEncodeError:
        bad = True
    if bad:
        raise InputError(f"{path!r} cannot be a payload path", "rename the file: no .., backslash, control or non-UTF-8 characters")
    return path


@contextmanager
def disk_faults(root: Path) -> Iterator[None]:
    """Turn the disk's errors into Sapwood's."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise disk_full(root, str(error.filename or root)) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            where = error.filename or root
            raise StoreError(f"{where}: the store cannot be written ({error.strerror})", f"check who owns {root}") from error
        raise


def disk_full(root: Path, where: str) -> ResourceError:
    """The error for a full disk, with what is free."""
    free = shutil.disk_usage(root).free if root.exists() else 0
    return ResourceError(f"{where}: the disk is full ({free / 1e6:,.1f} MB free)", "free some space, or run: sapwood store gc")


def sync_file(path: Path) -> None:
    """Bytes of a file are on the disk when this returns."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


sync_folder = sync_file
"""Names in a folder are on the disk when this returns."""


def write_durably(layout: Layout, target: Path, content: bytes, mode: int = 0o444) -> None:
    """Replace `target` in one step: temporary file, fsync, rename, fsync of the folder."""
    temporary = layout.temporary("write")
    with disk_faults(layout.root):
        try:
            handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as stream:
                stream.write(content)
                stream.flush()
                os.fchmod(stream.fileno(), mode)
                os.fsync(stream.fileno())
            os.replace(temporary, target)
            sync_folder(target.parent)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def remove_tree(path: Path) -> None:
    """Remove a file or a folder, read-only ones too; nothing there is fine."""
    if not path.is_dir() or path.is_symlink():
        path.unlink(missing_ok=True)
        return
    for base, folders, _ in os.walk(path):
        for name in [base, *(os.path.join(base, folder) for folder in folders)]:
            if not os.path.islink(name) and not os.stat(name).st_mode & stat.S_IWUSR:
                os.chmod(name, 0o700)
    shutil.rmtree(path, ignore_errors=False)


def tree_size(path: Path) -> tuple[int, int]:
    """(files, bytes) that removing a path gives back: a file with another hard link gives none."""
    if path.is_dir() and not path.is_symlink():
        found = [os.lstat(os.path.join(base, name)) for base, _, files in os.walk(path) for name in files]
    else:
        found = [path.lstat()]
    return len(found), sum(status.st_size for status in found if status.st_nlink == 1)
