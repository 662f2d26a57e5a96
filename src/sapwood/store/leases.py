"""Leases: an advisory lock (flock) on a folder or file that says somebody alive is using it.

The kernel lets go of the lock when its last holder dies, however it dies, so a lease needs no clock, no heartbeat and no
cleaning up, and it holds between containers that share the disk. A folder that was removed and made again is another
folder: the old lease says nothing about it. Does not hold between hosts (see `layout`).
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_held: dict[Path, int] = {}
"""Leases of this process that last until it ends, or until `let_go`: path -> open descriptor."""


def _lock(path: Path, mode: int) -> int | None:
    """A descriptor that holds the lock on what `path` names now; None when somebody else has it or nothing is there."""
    while True:
        try:
            handle = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(handle, mode)
            if os.path.samestat(os.fstat(handle), os.stat(path)):
                return handle
        except BlockingIOError:
            os.close(handle)
            return None
        except FileNotFoundError:
            pass
        os.close(handle)  # replaced while we waited: the lock is on something that is gone


@contextmanager
def locked(path: Path, shared: bool = False) -> Iterator[None]:
    """Hold the lock file `path`, waiting for it. Many may share it; one alone has it otherwise."""
    path.touch(exist_ok=True)
    handle = _lock(path, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
    assert handle is not None, f"{path} was removed while waiting for it"
    try:
        yield
    finally:
        os.close(handle)


@contextmanager
def leased(folder: Path) -> Iterator[None]:
    """Create `folder` and hold its lease meanwhile."""
    folder.mkdir(parents=True)
    handle = _lock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert handle is not None, f"{folder} is new and yet taken"
    try:
        yield
    finally:
        os.close(handle)


def hold(folder: Path) -> bool:
    """Create `folder` where needed and keep its lease until this process ends. False: another process has it."""
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        known = _held.get(folder)
        if known is not None:
            if os.path.samestat(os.fstat(known), os.stat(folder)):
                return True
            os.close(_held.pop(folder))
        handle = _lock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if handle is not None:
            _held[folder] = handle
            return True
        if folder.exists():
            return False


def let_go(folder: Path) -> None:
    """End a lease of `hold`; none held is fine."""
    handle = _held.pop(folder, None)
    if handle is not None:
        os.close(handle)


@contextmanager
def unused(path: Path) -> Iterator[bool]:
    """True when nobody alive holds `path`; nobody can take it meanwhile."""
    handle = None if path in _held else _lock(path, fcntl.LOCK_EX | fcntl.LOCK_NB)
    try:
        yield handle is not None
    finally:
        if handle is not None:
            os.close(handle)
