"""`sapwood plan` and `sapwood run`."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sapwood.artifact import Artifact
    from sapwood.recipe import Recipe
    from sapwood.runs.local import Outcome
    from sapwood.runs.monitor import QuietMonitor, StopFlag
    from sapwood.store.local import LocalStore

RecipeFile = Annotated[Path, typer.Argument(help="The recipe, a YAML file.", show_default=False)]
Set = Annotated[list[str] | None, typer.Option("--set", help="Override a field: stages.clean.min_chars=20", show_default=False)]
Given = Annotated[list[str] | None, typer.Option("--input", help="An input of the recipe: NAME=DIGEST", show_default=False)]
StorePath = Annotated[Path | None, typer.Option("--store", envvar="SAPWOOD_STORE", help="The store's folder.", show_default=".sapwood")]
Trackers = Annotated[
    list[str] | None,
    typer.Option("--tracker", envvar="SAPWOOD_TRACKERS", help="Also tell metrics to: tensorboard, mlflow, wandb.", show_default=False),
]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on standard output, for scripts.")]


def plan(recipe: RecipeFile, overrides: Set = None, given: Given = None, store: StorePath = None, as_json: AsJson = False) -> None:
    """Show the filled recipe, which steps are on record, and what the rest would cost. Nothing runs.

    Example: sapwood plan recipe.yaml --set stages.clean.min_chars=20
    """
    import json
    from tempfile import TemporaryDirectory

    from sapwood import recipe as recipes
    from sapwood.cli import study as studies
    from sapwood.recipe.study import is_study
    from sapwood.runs import plan as plans
    from sapwood.store.find import locate, open_store

    if is_study(recipe):
        studies.plan(recipe, overrides, store, as_json)
        return
    checked = recipes.read(recipe, overrides or [])
    with TemporaryDirectory() as nothing:  # a plan makes no store: without one, all is compared with an empty one
        opened = open_store(store if locate(store).exists() else Path(nothing))
        made = plans.make(checked, opened, _given(opened, given or []))
        opened.close()
    if as_json:
        steps = [
            {"step": p.step.name, "state": p.state, "key": p.key, **p.estimate._asdict(), "basis": p.basis, "notes": p.notes}
            for p in made.steps
        ]
        print(json.dumps({"recipe": recipes.filled(checked), "steps": steps, "total": made.total._asdict()}, ensure_ascii=False))
        return
    _print_plan(made)


def run(
    recipe: RecipeFile,
    overrides: Set = None,
    given: Given = None,
    store: StorePath = None,
    report: Annotated[Path | None, typer.Option("--report", help="Write the run's report to this HTML file.", show_default=False)] = None,
    tracker: Trackers = None,
    as_json: AsJson = False,
) -> None:
    """Run a recipe. Steps that are on record are reused; a killed run continues with the same command.

    Example: sapwood run recipe.yaml --report report.html
    """
    from sapwood import recipe as recipes
    from sapwood.cli import study as studies
    from sapwood.errors import InputError
    from sapwood.recipe.study import is_study
    from sapwood.store.find import open_store

    if is_study(recipe):
        if given or tracker:
            raise InputError(f"{recipe} is a study, which takes no --input and no --tracker", "run its recipe by itself for those")
        studies.run(recipe, overrides, store, report, None, as_json)
        return
    if report is not None and report.is_dir():
        raise InputError(f"--report {report} is a folder", "give the path of an HTML file")
    checked = recipes.read(recipe, overrides or [])
    opened = open_store(store)
    follow(checked, opened, _given(opened, given or []), report, as_json, tracker or [])


def follow(
    recipe: Recipe, store: LocalStore, inputs: dict[str, Artifact], report: Path | None, as_json: bool, trackers: Sequence[str] = ()
) -> None:
    """Run a checked recipe with bars or JSON lines, and tell at the end what it made. `trackers` are told its metrics."""
    from sapwood.runs import local
    from sapwood.runs.monitor import EventLog, JsonMonitor, StopFlag, TerminalMonitor
    from sapwood.runs.trackers.tracker import chosen, tracking

    stop, asked = StopFlag(), chosen(trackers)
    with graceful(stop):
        run_id = local.begin(recipe, store, inputs)
        log = EventLog(store.run_folder(run_id) / "events.jsonl")
        monitor: QuietMonitor = JsonMonitor(log, stop) if as_json else TerminalMonitor(log, stop)
        try:
            with tracking(monitor, asked, recipe, run_id, store.run_folder(run_id)) as tracked:
                outcome = local.execute(recipe, store, tracked, inputs, run_id)
        finally:
            log.close()
    _closing(store, outcome, report, as_json)


@contextmanager
def graceful(stop: StopFlag) -> Iterator[None]:
    """SIGTERM and the first Ctrl-C ask the step to save and stop (exit 75); the second Ctrl-C stops at once (130)."""

    def ask(number: int, frame: object) -> None:
        if stop.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        stop.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _given(store: LocalStore, pairs: list[str]) -> dict[str, Artifact]:
    from sapwood.errors import InputError

    found = {}
    for pair in pairs:
        name, equals, digest = pair.partition("=")
        if not equals:
            raise InputError(f"--input {pair}: write it as NAME=DIGEST", "sapwood show lists artifacts of a run")
        found[name] = store.find(digest)
    return found


def _closing(store: LocalStore, outcome: Outcome, report: Path | None, as_json: bool) -> None:
    import json

    from sapwood.runs import story

    if report is not None:
        report.parent.mkdir(parents=True, exist_ok=True)
        report.write_text(story.page(store, outcome.run), encoding="utf-8")
    if as_json:
        print(
            json.dumps(
                {"type": "run", "run": outcome.run, "seconds": round(outcome.seconds, 2), "steps": outcome.steps}, ensure_ascii=False
            )
        )
        return
    story.tell(store, outcome.run)
    count = len([step for step in outcome.steps if "/" not in step["step"]])
    if outcome.all_known:
        print(f"Nothing had to run: {count} steps are on record ({outcome.seconds:.1f} s).")
    else:
        print(f"Run {outcome.run}: {count} steps in {outcome.seconds:.0f} s.")
    if report is not None:
        print(f"Report: {report}")


def _print_plan(made: object) -> None:
    import sys

    import yaml
    from rich.console import Console
    from rich.table import Table

    from sapwood import recipe as recipes
    from sapwood.runs.plan import Plan
    from sapwood.runs.terminal import folded

    assert isinstance(made, Plan)
    sys.stdout.write(yaml.safe_dump(recipes.filled(made.recipe), sort_keys=False, allow_unicode=True, width=100))
    table = Table(box=None, padding=(0, 1), header_style="bold")
    for name, justify in (
        ("step", "left"),
        ("state", "left"),
        ("seconds", "right"),
        ("memory MB", "right"),
        ("disk MB", "right"),
        ("basis", "left"),
    ):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    for p in made.steps:
        known = p.state in ("reuse", "done")
        cells = (
            ["", "", "", ""]
            if known
            else [f"{p.estimate.seconds:.0f}", f"{p.estimate.memory / 1e6:.0f}", f"{p.estimate.disk / 1e6:.0f}", p.basis]
        )
        table.add_row(p.step.name, p.state, *cells)
    total = made.total
    table.add_row("total", "", f"{total.seconds:.0f}", f"{total.memory / 1e6:.0f}", f"{total.disk / 1e6:.0f}", "", style="bold")
    Console(width=80 if not sys.stdout.isatty() else None).print(table)
    for p in made.steps:
        for note in p.notes:
            print(folded(note, f"{p.step.name}: ", "  "))
