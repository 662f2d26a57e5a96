"""The index of artifacts and the results that join them: which step made what from what. SQLAlchemy Core on any database.

A row of `artifacts` is written before the manifest that commits the artifact, so the index names everything there is, and
perhaps something a kill prevented: whoever asks checks that the manifest exists.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from sqlalchemy import Connection, Engine, Select, delete, insert, select

from sapwood.artifact import Artifact, reference
from sapwood.stage import Result
from sapwood.store.manifests import Manifest
from sapwood.store.tables import artifacts, edges, reads, results


class Lineage:
    """Artifacts and results in one database. `exists` tells whether a digest is committed."""

    def __init__(self, engine: Engine, exists: Callable[[str], bool]) -> None:
        self._engine = engine
        self._reads = reads(engine)
        self._exists = exists

    # ------------------------------------------------------------------ artifacts

    def add(self, manifest: Manifest, created: float | None = None) -> None:
        """Index an artifact; one that is known stays as it is."""
        with self._engine.begin() as connection:
            _add(connection, manifest, time.time() if created is None else created)

    def replace_all(self, found: Iterable[tuple[Manifest, float]]) -> int:
        """Index exactly these (manifest, created); how many."""
        count = 0
        with self._engine.begin() as connection:
            connection.execute(delete(artifacts))
            for manifest, created in found:
                _add(connection, manifest, created)
                count += 1
        return count

    def artifacts(self, kind: str = "", prefix: str = "") -> list[Artifact]:
        """Committed artifacts, oldest first, of a kind and whose digest starts with `prefix`."""
        query = select(artifacts.c.kind, artifacts.c.digest).order_by(artifacts.c.created, artifacts.c.digest)
        if kind:
            query = query.where(artifacts.c.kind == kind)
        if prefix:
            query = query.where(artifacts.c.digest >= prefix, artifacts.c.digest < prefix + "g")
        with self._reads.connect() as connection:
            rows = connection.execute(query).all()
        return [reference(row.kind, row.digest) for row in rows if self._exists(row.digest)]

    def details(self) -> dict[str, tuple[int, int, float]]:
        """digest -> (files, bytes, created) of everything indexed."""
        with self._reads.connect() as connection:
            return {row.digest: (row.files, row.bytes, row.created) for row in connection.execute(select(artifacts))}

    # ------------------------------------------------------------------ results

    def record(self, result: Result, recorded: float | None = None) -> None:
        """Keep a result. The same key with the same outputs replaces the earlier record; other outputs stand beside it."""
        with self._engine.begin() as connection:
            for row in connection.execute(select(results.c.id, results.c.body).where(results.c.key == result.key)).all():
                if row.body["outputs"] == encode(result)["outputs"]:
                    connection.execute(delete(edges).where(edges.c.result == row.id))
                    connection.execute(delete(results).where(results.c.id == row.id))
            values = {"key": result.key, "name": result.name, "recorded": recorded or time.time(), "body": encode(result)}
            inserted = connection.execute(insert(results).values(**values)).inserted_primary_key
            assert inserted is not None
            connection.execute(insert(edges), _edges(int(inserted[0]), result)) if _edges(0, result) else None

    def of_key(self, key: str) -> list[tuple[float, Result]]:
        """(recorded, result) of every result of a key, oldest first."""
        with self._reads.connect() as connection:
            rows = connection.execute(select(results).where(results.c.key == key).order_by(results.c.id)).all()
        return [(row.recorded, decode(row.body)) for row in rows]

    def keys(self) -> list[str]:
        """Every key with a result, sorted."""
        with self._reads.connect() as connection:
            return list(connection.execute(select(results.c.key).distinct().order_by(results.c.key)).scalars())

    def results(self, name: str = "") -> Iterator[Result]:
        """Every result, oldest first; of one stage if `name` is given."""
        query = select(results.c.body).order_by(results.c.id)
        return self._decoded(query.where(results.c.name == name) if name else query)

    def touching(self, side: str, digest: str) -> list[Result]:
        """Results with this artifact among their inputs (`in`) or outputs (`out`), oldest first."""
        query = select(results.c.body).join(edges, edges.c.result == results.c.id).order_by(results.c.id)
        return list(self._decoded(query.where(edges.c.side == side, edges.c.digest == digest)))

    def _decoded(self, query: Select[Any]) -> Iterator[Result]:
        with self._reads.connect() as connection:
            bodies = connection.execute(query).scalars().all()
        return (decode(body) for body in bodies)


def _add(connection: Connection, manifest: Manifest, created: float) -> None:
    if connection.execute(select(artifacts.c.digest).where(artifacts.c.digest == manifest.digest)).first() is None:
        row = {"digest": manifest.digest, "kind": manifest.kind, "files": len(manifest.entries), "bytes": manifest.size}
        connection.execute(insert(artifacts).values(**row, created=created))


def _edges(result_id: int, result: Result) -> list[dict[str, Any]]:
    ends = {("in", a.digest) for many in result.inputs.values() for a in many} | {("out", a.digest) for a in result.outputs.values()}
    return [{"result": result_id, "side": side, "digest": digest} for side, digest in sorted(ends)]


def encode(result: Result) -> dict[str, Any]:
    """A result as JSON; an artifact is `kind:digest`."""
    return {
        "key": result.key,
        "name": result.name,
        "version": result.version,
        "params": dict(result.params),
        "inputs": {port: [_name(a) for a in many] for port, many in result.inputs.items()},
        "outputs": {port: _name(a) for port, a in result.outputs.items()},
        "carries": list(result.carries),
        "seed": result.seed,
        "run": result.run,
        "seconds": result.seconds,
        "peak_bytes": result.peak_bytes,
    }


def decode(body: dict[str, Any]) -> Result:
    """The result that `encode` wrote."""
    inputs = {port: tuple(_artifact(name) for name in many) for port, many in body["inputs"].items()}
    outputs = {port: _artifact(name) for port, name in body["outputs"].items()}
    return Result(**{**body, "inputs": inputs, "outputs": outputs, "carries": tuple(body["carries"])})


def _name(artifact: Artifact) -> str:
    return f"{artifact.kind}:{artifact.digest}"


def _artifact(name: str) -> Artifact:
    kind, _, digest = name.partition(":")
    return reference(kind, digest)
