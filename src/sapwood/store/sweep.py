"""gc: give back the space of what nothing names any more.

It removes blobs that no manifest names and that are older than asked, what killed processes left in tmp, scratch of steps
with a result, views of missing manifests, and old blobs that were set aside. It takes the writers' lock alone, so no put
can decide to use a blob while it is being removed, and it touches nothing whose lease somebody alive holds.
It never removes an artifact, nor scratch of an unfinished step: that is what lets a killed training continue.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from sapwood.errors import Corrupt
from sapwood.store import manifests, views
from sapwood.store.layout import Layout, remove_tree, tree_size
from sapwood.store.leases import locked, unused

TMP_S = 3600
"""Nothing in tmp that was touched within the hour is removed, whatever age was asked: a writer may be about to rename it."""


def sweep(layout: Layout, finished: Callable[[str], bool], older_than_s: float, dry_run: bool) -> tuple[int, int]:
    """(files, bytes) given back, or that would be. `finished` tells whether a step key has a result."""
    files = size = 0
    with locked(layout.writers), locked(views.lock(layout)):
        for path in _removable(layout, finished, time.time() - older_than_s):
            with unused(path) as free:
                if not free:
                    continue
                freed = tree_size(path)
                files, size = files + freed[0], size + freed[1]
                if not dry_run:
                    remove_tree(path)
    return files, size


def _removable(layout: Layout, finished: Callable[[str], bool], before: float) -> Iterator[Path]:
    named = _named(layout)
    for folder in _inside(layout.root / "blobs"):
        yield from (path for path in _untouched(folder, before) if path.name not in named)
    yield from _untouched(layout.tmp, min(before, time.time() - TMP_S))
    yield from _untouched(layout.root / "aside", before)
    yield from (path for path in _inside(layout.root / "views") if not manifests.exists(layout, path.name))
    yield from (path for path in _inside(layout.root / "work") if finished(path.name))
    yield from (p for p in _inside(layout.root / "leases") if p.suffix == ".pid" and not layout.work(p.stem).exists())


def _named(layout: Layout) -> set[str]:
    """Every blob that a manifest names. With one manifest unreadable nobody can tell, so nothing may be removed."""
    try:
        return {entry.sha256 for digest in manifests.digests(layout) for entry in manifests.read(layout, digest).entries}
    except Corrupt as fault:
        raise Corrupt(f"gc removed nothing: {fault.what}", "sapwood store verify --set-aside") from fault


def _inside(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def _untouched(folder: Path, since: float) -> Iterator[Path]:
    """What lies in a folder and did not change after `since`; linking an old file into place is a change.
    Writers make and remove files in tmp without our lock: what vanished since it was listed is theirs, and is not ours to remove."""
    for path in _inside(folder):
        with suppress(FileNotFoundError):
            status = path.lstat()
            if max(status.st_mtime, status.st_ctime) <= since:
                yield path
