"""Views: an artifact's payload as a read-only folder, made of hard links to blobs (symbolic links or copies where links fail).

A view is a convenience: it is built whole under a temporary name, renamed into place, and can be removed at any time.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from sapwood.artifact import Artifact
from sapwood.store import blobs
from sapwood.store.layout import Layout, disk_faults, remove_tree
from sapwood.store.leases import locked
from sapwood.store.manifests import Manifest


def open_view(layout: Layout, artifact: Artifact, manifest: Manifest) -> Path:
    """The payload folder; sizes are checked, contents are not. O(files)."""
    view = layout.view(manifest.digest)
    for entry in manifest.entries:
        blobs.check(layout, artifact, entry)
    if not _complete(view, manifest):
        with disk_faults(layout.root), locked(lock(layout)):
            if not _complete(view, manifest):  # nobody built it while we waited
                remove_tree(view)
                _build(layout, artifact, manifest, view)
    return view


def lock(layout: Layout) -> Path:
    """The lock file of whoever builds or removes views."""
    return layout.root / "leases" / "views.lock"


def _complete(view: Path, manifest: Manifest) -> bool:
    try:
        return view.is_dir() and all(os.stat(view / entry.path).st_size == entry.size for entry in manifest.entries)
    except (FileNotFoundError, NotADirectoryError):
        return False


def _build(layout: Layout, artifact: Artifact, manifest: Manifest, view: Path) -> None:
    temporary = layout.temporary("view")
    temporary.mkdir()
    try:
        for entry in manifest.entries:
            target = temporary / entry.path
            target.parent.mkdir(parents=True, exist_ok=True)
            _place(blobs.check(layout, artifact, entry), target)
        os.rename(temporary, view)
        _protect(view)
    finally:
        remove_tree(temporary)


def _place(blob: Path, target: Path) -> None:
    """Link where possible. A copy costs the space again but is never wrong."""
    try:
        os.link(blob, target)
    except OSError:
        try:
            os.symlink(blob, target)
        except OSError:
            shutil.copyfile(blob, target)
            target.chmod(0o444)


def _protect(view: Path) -> None:
    """No new names in the folders. Root is not stopped by this; `verify` tells."""
    for base, _, _ in os.walk(view):
        os.chmod(base, 0o555)
