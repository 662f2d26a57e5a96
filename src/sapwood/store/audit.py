"""verify: read every byte again and say what is not as its digest says; and set what is corrupt aside.

It finds changed, missing and cut-off bytes, changed manifests, and views that show something else than their artifact.
It does not find a change made together with all digests that cover it: signatures of verdicts are for that.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sapwood.artifact import Entry, file_sha256
from sapwood.errors import Corrupt, NotFound, SapwoodError
from sapwood.store import manifests
from sapwood.store.layout import Layout, remove_tree, sync_folder
from sapwood.store.manifests import Manifest


@dataclass(frozen=True)
class Fault:
    """One fault: a sentence, the digest of the artifact it is in, and the blob or view that is wrong."""

    sentence: str
    digest: str
    path: Path | None = None
    is_view: bool = False


def audit(layout: Layout, digests: Iterable[str]) -> Iterator[Fault]:
    """Every fault of these artifacts. A blob that several name is read once."""
    read: dict[str, str] = {}
    for digest in digests:
        try:
            manifest = manifests.read(layout, digest)
        except (NotFound, Corrupt) as error:
            yield Fault(error.what, digest)
            continue
        except SapwoodError as error:
            yield Fault(f"{error.what}: cannot be checked", digest)
            continue
        for entry in manifest.entries:
            if entry.sha256 not in read:
                read[entry.sha256] = _blob_fault(layout, entry)
            if read[entry.sha256]:
                yield Fault(f"{manifest.artifact}: {entry.path}: {read[entry.sha256]}", digest, layout.blob(entry.sha256))
        yield from _view_faults(layout, manifest)


def _blob_fault(layout: Layout, entry: Entry) -> str:
    path = layout.blob(entry.sha256)
    try:
        size, found = path.stat().st_size, file_sha256(path)
    except FileNotFoundError:
        return f"its bytes are gone (sha256 {entry.sha256})"
    except OSError as error:
        return f"cannot be read ({error.strerror}; sha256 {entry.sha256})"
    if found == entry.sha256:
        return ""
    return f"its {size:,} bytes have sha256 {found}, not {entry.sha256}"


def _view_faults(layout: Layout, manifest: Manifest) -> Iterator[Fault]:
    """A view that is not there is fine: it is built when it is opened."""
    view = layout.view(manifest.digest)
    if not view.exists():
        return
    expected = {entry.path: entry for entry in manifest.entries}
    for base, _, files in os.walk(view):
        for path in (Path(base) / name for name in files):
            name = path.relative_to(view).as_posix()
            entry = expected.get(name)
            if entry is None:
                yield Fault(f"{manifest.artifact}: its view holds {name}, which is not part of it", manifest.digest, view, True)
            elif not _same_file(path, layout.blob(entry.sha256)) and file_sha256(path) != entry.sha256:
                yield Fault(f"{manifest.artifact}: {name} in its view does not match sha256 {entry.sha256}", manifest.digest, view, True)


def _same_file(one: Path, other: Path) -> bool:
    return other.exists() and one.samefile(other)


def set_aside(layout: Layout, faults: Iterable[Fault]) -> None:
    """Take corrupt artifacts out of the store: manifests and views go, corrupt blobs move to `aside/`.

    The manifest goes first, so that a kill leaves a blob too many, never an artifact without its bytes.
    Hold the writers' lock.
    """
    found = list(faults)
    for fault in found:
        remove_tree(layout.view(fault.digest))
        if not fault.is_view:
            layout.manifest(fault.digest).unlink(missing_ok=True)
    sync_folder(layout.manifests)
    for fault in found:
        if fault.path is not None and not fault.is_view and fault.path.exists():
            os.replace(fault.path, layout.root / "aside" / fault.path.name)
