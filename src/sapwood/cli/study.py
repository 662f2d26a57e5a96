"""`sapwood study`: something that runs recipes many times: a search of settings, or a scaling law."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from sapwood.runs.studies.kept import Kept

app = typer.Typer(no_args_is_help=True, help="Run a recipe many times: a search of settings, or a scaling law.")

StudyFile = Annotated[Path, typer.Argument(help="The study, a YAML file.", show_default=False)]
Set = Annotated[list[str] | None, typer.Option("--set", help="Override a key: budget.trials=5, stages.tuned.epochs=1", show_default=False)]
StorePath = Annotated[Path | None, typer.Option("--store", envvar="SAPWOOD_STORE", help="The store's folder.", show_default=".sapwood")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on standard output, for scripts.")]
Report = Annotated[Path | None, typer.Option("--report", help="Write the study's report to this HTML file.", show_default=False)]
Best = Annotated[Path | None, typer.Option("--best", help="Write the recipe with the best values to this file.", show_default=False)]


@app.command()
def plan(file: StudyFile, overrides: Set = None, store: StorePath = None, as_json: AsJson = False) -> None:
    """Check a study and show what it would run and cost. Nothing runs.

    Example: sapwood study plan search.yaml --set budget.trials=5
    """
    from tempfile import TemporaryDirectory

    from sapwood.recipe import study as studies
    from sapwood.runs import terminal
    from sapwood.runs.studies import costs
    from sapwood.store.find import locate, open_store

    study = studies.read(file, overrides or [])
    with TemporaryDirectory() as nothing:  # as in `sapwood plan`: a plan makes no store
        opened = open_store(store if locate(store).exists() else Path(nothing))
        told = costs.estimate(study, opened)
        opened.close()
    if as_json:
        print(json.dumps(told, ensure_ascii=False))
        return
    for line in costs.lines(told):
        print(terminal.folded(line, later="      "))


@app.command()
def run(
    file: StudyFile,
    overrides: Set = None,
    store: StorePath = None,
    report: Report = None,
    best: Best = None,
    as_json: AsJson = False,
) -> None:
    """Run a study. What is on record is reused; a study that was stopped continues with the same command.

    Examples: sapwood study run search.yaml --report search.html --best best.yaml; sapwood study run scale-law.yaml
    """
    from sapwood.cli.run import graceful
    from sapwood.errors import InputError
    from sapwood.recipe import study as studies
    from sapwood.runs.monitor import StopFlag
    from sapwood.runs.studies import run as running
    from sapwood.store.find import open_store

    for path in (report, best):
        if path is not None and path.is_dir():
            raise InputError(f"{path} is a folder", "give the path of a file")
    study = studies.read(file, overrides or [])
    if best is not None and study.asked.study != "search":
        raise InputError(f"a {study.asked.study} study has no best recipe", "leave --best out")
    opened, stop = open_store(store), StopFlag()
    with graceful(stop):
        kept = running.run(study, opened, stop, _tell_json if as_json else _tell)
    if report is not None:
        _write_page(kept, report)
    if best is not None:
        body = kept.body
        assert body is not None
        best.parent.mkdir(parents=True, exist_ok=True)
        best.write_text(running.best_recipe(study, body["data"]), encoding="utf-8")
    _closing(kept, as_json, report, best)


@app.command()
def show(
    study: Annotated[str, typer.Argument(help="A study's id, the start of one, or `last`.")] = "last",
    report: Report = None,
    store: StorePath = None,
    as_json: AsJson = False,
) -> None:
    """Show what a study found, or write its report again.

    Example: sapwood study show last --report search.html
    """
    from sapwood.errors import NotFound
    from sapwood.runs.studies import kept as keeping
    from sapwood.store.find import open_store

    kept = keeping.find(open_store(store, create=False), study)
    if kept.body is None:
        raise NotFound(f"the study {kept.identifier} is not finished", f"sapwood study run {kept.settings['file']}")
    if report is not None:
        _write_page(kept, report)
    _closing(kept, as_json, report, None)


@app.command("list")
def list_(store: StorePath = None, as_json: AsJson = False) -> None:
    """List the studies of a store, the newest first."""
    from rich.console import Console

    from sapwood.runs import terminal
    from sapwood.runs.studies import kept as keeping
    from sapwood.store.find import open_store

    rows = []
    for kept in keeping.studies(open_store(store, create=False)):
        body = kept.body
        rows.append({"study": kept.identifier, "kind": kept.settings["kind"], "found": body["summary"] if body else "not finished"})
    if as_json:
        print(json.dumps(rows, ensure_ascii=False))
        return
    Console(width=80).print(terminal.plain("Studies", ["study", "kind", "found"], [list(row.values()) for row in rows]))


def _write_page(kept: Kept, file: Path) -> None:
    from sapwood.runs.studies import run as running

    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(running.page(kept), encoding="utf-8")


def _closing(kept: Kept, as_json: bool, report: Path | None, best: Path | None) -> None:
    from rich.console import Console

    from sapwood.runs import terminal

    body = kept.body
    assert body is not None
    if as_json:
        print(json.dumps({"type": "study", "study": kept.identifier, "summary": body["summary"], **body["data"]}, ensure_ascii=False))
        return
    console = Console(width=terminal.WIDTH)
    for block in body["blocks"]:
        if block["type"] == "table" and len(block["rows"]) <= 12:
            console.print(terminal.plain(block["title"], block["columns"], block["rows"]))
    print(terminal.folded(body["summary"]))
    if body["data"].get("overrides"):
        print("Best values: " + " ".join(f"--set '{one}'" for one in body["data"]["overrides"]))
    for name, path in (("Report", report), ("Recipe with the best values", best)):
        if path is not None:
            print(f"{name}: {path}")
    print(f"Study: {kept.identifier}")


def _tell_json(kind: str, body: Mapping[str, Any]) -> None:
    print(json.dumps({"type": kind, **body}, ensure_ascii=False), flush=True)


def _tell(kind: str, body: Mapping[str, Any]) -> None:
    from sapwood.runs.studies.telling import line
    from sapwood.runs.terminal import folded

    print(folded(line(kind, body), later="  "), flush=True)
