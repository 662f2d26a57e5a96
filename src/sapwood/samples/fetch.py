"""Fetch a sample once, verify it, and take out only the named files and folders.

The archive's sha256 is checked before anything is unpacked. Later calls verify the extracted files against the digests noted at
extraction, which finds accidents; it does not find someone who can write to the cache and change both.

A Debian mirror keeps one version of a package, so a pinned one goes away with the next security update. Then the user may take the
version that the mirror has now, which apt checks against its own signed lists: its digest is noted in `accepted.json` of the cache and
stands for the sample from then on, in every fingerprint as well.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from sapwood.artifact import file_sha256
from sapwood.errors import InputError, NetworkError, ResourceError
from sapwood.samples import debian, npm
from sapwood.samples.download import pip_download
from sapwood.samples.table import Sample, sample
from sapwood.samples.unpack import spec, unpack

MARKER = "sapwood-sample.json"
ACCEPTED = "accepted.json"

Say = Callable[[str], None]
Download = Callable[[Sample, Path], Path]


def by_registry(entry: Sample, folder: Path) -> Path:
    """Download with the client of the sample's registry into the empty `folder`."""
    return {"pypi": pip_download, "deb": debian.apt_download, "npm": npm.npm_pack}[entry.registry](entry, folder)


def entry_of(name: str) -> Sample:
    """The sample as it is taken here: the table's entry, or the version that was accepted in its place. Raises `NotFound`."""
    entry = sample(name)
    noted = _accepted().get(name) if entry.registry == "deb" else None
    if noted is None or noted.get("instead_of") != entry.sha256:  # a newer table has another version to be accepted or not
        return entry
    return entry.model_copy(update={key: value for key, value in noted.items() if key != "instead_of"})


def fingerprint(name: str) -> str:
    """The sha256 of the sample's archive: what identifies its content."""
    return entry_of(name).sha256


def cache_root() -> Path:
    """`$SAPWOOD_CACHE/samples`, or `~/.cache/sapwood/samples`."""
    root = os.environ.get("SAPWOOD_CACHE")
    return (Path(root) if root else Path.home() / ".cache" / "sapwood") / "samples"


def folder_of(name: str) -> Path:
    """Where the sample's files lie once fetched."""
    return cache_root() / f"{name}-{fingerprint(name)[:12]}"


def fetched(name: str) -> bool:
    """Whether everything of the sample is in the cache with the digests noted when it was extracted."""
    folder, entry = folder_of(name), entry_of(name)
    try:
        noted: dict[str, str] = json.loads((folder / MARKER).read_text(encoding="utf-8"))
        trees = {place: digest for place, digest in noted.items() if place.endswith("/")}
        plain = sorted(place for place in noted if "/" not in place)
        return (
            plain == sorted(entry.files.values())
            and trees == {f"{place}/": spec(tree) for place, tree in entry.folders.items()}
            and all(file_sha256(folder / place) == digest for place, digest in noted.items() if place not in trees)
        )
    except (OSError, ValueError, AttributeError):
        return False


def fetch(name: str, say: Say, download: Download = by_registry) -> Path:
    """The folder with the sample's files, fetched if it is not in the cache. `say` gets licence, citation and digest before unpacking.

    Raises `NotFound` (no such sample), `NetworkError`, `InputError` (not the expected archive), `ResourceError` (disk, a missing tool).
    """
    if fetched(name):
        return folder_of(name)
    entry = entry_of(name)
    say(f"{name}: {entry.purpose}\n  licence: {entry.licence}\n  citation: {entry.citation}\n  from {entry.package}, sha256 {entry.sha256}")
    return _fetch(name, entry, say, download)


def fetch_available(name: str, say: Say) -> Path:
    """Take the version of a Debian sample that the mirror has now, and note it in the place of the table's. Raises as `fetch` does."""
    entry = sample(name)
    if entry.registry != "deb":
        raise InputError(f"{name} is no Debian package: its registry keeps every version", f"sapwood samples fetch {name}")
    offered = debian.available(entry)
    say(f"{name}: the mirror has {offered.package}, sha256 {offered.sha256}; the table says {entry.package}\n  licence: {entry.licence}")
    _accept(name, entry, offered)
    return folder_of(name) if fetched(name) else _fetch(name, offered, say, by_registry)


def _fetch(name: str, entry: Sample, say: Say, download: Download) -> Path:
    folder = folder_of(name)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{name}-") as scratch:
            say(f"{name}: getting {entry.bytes / 1e6:.1f} MB")
            archive = _download(name, entry, Path(scratch), download)
            if entry.registry == "deb":
                say(f"{name}: its copyright file says: {debian.licences(entry, archive)}")
            _settle(_unpack(name, entry, archive, Path(scratch) / "ready", say), folder)
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
    except InputError as fault:
        file = f"{entry.name}_{entry.version}_{entry.architecture}.deb"
        step = f"sapwood samples fetch {name} --available takes what the mirror has; --archive FILE takes {file} from an older mirror"
        raise InputError(fault.what, fault.next_step or step) from fault
    if (digest := file_sha256(archive)) != entry.sha256:
        raise InputError(
            f"{name}: the archive has sha256 {digest[:12]}, the table says {entry.sha256[:12]}", "do not use it; tell the package's author"
        )
    return archive


def _unpack(name: str, entry: Sample, archive: Path, ready: Path, say: Say) -> Path:
    ready.mkdir()
    taken = unpack(entry, archive, ready)
    if taken.links:
        say(f"{name}: {taken.links} links were left out; what they point to is taken once")
    noted = {**taken.digests, **{f"{place}/": spec(tree) for place, tree in entry.folders.items()}}
    (ready / MARKER).write_text(json.dumps(noted, sort_keys=True, indent=1) + "\n", encoding="utf-8")
    return ready


def _settle(ready: Path, folder: Path) -> None:
    """Move the finished folder into place. When another process was first, its folder stays if it holds the same."""
    if folder.exists():
        same = (folder / MARKER).is_file() and (folder / MARKER).read_bytes() == (ready / MARKER).read_bytes()
        noted = json.loads((ready / MARKER).read_text(encoding="utf-8"))
        if same and all((folder / f).is_file() and file_sha256(folder / f) == d for f, d in noted.items() if not f.endswith("/")):
            return
        shutil.rmtree(folder)
    ready.rename(folder)


# --------------------------------------------------------------------------- accepted versions


def _accepted() -> dict[str, dict[str, str | int]]:
    path = cache_root() / ACCEPTED
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as fault:
        raise InputError(f"{path} is no JSON ({fault})", "remove it; it only notes which versions of samples were accepted") from None


def _accept(name: str, entry: Sample, offered: Sample) -> None:
    stated = {"package": offered.package, "sha256": offered.sha256, "bytes": offered.bytes, "instead_of": entry.sha256}
    noted = {**_accepted(), name: stated}
    path = cache_root() / ACCEPTED
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8") as out:
        json.dump(noted, out, indent=1, sort_keys=True)
    os.replace(out.name, path)
