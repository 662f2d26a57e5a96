"""`sapwood why`: what happened to a run, in plain words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def why(
    run: Annotated[str, typer.Argument(help="A run's id, the start of one, or `last`.")] = "last",
    store: Annotated[Path | None, typer.Option("--store", envvar="SAPWOOD_STORE", help="The store's folder.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on standard output.")] = False,
) -> None:
    """Say in plain words what happened to a run: why it ended, what training ran into, what was reused, what waited, what to do.

    Example: sapwood why last
    """
    from sapwood.runs import why as reasons
    from sapwood.runs.terminal import folded
    from sapwood.store.find import open_store

    opened = open_store(store, create=False)
    found = opened.records.run(run)
    told = reasons.tell(opened, found)
    if as_json:
        print(json.dumps(vars(told), ensure_ascii=False))
        return
    print(folded(f"Run {told.run} ({found.name}) is {told.status}: {told.because}"))
    for sentence in told.noticed:
        print(folded(sentence, "- ", "  "))
    if told.next:
        print(f"Next: {told.next}")
