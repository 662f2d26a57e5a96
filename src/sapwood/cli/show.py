"""`sapwood show` and `sapwood diff`: look at what is there."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from sapwood.store.local import LocalStore

StorePath = Annotated[Path | None, typer.Option("--store", envvar="SAPWOOD_STORE", help="The store's folder.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on standard output.")]


def show(
    what: Annotated[
        str,
        typer.Argument(
            help="A run's id or `last`, an artifact's digest or STEP.PORT, or a model's name. Nothing: an overview.", show_default=False
        ),
    ] = "",
    store: StorePath = None,
    as_json: AsJson = False,
) -> None:
    """Look at a run, an artifact or a model; without an argument, at all runs and models.

    Examples: sapwood show last; sapwood show reviews; sapwood show clean.kept
    """
    from sapwood.errors import NotFound
    from sapwood.store.find import open_store

    opened = open_store(store, create=False)
    if not what:
        found = _overview(opened)
    elif what in opened.records.names():
        found = _model(opened, what)
    else:
        try:
            found = _run(opened, what)
        except NotFound:
            found = _stored(opened, what)
    if as_json:
        print(json.dumps(found, ensure_ascii=False, default=str))
        return
    _print(found)


def diff(
    left: Annotated[str, typer.Argument(help="A run's id, the start of one, or `last`.", show_default=False)],
    right: Annotated[str, typer.Argument(help="Another run.", show_default=False)],
    store: StorePath = None,
    as_json: AsJson = False,
) -> None:
    """Compare two runs: recipe, rows, scores; a difference of scores is tested on the same rows.

    Example: sapwood diff 20260101-120000-ab12 last
    """
    from sapwood.runs import compare
    from sapwood.store.find import open_store

    opened = open_store(store, create=False)
    one, two = (opened.records.run(name) for name in (left, right))
    recipe = compare.changed(one.recipe, two.recipe)
    rows = compare.changed(compare.counts(opened, one), compare.counts(opened, two))
    scored = compare.scores(opened, one, two)
    if as_json:
        parts = {"left": one.id, "right": two.id, "recipe": recipe, "rows": rows, "scores": scored}
        print(json.dumps({k: [i._asdict() for i in v] if isinstance(v, list) else v for k, v in parts.items()}, ensure_ascii=False))
        return
    tables: dict[str, Any] = {
        "Recipe": (["field", one.id, two.id], [[c.path, _cell(c.left), _cell(c.right)] for c in recipe]),
        "Rows": (["output", one.id, two.id], [[c.path, _cell(c.left), _cell(c.right)] for c in rows]),
        "Macro-F1": (
            ["where", "left", "right", "right - left", "p"],
            [[s.where, _cell(s.left), _cell(s.right), _interval(s), _cell(s.p)] for s in scored],
        ),
    }
    _tables(tables)


def _interval(change: Any) -> str:
    if change.low is None:
        return "other rows"
    return f"{change.right - change.left:+.4f} [{change.low:+.4f}, {change.high:+.4f}]"


def _cell(value: Any) -> str:
    return "-" if value is None else f"{value:.4f}" if isinstance(value, float) else str(value)


def _overview(store: LocalStore) -> dict[str, Any]:
    runs = [
        {
            "run": r.id,
            "recipe": r.name,
            "status": store.status_of(r),
            "seconds": round(r.seconds or 0, 1),
            "started": time.strftime("%Y-%m-%d %H:%M", time.localtime(r.started)),
        }
        for r in store.records.runs(20)
    ]
    models = []
    for name in store.records.names():
        champion = store.records.alias(name, "champion")
        models.append({"model": name, "versions": len(store.records.versions(name)), "champion": champion.number if champion else "-"})
    return {"runs": runs, "models": models}


def _model(store: LocalStore, name: str) -> dict[str, Any]:
    from sapwood.errors import Refused
    from sapwood.runs import releases

    listed = []
    for version in store.records.versions(name):
        try:
            releases.check(store, version)
            proven = "yes"
        except Refused as refusal:
            proven = refusal.what
        held = [alias for alias in ("champion", "challenger") if (a := store.records.alias(name, alias)) and a.number == version.number]
        listed.append(
            {
                "version": version.number,
                "bundle": version.bundle[:12],
                "model": version.model[:12],
                "may serve": proven,
                "alias": " ".join(held),
            }
        )
    deployments = [
        {"revision": d.revision, "routes": ", ".join(f"{r['version']}: {r['share']:.0%}" for r in d.routes), "note": d.note}
        for d in store.records.deployments(name)
    ]
    return {"versions": listed, "deployments": deployments}


def _run(store: LocalStore, what: str) -> dict[str, Any]:
    run = store.records.run(what)
    steps = [
        {
            "step": s["step"],
            "state": s["state"],
            "seconds": s.get("seconds", ""),
            "outputs": " ".join(f"{p}={a}" for p, a in s.get("outputs", {}).items()),
        }
        for s in run.steps
    ]
    return {
        "run": [{"run": run.id, "recipe": run.name, "status": store.status_of(run), "seconds": round(run.seconds or 0, 1)}],
        "steps": steps,
    }


def _stored(store: LocalStore, what: str) -> dict[str, Any]:
    from sapwood.errors import NotFound

    try:
        return _artifact(store, what)
    except NotFound:
        raise NotFound(
            f"{what!r} is no run, model or artifact here", "sapwood show lists runs and models, sapwood store list artifacts"
        ) from None


def _artifact(store: LocalStore, what: str) -> dict[str, Any]:
    from sapwood.store import address

    artifact = address.find(store, what)
    entries = store.entries(artifact)
    made = [
        {"step": r.name, "run": r.run, "seconds": round(r.seconds, 1), "params": json.dumps(dict(r.params), ensure_ascii=False)}
        for r in store.producers(artifact)
    ]
    files = [{"file": e.path, "bytes": e.size, "sha256": e.sha256[:16]} for e in entries]
    found: dict[str, Any] = {"artifact": [{"kind": artifact.kind, "digest": artifact.digest}], "files": files, "made by": made}
    if artifact.kind in ("documents", "examples"):
        from sapwood.runs import trace

        found["first rows"] = [{"id": i, "source": s, "text": t} for i, s, t in trace.ids(store, artifact, 3)]
    if artifact.kind == "report":
        from sapwood import report

        body = report.read(store.open(artifact))
        found["report"] = [{"title": body["title"], "summary": body["summary"]}]
    return found


def _print(found: dict[str, Any]) -> None:
    if not any(found.values()):
        print("Nothing here yet. Next: sapwood run recipe.yaml")
    _tables({title: (list(rows[0]), [list(row.values()) for row in rows]) for title, rows in found.items() if rows})


def _tables(tables: dict[str, Any]) -> None:
    from rich.console import Console

    from sapwood.runs import terminal

    console = Console(width=80)
    for title, (columns, rows) in tables.items():
        if rows:
            console.print(terminal.plain(title, columns, rows))
        else:
            console.print(f"{title}: no difference")
