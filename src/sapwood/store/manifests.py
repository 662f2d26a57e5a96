"""Manifests: one JSON file an artifact, named by its digest. Its rename into place is the only commit of the artifact."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass

from sapwood.artifact import KINDS, Artifact, Entry, digest_of, reference
from sapwood.errors import Corrupt, InputError, NotFound
from sapwood.store.layout import Layout, checked_payload_path, write_durably

FORMAT = 1


@dataclass(frozen=True)
class Manifest:
    """What is stored under a digest. `entries` are sorted by path."""

    digest: str
    kind: str
    schema: int
    entries: tuple[Entry, ...]

    @property
    def size(self) -> int:
        return sum(entry.size for entry in self.entries)

    @property
    def artifact(self) -> Artifact:
        return reference(self.kind, self.digest)


def planned(kind: type[Artifact], entries: tuple[Entry, ...]) -> Manifest:
    """The manifest that `commit` would write."""
    return Manifest(digest_of(kind, entries), kind.kind, kind.schema, entries)


def commit(layout: Layout, kind: type[Artifact], entries: tuple[Entry, ...]) -> str:
    """Write the manifest, which makes the artifact exist. Its blobs must be on the disk already."""
    digest = digest_of(kind, entries)
    target = layout.manifest(digest)
    if not target.exists():
        rows = [{"path": e.path, "size": e.size, "sha256": e.sha256} for e in entries]
        body = {"format": FORMAT, "kind": kind.kind, "schema": kind.schema, "entries": rows}
        write_durably(layout, target, (json.dumps(body, ensure_ascii=False, indent=1, sort_keys=True) + "\n").encode())
    return digest


def read(layout: Layout, digest: str) -> Manifest:
    """The manifest, checked against its own digest. `NotFound` when there is none, `Corrupt` when it was changed."""
    path = layout.manifest(digest)
    try:
        body = json.loads(path.read_bytes())
        entries = tuple(Entry(checked_payload_path(row["path"]), int(row["size"]), str(row["sha256"])) for row in body["entries"])
        kind, schema = KINDS[body["kind"]], int(body["schema"])
    except FileNotFoundError:
        raise NotFound(f"no artifact {digest[:12]} in {layout.root}", "see what there is: sapwood store list") from None
    except (ValueError, KeyError, TypeError, InputError) as error:
        raise Corrupt(f"{path}: not a manifest ({error})", "sapwood store verify") from error
    if schema > kind.schema:
        raise InputError(f"{kind.kind}:{digest[:12]} has schema {schema}, this Sapwood knows {kind.schema}", "upgrade sapwood")
    if digest_of(kind, entries) != digest:
        raise Corrupt(f"{path}: the manifest does not match its digest", "sapwood store verify")
    return Manifest(digest, kind.kind, schema, entries)


def of(layout: Layout, artifact: Artifact) -> Manifest:
    """The manifest of a reference, whose kind must be the stored one."""
    manifest = read(layout, artifact.digest)
    if artifact.kind and artifact.kind != manifest.kind:
        raise NotFound(f"{artifact.short} is a {manifest.kind} artifact, not a {artifact.kind}", f"use {manifest.artifact}")
    return manifest


def exists(layout: Layout, digest: str) -> bool:
    return layout.manifest(digest).exists()


def digests(layout: Layout) -> Iterator[str]:
    """Every stored digest, sorted."""
    names = sorted(name for name in os.listdir(layout.manifests) if name.endswith(".json"))
    yield from (name.removesuffix(".json") for name in names)
