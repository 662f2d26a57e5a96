"""`sapwood data selftest`: how well near-duplicates are found in a team's own text, measured on copies planted into it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sapwood.errors import InputError

if TYPE_CHECKING:
    from sapwood.text.near.planting import Text

SOURCES = {".jsonl": "jsonl", ".csv": "csv", ".parquet": "parquet", ".txt": "lines"}
COPIES_SHARE = 0.2
ENOUGH = 100
"""Copies of a language below which its recall is a rough figure, and said to be."""


def selftest(
    artifact: Annotated[
        str,
        typer.Argument(
            metavar="ARTIFACT|FILE",
            help="A digest, STEP.PORT, RUN:STEP.PORT, or a .jsonl, .csv, .parquet or .txt (a text a line) file.",
            show_default=False,
        ),
    ],
    documents: Annotated[int, typer.Option(min=10, help="Most documents to plant copies into; they are drawn evenly.")] = 20_000,
    seed: Annotated[int, typer.Option(help="Another seed plants other copies.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
    store: Annotated[Path | None, typer.Option("--store", envvar="SAPWOOD_STORE", help="The store's folder.")] = None,
) -> None:
    """Plant copies of known similarity into your own text and measure how many are found, how many findings are right, and how fast.

    Example: sapwood data selftest clean.kept; sapwood data selftest reviews.jsonl --json
    """
    found = measure(_drawn(_texts(artifact, store), documents, seed), seed)
    typer.echo(json.dumps(found, ensure_ascii=False)) if as_json else _print(found)


def measure(texts: list[Text], seed: int) -> dict[str, Any]:
    """Numbers for programs: documents, planted, precision, docs_per_cpu_s, and by language recall and hard negatives."""
    from sapwood.text.near import planting, proving

    planted = list(planting.plant(texts, int(len(texts) * COPIES_SHARE) + 1, seed))
    if not planted:
        raise InputError(
            f"no text has {planting.LEAST_UNITS} words or characters and at most {planting.MOST_CHARACTERS:,} characters",
            "near-duplicates need longer texts; shorter ones are compared as exact copies",
        )
    bodies = [text.text for text in texts] + [copy.text for copy in planted]
    languages = [text.language for text in texts] + [copy.language for copy in planted]
    truth = proving.truth_of(
        ((copy.id, copy.source, copy.jaccard) for copy in planted), [*(text.id for text in texts), *(copy.id for copy in planted)]
    )
    with tempfile.TemporaryDirectory(prefix="sapwood-") as scratch:
        found = proving.find(bodies, Path(scratch))
    scores = proving.recall(found.links, truth, languages)
    return {
        "documents": len(bodies),
        "planted": len(planted),
        "threshold": proving.THRESHOLD,
        "docs_per_cpu_s": round(len(bodies) / found.cpu_s, 1),
        "precision": round(proving.precision(found.links, bodies, seed), 4),
        "languages": {name: score._asdict() for name, score in scores.items()},
    }


def _texts(name: str, store: Path | None) -> Iterator[dict[str, Any]]:
    """The rows of a file, or of an artifact in the store."""
    path = Path(name)
    if path.is_file():
        from sapwood import plugins
        from sapwood.text import readers

        kind = SOURCES.get(path.suffix)
        if kind is None:
            raise InputError(f"{path.name}: a file of this kind is not read here", f"give one of {', '.join(SOURCES)}, or an artifact")
        source = plugins.load("sources", kind).model_validate({"kind": kind, "name": "file", "path": path.name})
        for batch in readers.read(source, readers.quietly(path.resolve().parent)):
            yield from batch
        return
    from sapwood.runs import datasets
    from sapwood.store import address
    from sapwood.store.find import open_store
    from sapwood.text import rows

    opened = open_store(store, create=False)
    for stored in rows.batches(datasets.rows_of(opened, address.find(opened, name)), ["text", "language"]):
        yield from stored.to_pylist()


def _drawn(found: Iterator[dict[str, Any]], most: int, seed: int) -> list[Text]:
    """At most so many rows, each as likely (reservoir sampling), with the language told where a row does not say it."""
    import random

    from sapwood.text import language
    from sapwood.text.near.planting import Text

    chance, drawn = random.Random(seed), []
    for number, row in enumerate(found):
        if number < most:
            drawn.append(row)
        elif (place := chance.randrange(number + 1)) < most:
            drawn[place] = row
    told = language.identify_all([row["text"] or "" for row in drawn])
    return [
        Text(str(number), row.get("language") or guess.code, row["text"] or "")
        for number, (row, guess) in enumerate(zip(drawn, told, strict=True))
    ]


def _print(found: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("language", "copies planted", "found", "hard negatives", "taken for copies", title="Planted copies")
    for name, score in found["languages"].items():
        few = " (few)" if score["planted"] < ENOUGH else ""
        table.add_row(
            name or "(none)", f"{score['planted']:,}{few}", f"{score['recall']:.1%}", f"{score['negatives']:,}", f"{score['taken']:,}"
        )
    console = Console()
    console.print(table)
    console.print(
        f"{found['documents']:,} documents, {found['planted']:,} of them planted; Jaccard similarity >= {found['threshold']:g} is a copy.\n"
        f"precision {found['precision']:.1%}, {found['docs_per_cpu_s']:,.0f} documents per CPU second"
    )
