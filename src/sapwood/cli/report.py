"""`sapwood report`: a run as one HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    run: Annotated[str, typer.Argument(help="A run's id, the start of one, or `last`.")] = "last",
    out: Annotated[Path, typer.Option("--out", "-o", help="The HTML file to write.")] = Path("report.html"),
    store: Annotated[Path | None, typer.Option("--store", envvar="SAPWOOD_STORE", help="The store's folder.")] = None,
) -> None:
    """Write a run's report: one self-contained page, no network.

    Example: sapwood report last -o report.html
    """
    from sapwood.runs import story
    from sapwood.store.find import open_store

    opened = open_store(store, create=False)
    page = story.page(opened, opened.records.run(run).id)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(page, encoding="utf-8")
    print(out)
