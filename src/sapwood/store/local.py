"""The embedded store: a folder of files and SQLite, for many processes on one host.

The rename of an artifact's manifest is its only commit (see `manifests`); `kill -9` at any moment leaves the old state or
the new one, and at worst bytes that `gc` gives back. Does not defend against a person who can write to the folder.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from sapwood.artifact import KINDS, Artifact, Entry
from sapwood.errors import Busy, InputError, NotFound
from sapwood.stage import Result, Signature
from sapwood.store import audit, blobs, keys, leases, manifests, sweep, views
from sapwood.store.layout import Layout, checked_name, disk_faults, remove_tree

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from sapwood.store.lineage import Lineage
    from sapwood.store.records import Records
    from sapwood.store.run_records import Run

A = TypeVar("A", bound=Artifact)

SHORTEST_PREFIX = 6


@dataclass(frozen=True)
class Listed:
    """An artifact with what the index knows of it. `created` is when it was committed here, in seconds since 1970."""

    kind: str
    digest: str
    files: int
    bytes: int
    created: float


class LocalStore:
    """Implements `sapwood.stage.Store`. `records` holds runs, model versions, deployments and cycles."""

    def __init__(self, root: Path, create: bool = True) -> None:
        self.root = Path(root).resolve()
        self.layout = Layout(self.root)
        if not create and not self.layout.manifests.is_dir():
            raise NotFound(f"{self.root}: no store here", "name it with --store, or run a recipe: that creates one")
        self.layout.create()

    # ------------------------------------------------------------------ artifacts

    def put(self, kind: type[A], folder: Path) -> A:
        """Commit a payload folder. A folder of this store's scratch is used up and removed; any other is copied and kept."""
        folder = Path(folder)
        staging = self.layout.temporary("put")
        lineage = self._lineage  # opened before any lock is held: a new database is filled under the writers' lock
        with disk_faults(self.root), leases.leased(staging):
            try:
                staged = blobs.stage(self.layout, folder, staging)
                entries = tuple(item.entry for item in staged)
                with leases.locked(self.layout.writers, shared=True):
                    blobs.adopt(self.layout, staged)
                    lineage.add(manifests.planned(kind, entries))
                    digest = manifests.commit(self.layout, kind, entries)
            finally:
                remove_tree(staging)
            if blobs.owned(self.layout, folder):
                remove_tree(folder)
        return kind(digest)

    def open(self, artifact: Artifact) -> Path:
        """The read-only payload folder. Sizes are checked; contents are checked by `verify`."""
        return views.open_view(self.layout, artifact, manifests.of(self.layout, artifact))

    def entries(self, artifact: Artifact) -> tuple[Entry, ...]:
        """The payload's files, sorted by path."""
        return manifests.of(self.layout, artifact).entries

    def find(self, prefix: str) -> Artifact:
        """The artifact whose digest starts with `prefix` (6 characters or more); `kind:` may stand in front.
        `NotFound` when there is none, `InputError` when there are several."""
        kind, _, start = prefix.strip().rpartition(":")
        if kind and kind not in KINDS:
            raise InputError(f"{prefix}: unknown kind {kind!r}", f"kinds are {', '.join(sorted(KINDS))}")
        start = start.lower()
        if not SHORTEST_PREFIX <= len(start) <= 64 or not set(start) <= set("0123456789abcdef"):
            raise NotFound(f"{prefix!r} is not a digest or the start of one", f"give {SHORTEST_PREFIX} or more characters of 0-9, a-f")
        found = self._lineage.artifacts(kind, start)
        if not found:
            raise NotFound(f"no {kind or 'artifact'} starts with {start} in {self.root}", "see what there is: sapwood store list")
        if len(found) > 1:
            names = ", ".join(f"{a.kind}:{a.digest[: len(start) + 6]}" for a in found[:5])
            raise InputError(f"{start} is the start of {len(found)} digests: {names}", "give more characters")
        return found[0]

    def artifacts(self, kind: str = "") -> list[Artifact]:
        """What is stored, oldest first."""
        if kind and kind not in KINDS:
            raise InputError(f"unknown kind {kind!r}", f"kinds are {', '.join(sorted(KINDS))}")
        return self._lineage.artifacts(kind)

    def listing(self, kind: str = "") -> list[Listed]:
        """What is stored with its size and age, oldest first."""
        details = self._lineage.details()
        return [Listed(a.kind, a.digest, *details[a.digest]) for a in self.artifacts(kind) if a.digest in details]

    # ------------------------------------------------------------------ results

    def result(self, key: str) -> Result | None:
        """The newest result of a step key whose outputs are all stored."""
        for _, result in reversed(self._lineage.of_key(key)):
            if all(manifests.exists(self.layout, output.digest) for output in result.outputs.values()):
                return result
        return None

    def record(self, result: Result) -> None:
        """Keep a result, in the database and beside it."""
        from sapwood.store import rebuild

        checked_name(result.key)
        lineage = self._lineage  # opened before the lock, as in put
        with leases.locked(rebuild.results_lock(self.layout)):
            lineage.record(result)
            rebuild.mirror(self.layout, lineage, result.key)
        leases.let_go(self.layout.work(result.key))

    def producers(self, artifact: Artifact) -> list[Result]:
        return self._lineage.touching("out", artifact.digest)

    def consumers(self, artifact: Artifact) -> list[Result]:
        return self._lineage.touching("in", artifact.digest)

    def results(self, name: str = "") -> Iterable[Result]:
        return self._lineage.results(name)

    # ------------------------------------------------------------------ keys and scratch

    def sign(self, message: bytes) -> Signature:
        return keys.sign(self.layout, message)

    def public_key(self) -> str:
        return keys.public_key(self.layout)

    def scratch(self, key: str) -> Path:
        """The working folder of a step key. One process at a time has it, until it records the result, removes the folder or ends."""
        folder = self.layout.work(key)
        note = self.root / "leases" / f"{key}.pid"
        with disk_faults(self.root):
            if not leases.hold(folder):
                holder = note.read_text() if note.exists() else "unknown"
                raise Busy(
                    f"another run (process {holder}) is working on this step", "wait until it is done and run again: then it is reused"
                )
            note.write_text(str(os.getpid()))
        return folder

    def run_folder(self, run: str) -> Path:
        """Where a run keeps its events and logs."""
        folder = self.layout.run(run)
        folder.mkdir(exist_ok=True)
        return folder

    def hold_run(self, run: str) -> None:
        """Say that this process is working on the run, until it ends or `let_go_run`."""
        leases.hold(self.run_folder(run))

    def let_go_run(self, run: str) -> None:
        leases.let_go(self.layout.run(run))

    def status_of(self, run: Run) -> str:
        """As recorded; `killed` when it is recorded as running and no living process works on it."""
        if run.status != "running":
            return run.status
        with leases.unused(self.run_folder(run.id)) as free:
            return "killed" if free else "running"

    # ------------------------------------------------------------------ care

    def verify(self, artifacts: Sequence[Artifact] = ()) -> list[str]:
        """Read every byte of these artifacts again, or of all and the database's pages too. One sentence a fault."""
        digests = [artifact.digest for artifact in artifacts] or list(manifests.digests(self.layout))
        return [fault.sentence for fault in audit.audit(self.layout, digests)] + ([] if artifacts else self._database_faults())

    def set_aside(self) -> list[str]:
        """Verify everything and take what is corrupt out of the store, so that the steps that made it run again."""
        with leases.locked(self.layout.writers), leases.locked(views.lock(self.layout)):
            faults = list(audit.audit(self.layout, manifests.digests(self.layout)))
            audit.set_aside(self.layout, faults)
        return [fault.sentence for fault in faults]

    def reindex(self) -> int:
        """Rebuild the index of artifacts from the manifests, and join the database's results with the files beside it."""
        from sapwood.store.rebuild import rebuild

        return rebuild(self.layout, self._lineage)

    def gc(self, older_than_s: float = 86_400, dry_run: bool = False) -> tuple[int, int]:
        """Remove what nothing names (see `sweep`): (files, bytes)."""
        lineage = self._lineage  # opened before the lock, as in put
        with disk_faults(self.root):
            return sweep.sweep(self.layout, lambda key: bool(lineage.of_key(key)), older_than_s, dry_run)

    def _database_faults(self) -> list[str]:
        from sapwood.store import sqlite

        return sqlite.check(self.engine)

    # ------------------------------------------------------------------ database

    @cached_property
    def engine(self) -> Engine:
        """The database, opened on first use. A new one beside old manifests is filled from them."""
        from sapwood.store import sqlite
        from sapwood.store.rebuild import rebuild

        return sqlite.connect(self.layout, lambda engine: rebuild(self.layout, self._index(engine)))

    @cached_property
    def records(self) -> Records:
        from sapwood.store.records import Records

        return Records(self.engine)

    @cached_property
    def _lineage(self) -> Lineage:
        return self._index(self.engine)

    def _index(self, engine: Engine) -> Lineage:
        from sapwood.store.lineage import Lineage

        return Lineage(engine, lambda digest: manifests.exists(self.layout, digest))

    def close(self) -> None:
        """Close the database's connections. The store can still be used; it opens them again."""
        if "engine" in self.__dict__:
            self.engine.dispose()
