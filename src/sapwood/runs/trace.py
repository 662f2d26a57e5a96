"""Lineage by document, both ways.

Up: a served answer -> version -> bundle -> model -> the rows it learned from -> their sources.
Down: a document -> every artifact that holds it -> models -> versions -> deployments.

Rows artifacts are asked for their own ids. Anything else holds the documents of the inputs that its stage says it carries
(`Stage.carries`): a model holds its training rows, not the rows it was chosen or scored on. What this does not see:
text that left the store, and what a model remembers of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from sapwood.artifact import Artifact, Bundle, Documents, Examples, Model
from sapwood.errors import NotFound
from sapwood.stage import Result
from sapwood.store.local import LocalStore


@dataclass(frozen=True)
class Held:
    """Rows that an artifact holds: which rows artifact, through which step, and how many rows by source."""

    rows: Artifact
    step: str
    port: str
    sources: dict[str, int]

    @property
    def count(self) -> int:
        return sum(self.sources.values())


@dataclass
class Found:
    """Where one document is. `row` is the row as first collected; `steps` are (artifact, step that made it)."""

    row: dict[str, Any]
    steps: list[tuple[Artifact, str]] = field(default_factory=list)
    versions: list[tuple[str, int, list[str]]] = field(default_factory=list)
    revisions: list[tuple[str, int]] = field(default_factory=list)


def is_rows(artifact: Artifact) -> bool:
    return isinstance(artifact, Documents | Examples)


def makers(store: LocalStore, artifact: Artifact) -> Iterator[Result]:
    """Results that made the artifact; a stage that only hands an input on (`select`) made nothing."""
    for result in store.producers(artifact):
        if not any(artifact in artifacts for artifacts in result.inputs.values()):
            yield result


def unchanged(store: LocalStore, artifact: Artifact) -> list[Result]:
    """Results of steps that took the rows in and gave the same rows out, newest first."""
    through = [r for r in store.producers(artifact) if any(artifact in artifacts for artifacts in r.inputs.values())]
    return list(reversed(through)) if is_rows(artifact) else []


def held(store: LocalStore, artifact: Artifact) -> list[Held]:
    """The rows inside an artifact, nearest first."""
    if is_rows(artifact):
        made = next(makers(store, artifact), None)
        return [Held(artifact, made.name if made else "", "", _sources(store, artifact))]
    found: dict[str, Held] = {}
    queue, seen = [artifact], {artifact.digest}
    while queue:
        for result in makers(store, queue.pop(0)):
            for port in result.carries:
                for source in result.inputs.get(port, ()):
                    if is_rows(source):
                        found.setdefault(source.digest, Held(source, result.name, port, _sources(store, source)))
                    elif source.digest not in seen:
                        seen.add(source.digest)
                        queue.append(source)
    return list(found.values())


def ancestry(store: LocalStore, artifact: Artifact) -> list[Result]:
    """Every result that led to the artifact, nearest first. A step over rows that changed nothing (a mask that found nothing) led to
    them too: whoever asks what became of a text must see that it was looked at."""
    found: dict[str, Result] = {}
    queue, seen = [artifact], {artifact.digest}
    while queue:
        current = queue.pop(0)
        for result in [*unchanged(store, current), *makers(store, current)]:
            found.setdefault(result.key, result)
            for source in (a for artifacts in result.inputs.values() for a in artifacts):
                if source.digest not in seen:
                    seen.add(source.digest)
                    queue.append(source)
    return list(found.values())


def document(store: LocalStore, identifier: str) -> Found:
    """Where a document is now. Raises `NotFound` when no stored rows have that id."""
    holding = [artifact for kind in ("documents", "examples") for artifact in store.artifacts(kind) if _has(store, artifact, identifier)]
    if not holding:
        raise NotFound(
            f"{identifier!r} is no response, model, artifact or document here", "sapwood show lists models, sapwood store list artifacts"
        )
    tainted = {artifact.digest: artifact for artifact in holding}
    queue = list(holding)
    while queue:
        artifact = queue.pop(0)
        for result in store.consumers(artifact):
            if not any(artifact in result.inputs.get(port, ()) for port in result.carries):
                continue
            for output in result.outputs.values():
                if not is_rows(output) and output.digest not in tainted:
                    tainted[output.digest] = output
                    queue.append(output)
    found = Found(_row(store, _first(store, holding), identifier))
    found.steps = [(artifact, _maker(store, artifact)) for artifact in tainted.values()]
    _deployed(store, found, set(tainted))
    return found


def ids(store: LocalStore, artifact: Artifact, most: int) -> list[tuple[str, str, str]]:
    """(id, source, first words) of the first rows of a rows artifact."""
    from sapwood.text import rows

    if not most:
        return []
    first = next(rows.batches(store.open(artifact), ["id", "source", "text"], most), None)
    return [(row["id"], row["source"], row["text"][:60]) for row in first.to_pylist()] if first is not None else []


def model_of(store: LocalStore, artifact: Artifact) -> Model | None:
    """The model inside a bundle, by its own record."""
    if isinstance(artifact, Model):
        return artifact
    if isinstance(artifact, Bundle):
        for result in makers(store, artifact):
            for source in (a for artifacts in result.inputs.values() for a in artifacts):
                if isinstance(source, Model):
                    return source
    return None


def _deployed(store: LocalStore, found: Found, tainted: set[str]) -> None:
    records = store.records
    for name in records.names():
        inside = [v for v in records.versions(name) if v.bundle in tainted or v.model in tainted]
        aliases = {alias: records.alias(name, alias) for alias in ("champion", "challenger")}
        for version in inside:
            marks = [alias for alias, held_by in aliases.items() if held_by and held_by.number == version.number]
            found.versions.append((name, version.number, marks))
        numbers = {version.number for version in inside}
        for deployment in records.deployments(name):
            if numbers & {route["version"] for route in deployment.routes}:
                found.revisions.append((name, deployment.revision))


def _sources(store: LocalStore, artifact: Artifact) -> dict[str, int]:
    from sapwood.text import rows

    counted = Counter(str(source) for source in rows.read(store.open(artifact), ["source"])["source"].to_pylist())
    return dict(sorted(counted.items()))


def _has(store: LocalStore, artifact: Artifact, identifier: str) -> bool:
    from sapwood.text import rows

    return identifier in set(rows.read(store.open(artifact), ["id"])["id"].to_pylist())


def _row(store: LocalStore, artifact: Artifact, identifier: str) -> dict[str, Any]:
    from sapwood.text import rows

    table = rows.read(store.open(artifact))
    place = table["id"].to_pylist().index(identifier)
    row: dict[str, Any] = table.slice(place, 1).to_pylist()[0]
    return row


def _first(store: LocalStore, holding: list[Artifact]) -> Artifact:
    """The rows nearest to the source: made by a result without rows among its inputs."""
    for artifact in holding:
        for result in makers(store, artifact):
            if not any(is_rows(a) for artifacts in result.inputs.values() for a in artifacts):
                return artifact
    return holding[0]


def _maker(store: LocalStore, artifact: Artifact) -> str:
    made = next(makers(store, artifact), None)
    if made is None:
        return ""
    port = next((name for name, output in made.outputs.items() if output == artifact), "")
    return f"{made.name}.{port}"
