"""`sapwood cycle`: the turns of the loop."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def cycle(
    identifier: Annotated[str, typer.Argument(help="A cycle's id; without one, all are listed.", show_default=False)] = "",
    model: Annotated[str, typer.Option("--model", help="Only cycles of this model name.")] = "",
    store: Annotated[Path | None, typer.Option("--store", envvar="SAPWOOD_STORE", help="The store's folder.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on standard output.")] = False,
) -> None:
    """List cycles, or show one. A cycle is opened by the `cycle` action of a recipe.

    Example: sapwood cycle --model reviews
    """
    import json
    from dataclasses import asdict

    from rich.console import Console

    from sapwood.runs import terminal
    from sapwood.store.find import open_store

    records = open_store(store, create=False).records
    found = (
        [records.cycle(identifier)] if identifier else [c for name in ([model] if model else records.names()) for c in records.cycles(name)]
    )
    if as_json:
        print(json.dumps([asdict(c) for c in found], ensure_ascii=False, default=str))
        return
    rows = [[c.id, c.model, c.state, c.data.get("champion", ""), c.data.get("challenger", ""), c.data.get("reason", "")] for c in found]
    Console(width=80).print(terminal.plain("Cycles", ["id", "model", "state", "champion", "challenger", "reason"], rows))
    if identifier:
        print("  " + " -> ".join(step["state"] for step in found[0].history))
