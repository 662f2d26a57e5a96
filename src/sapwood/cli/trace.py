"""`sapwood trace`: lineage by document, both ways."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from sapwood.artifact import Artifact
    from sapwood.store.local import LocalStore


def trace(
    what: Annotated[
        str,
        typer.Argument(
            help="A response id, an artifact's digest or STEP.PORT, MODEL or MODEL@VERSION, or a document's id.", show_default=False
        ),
    ],
    store: Annotated[Path | None, typer.Option("--store", envvar="SAPWOOD_STORE", help="The store's folder.")] = None,
    rows: Annotated[int, typer.Option("--rows", min=0, help="How many document ids to list of each set of rows.")] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on standard output.")] = False,
) -> None:
    """From a served answer, a model or any artifact to its source documents; from a document to all that holds it.

    Examples: sapwood trace resp-0123456789abcdef01234567; sapwood trace reviews; sapwood trace DOCUMENT
    """
    import json

    from sapwood.store.find import open_store

    opened = open_store(store, create=False)
    found = _up(opened, what, rows) or _down(opened, what)
    if as_json:
        print(json.dumps(found, ensure_ascii=False))
        return
    _print(found)


def _up(store: LocalStore, what: str, most: int) -> dict[str, Any] | None:
    """The story of a response, version or artifact; None when it is none of these."""
    from sapwood.runs import trace as lineage

    story: dict[str, Any] = {"asked": what}
    artifact = _start(store, what, story)
    if artifact is None:
        return None
    story["artifact"] = str(artifact)
    story["made_by"] = [
        {
            "step": r.name,
            "run": r.run,
            "outputs": [str(o) for o in r.outputs.values()],
            "inputs": [str(a) for many in r.inputs.values() for a in many],
        }
        for r in lineage.ancestry(store, artifact)
    ]
    story["documents"] = [
        {
            "rows": str(h.rows),
            "through": f"{h.step}.{h.port}" if h.port else h.step,
            "count": h.count,
            "sources": h.sources,
            "first": [{"id": i, "source": s, "text": t} for i, s, t in lineage.ids(store, h.rows, most)],
        }
        for h in lineage.held(store, artifact)
    ]
    return story


def _start(store: LocalStore, what: str, story: dict[str, Any]) -> Artifact | None:
    """The artifact that the words name; what a response or version is goes into the story."""
    from sapwood.artifact import Bundle
    from sapwood.errors import NotFound
    from sapwood.store import address
    from sapwood.watching.log import ResponseLog

    name, _, number = what.partition("@")
    if what.startswith("resp-"):
        answer = ResponseLog(store.engine).get(what)
        fields = ("id", "model", "version", "revision", "label", "text")
        story["response"] = {field: getattr(answer, field) for field in fields} | {"score": round(answer.output[0].score, 4)}
        return Bundle(answer.bundle)
    if name in store.records.names():
        versions = store.records.versions(name)
        chosen = (
            next((v for v in versions if str(v.number) == number), None)
            if number
            else store.records.alias(name, "champion") or versions[-1]
        )
        if chosen is None:
            raise NotFound(f"{name} has no version {number}", f"it has {', '.join(str(v.number) for v in versions)}")
        story["version"] = {
            "model": name,
            "version": chosen.number,
            "bundle": chosen.bundle,
            "source_model": chosen.model,
            "run": chosen.run,
        }
        return Bundle(chosen.bundle)
    try:
        return address.find(store, what)
    except NotFound:
        return None


def _down(store: LocalStore, identifier: str) -> dict[str, Any]:
    from sapwood.runs import trace as lineage

    found = lineage.document(store, identifier)
    kept = {name: found.row[name] for name in ("id", "source", "url", "license", "language", "text", "meta", "parents")}
    return {
        "asked": identifier,
        "document": kept,
        "artifacts": [{"artifact": str(artifact), "made_by": maker} for artifact, maker in found.steps],
        "versions": [{"model": name, "version": number, "aliases": marks} for name, number, marks in found.versions],
        "deployments": [{"model": name, "revision": revision} for name, revision in found.revisions],
    }


def _print(story: dict[str, Any]) -> None:
    if "document" in story:
        row = story["document"]
        print(f"document {row['id']}\n  source    {row['source']}  {row['url']}\n  text      {row['text'][:160]}")
        if row["parents"]:
            print(f"  parents   {' '.join(row['parents'])}")
        print(f"is in {len(story['artifacts'])} artifacts:")
        for item in story["artifacts"]:
            print(f"  {item['artifact']:<26} {item['made_by']}")
        for item in story["versions"]:
            print(f"  version   {item['model']}@{item['version']} {' '.join(item['aliases'])}")
        for item in story["deployments"]:
            print(f"  deployed  {item['model']} revision {item['revision']}")
        return
    for part in ("response", "version"):
        if part in story:
            print(part + " " + "\n  ".join(f"{key:<12} {value}" for key, value in story[part].items()))
    print(f"{story['artifact']} was made by {len(story['made_by'])} steps:")
    for item in story["made_by"]:
        print(f"  {item['step']:<14} -> {' '.join(item['outputs'])[:60]}")
    total = sum(held["count"] for held in story["documents"])
    print(f"and holds {total:,} rows:")
    for held in story["documents"]:
        print(
            f"  {held['count']:>8,} {held['rows']:<24} through {held['through']}: {', '.join(f'{k} {v:,}' for k, v in held['sources'].items())}"
        )
        for first in held["first"]:
            print(f"           {first['id']}  {first['text'][:36]}")
