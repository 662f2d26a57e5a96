"""`sapwood data`: look into rows, compare two versions of them, and write their card."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sapwood.cli.selftest import selftest
from sapwood.cli.step import step
from sapwood.cli.what_if import what_if

if TYPE_CHECKING:
    from sapwood.artifact import Artifact
    from sapwood.store.local import LocalStore

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Look into rows of text, compare two versions of them, and write their card.\n\n"
    "ARTIFACT is the start of a digest (3fa9c1), STEP.PORT of the newest run that has it (clean.kept), or RUN:STEP.PORT (last:clean.kept).",
)

Name = Annotated[str, typer.Argument(metavar="ARTIFACT", help="A digest, STEP.PORT or RUN:STEP.PORT.", show_default=False)]
StorePath = Annotated[Path | None, typer.Option("--store", envvar="SAPWOOD_STORE", help="The store's folder.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on standard output; rows as one JSON object a line.")]
Where = Annotated[
    list[str] | None, typer.Option("--where", help="Only rows with FIELD=VALUE or FIELD!=VALUE; meta.NAME too. Repeat for more.")
]

SHOWN = 400
"""Characters of a text that a person is shown; --json has them all."""


@app.command()
def cat(
    artifact: Name,
    columns: Annotated[
        str, typer.Option(help="Columns to show, with commas: id,text,meta.domain. Nothing: all but stats.", show_default=False)
    ] = "",
    where: Where = None,
    limit: Annotated[int, typer.Option(min=0, help="Most rows; 0 for all.")] = 10,
    as_json: AsJson = False,
    store: StorePath = None,
) -> None:
    """Print rows in their order.

    Example: sapwood data cat clean.kept --where language=zh --columns id,text --limit 5
    """
    from sapwood.text.versions import looking

    found, folder = _opened(artifact, store)
    if folder is None:
        _print_other(found, store, as_json)
        return
    conditions = [looking.condition(one) for one in where or []]
    wanted = [name.strip() for name in columns.split(",") if name.strip()]
    shown = 0
    for row in looking.cat(folder, limit, conditions, wanted):
        _print_row(row, as_json)
        shown += 1
    if not as_json:
        typer.echo(f"{shown:,} rows shown of {_count(folder):,} in {found}", err=True)


@app.command()
def search(
    artifact: Name,
    pattern: Annotated[str, typer.Argument(help="Text to look for.", show_default=False)],
    regex: Annotated[bool, typer.Option("--regex", help="The pattern is a regular expression of Python.")] = False,
    ignore_case: Annotated[bool, typer.Option("--ignore-case", "-i", help="Take upper and lower case for equal.")] = False,
    context: Annotated[int, typer.Option(min=0, help="Characters to show on each side.")] = 30,
    limit: Annotated[int, typer.Option(min=0, help="Most rows to show; all are counted.")] = 10,
    as_json: AsJson = False,
    store: StorePath = None,
) -> None:
    """Find text in rows, with what stands around it, and count it by source and language.

    Example: sapwood data search clean.kept 退款; sapwood data search 3fa9c1 "refund(ed)?" --regex -i
    """
    from sapwood.cli import data_pages
    from sapwood.text.versions import looking

    found, folder = _rows(artifact, store)
    result = looking.search(folder, pattern, regex, ignore_case, context, limit)
    if as_json:
        body = {**result._asdict(), "hits": [hit._asdict() for hit in result.hits]}
        typer.echo(json.dumps(body, ensure_ascii=False))
        return
    for hit in result.hits:
        data_pages.print_hit(hit)
    for title, counts in (("By source", result.by_source), ("By language", result.by_language)):
        data_pages.table(
            title, ["value", "rows"], [[data_pages.narrow(name or "not stated"), number] for name, number in counts.most_common(20)]
        )
    typer.echo(f"{result.matches:,} matches in {result.rows:,} of {result.seen:,} rows of {found}", err=True)


@app.command()
def sample(
    artifact: Name,
    number: Annotated[int, typer.Option("--number", "-n", min=1, help="How many rows; with --by, of each value.")] = 5,
    seed: Annotated[int, typer.Option(help="Another seed draws other rows.")] = 0,
    by: Annotated[str, typer.Option(help="Draw from each value of this field by itself: label, language, source, meta.NAME.")] = "",
    where: Where = None,
    as_json: AsJson = False,
    store: StorePath = None,
) -> None:
    """Draw rows evenly by seed, whatever their order.

    Example: sapwood data sample clean.dropped -n 3 --by meta.dropped
    """
    from sapwood.text.versions import looking

    _, folder = _rows(artifact, store)
    for row in looking.sample(folder, number, seed, by, [looking.condition(one) for one in where or []]):
        _print_row(row, as_json)


@app.command()
def stats(artifact: Name, as_json: AsJson = False, store: StorePath = None) -> None:
    """Count rows and characters, and show lengths, languages, labels, sources and licences.

    Example: sapwood data stats split.train
    """
    from sapwood.cli import data_pages
    from sapwood.text.versions import profile

    found, folder = _opened(artifact, store)
    if folder is None:
        _print_other(found, store, as_json)
        return
    counted = profile.profile(folder)
    body = data_pages.stats(str(found), counted)
    if as_json:
        typer.echo(json.dumps(body, ensure_ascii=False))
        return
    data_pages.print_stats(counted)


@app.command()
def diff(
    left: Annotated[str, typer.Argument(metavar="ARTIFACT", help="The earlier version.", show_default=False)],
    right: Annotated[str, typer.Argument(metavar="ARTIFACT", help="The later version.", show_default=False)],
    examples: Annotated[int, typer.Option(min=0, help="How many rows of each change to show.")] = 2,
    as_json: AsJson = False,
    store: StorePath = None,
) -> None:
    """Compare two versions: rows added, dropped, rewritten, relabelled; drift of length, language, label and source.

    Example: sapwood data diff collect.documents clean.kept
    """
    from sapwood.cli import data_pages
    from sapwood.text.versions import changes, drift, profile

    sides = [_rows(name, store) for name in (left, right)]
    changed = changes.compare(sides[0][1], sides[1][1], examples)
    drifts = drift.compare(*(profile.profile(folder) for _, folder in sides))
    names = (str(sides[0][0]), str(sides[1][0]))
    if as_json:
        typer.echo(json.dumps(data_pages.diff(names, changed, drifts), ensure_ascii=False))
        return
    data_pages.print_diff(names, changed, drifts)


@app.command()
def card(
    artifact: Name,
    name: Annotated[str, typer.Option(help="What the dataset is called. Nothing: its kind and digest.", show_default=False)] = "",
    creator: Annotated[str, typer.Option(help="Who made it: a person or an organisation.", show_default=False)] = "",
    croissant: Annotated[bool, typer.Option("--croissant", help="Print Croissant 1.1 metadata (JSON-LD) instead.")] = False,
    store: StorePath = None,
) -> None:
    """Print the dataset card: counts, licences by source, and how the rows were made. `sapwood export` writes it beside the rows.

    Example: sapwood data card split.train --name reviews; sapwood export split.train ./reviews
    """
    from sapwood.runs import datasets
    from sapwood.store import address
    from sapwood.store.find import open_store
    from sapwood.text.versions import cards
    from sapwood.text.versions import croissant as jsonld

    opened = open_store(store, create=False)
    described = datasets.describe(opened, address.find(opened, artifact), name, creator)
    typer.echo(jsonld.render(described) if croissant else cards.render(described), nl=False)


app.command("what-if")(what_if)
app.command()(selftest)
app.command()(step)


# --------------------------------------------------------------------------- what they share


def _find(name: str, store: Path | None) -> tuple[LocalStore, Artifact]:
    from sapwood.store import address
    from sapwood.store.find import open_store

    opened = open_store(store, create=False)
    return opened, address.find(opened, name)


def _opened(name: str, store: Path | None) -> tuple[Artifact, Path | None]:
    """The artifact, and its folder if it holds rows."""
    from sapwood.runs import trace

    opened, found = _find(name, store)
    return found, opened.open(found) if trace.is_rows(found) else None


def _rows(name: str, store: Path | None) -> tuple[Artifact, Path]:
    from sapwood.runs import datasets

    opened, found = _find(name, store)
    return found, datasets.rows_of(opened, found)


def _count(folder: Path) -> int:
    from sapwood.text import rows

    return rows.count(folder)


def _print_other(artifact: Artifact, store: Path | None, as_json: bool) -> None:
    """What can be said of an artifact without rows."""
    from sapwood.cli import data_pages
    from sapwood.store.find import open_store

    opened = open_store(store, create=False)
    body = data_pages.other(artifact, opened.open(artifact), opened.entries(artifact))
    if as_json:
        typer.echo(json.dumps(body, ensure_ascii=False))
        return
    for key, value in body.items():
        typer.echo(f"{key:<12} {value}")


def _print_row(row: dict[str, Any], as_json: bool) -> None:
    from sapwood.cli import data_pages

    typer.echo(json.dumps(row, ensure_ascii=False, default=str) if as_json else data_pages.row(row, SHOWN))
