"""`sapwood data step`: which documents a training step read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from sapwood.text.tokens.shards import Packed

StorePath = Annotated[Path | None, typer.Option("--store", envvar="SAPWOOD_STORE", help="The store's folder.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on standard output.")]


def step(
    tokens: Annotated[str, typer.Argument(help="Packed tokens: a digest, STEP.PORT or RUN:STEP.PORT.", show_default=False)],
    number: Annotated[int, typer.Option("--step", min=0, help="The step, counted from 0.", show_default=False)],
    batch: Annotated[int, typer.Option("--batch", min=1, help="Sequences of a step, over all workers.", show_default=False)],
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the order.")] = 0,
    epoch: Annotated[
        int | None, typer.Option("--epoch", min=0, help="Count the step within this epoch, not from the start.", show_default=False)
    ] = None,
    store: StorePath = None,
    as_json: AsJson = False,
) -> None:
    """Which documents were in a step of training: their ids, sources and addresses.

    Example: sapwood data step pack.tokens --step 1234 --batch 32 --seed 0
    """
    from sapwood.artifact import Tokens
    from sapwood.errors import InputError
    from sapwood.store import address
    from sapwood.store.find import open_store
    from sapwood.text.tokens.shards import Packed

    opened = open_store(store, create=False)
    found = address.find(opened, tokens)
    if not isinstance(found, Tokens):
        raise InputError(f"{tokens} is a {found.kind} artifact, not tokens", "sapwood store list tokens")
    told = inside(Packed(opened.open(found)), number, batch, seed, epoch)
    if as_json:
        print(json.dumps({"tokens": str(found), **told}, ensure_ascii=False))
        return
    print(f"{found}, step {number}: {len(told['sequences'])} sequences from epoch {told['epoch']}, place {told['place']} on")
    for row in told["documents"]:
        place = ", ".join(f"sequence {n}: {begin}-{end}" for n, begin, end in row["tokens"])
        print(f"  {row['id']}  {row['source']}  {row['url']}  tokens {place}")


def inside(packed: Packed, number: int, batch: int, seed: int, epoch: int | None) -> dict[str, Any]:
    """The documents of a step, in the order they are read, with the tokens of each (first, and one past the last) by sequence."""
    from sapwood.text.tokens import order

    at = order.at_step(len(packed), seed, batch, number, epoch)
    numbers, _ = order.take(len(packed), at, batch)
    spans: dict[int, list[tuple[int, int, int]]] = {}
    for chosen in numbers.tolist():
        for segment in packed.sequence(chosen).segments.tolist():
            document, _, length, offset = segment
            spans.setdefault(document, []).append((chosen, offset, offset + length))
    rows = packed.documents(list(spans))
    listed = [{**{name: rows[one][name] for name in ("id", "source", "url", "language")}, "tokens": spans[one]} for one in spans]
    return {"epoch": at.epoch, "place": at.place, "sequences": numbers.tolist(), "documents": listed}
