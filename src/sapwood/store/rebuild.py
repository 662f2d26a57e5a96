"""Rebuild the index of artifacts from the manifests, and results from the files kept beside the database."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sapwood.errors import Corrupt
from sapwood.store import manifests
from sapwood.store.layout import Layout, write_durably
from sapwood.store.leases import locked
from sapwood.store.lineage import Lineage, decode, encode
from sapwood.store.manifests import Manifest


def rebuild(layout: Layout, lineage: Lineage) -> int:
    """How many artifacts there are. A manifest that cannot be read is left out; `verify` tells of it."""
    found: list[tuple[Manifest, float]] = []
    with locked(layout.writers):
        for digest in manifests.digests(layout):
            try:
                found.append((manifests.read(layout, digest), layout.manifest(digest).stat().st_mtime))
            except Corrupt:
                continue
        count = lineage.replace_all(found)
    with locked(results_lock(layout)):
        _join_results(layout, lineage)
    return count


def results_lock(layout: Layout) -> Path:
    """The lock file of whoever writes results."""
    return layout.root / "leases" / "results.lock"


def mirror(layout: Layout, lineage: Lineage, key: str) -> None:
    """Write every result of a key beside the database. Hold `results_lock`."""
    body = {"results": [{"recorded": recorded, "result": encode(result)} for recorded, result in lineage.of_key(key)]}
    write_durably(layout, layout.result(key), (json.dumps(body, ensure_ascii=False, indent=1) + "\n").encode())


def _join_results(layout: Layout, lineage: Lineage) -> None:
    """Keys that only one side has are copied to the other, in the order in which they were recorded."""
    known = set(lineage.keys())
    rows: list[tuple[float, str, dict[str, Any]]] = []
    for path in sorted((layout.root / "results").glob("*.json")):
        if path.stem not in known:
            try:
                stored = json.loads(path.read_bytes())["results"]
                rows += [(float(row["recorded"]), path.stem, row["result"]) for row in stored]
            except (ValueError, KeyError, TypeError) as error:
                raise Corrupt(f"{path}: not a list of results", "restore it, or remove it: its step will run again") from error
    for recorded, _, body in sorted(rows, key=lambda row: row[:2]):
        lineage.record(decode(body), recorded)
    for key in known:
        if not layout.result(key).exists():
            mirror(layout, lineage, key)
