"""One line for each thing that happens in a study."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sapwood.runs.page import number, seconds


def line(kind: str, body: Mapping[str, Any]) -> str:
    """A line of at most some 100 characters."""
    if kind == "trial":
        score = number(body["score"]) if body["score"] is not None else body["state"]
        shared = f", {body['reused']} of {body['made'] + body['reused']} steps reused" if body["reused"] else ""
        why = f": {body['error'].splitlines()[0][:80]}" if body["state"] == "failed" else ""
        best = f"  best {number(body['best'])}" if body["best"] is not None else ""
        return f"trial {body['number'] + 1}/{body['of']}  {score}{best}  {values(body['values'])}  {seconds(body['seconds'])}{shared}{why}"
    if kind == "repeat":
        return f"again: {body['name']}, seed {body['seed']}: {number(body['score'])}"
    return (
        f"rung {body['done']}/{body['of']}  N={body['parameters']:,.0f} D={body['tokens']:,.0f}  loss {body['loss']:.4f}"
        f"  {seconds(body['seconds'])}{' (on record)' if body['reused'] else ''}"
    )


def values(given: Mapping[str, Any]) -> str:
    """`lr=0.0003 r=8`: the last part of each path, or more where two end alike."""
    names = short_names(list(given))
    return " ".join(f"{names[path]}={shown(value)}" for path, value in given.items())


def short_names(paths: list[str]) -> dict[str, str]:
    """The shortest ending of each path that no other shares."""
    found = {}
    for path in paths:
        parts = path.split(".")
        endings = (".".join(parts[-count:]) for count in range(1, len(parts) + 1))
        found[path] = next(end for end in endings if sum(other == end or other.endswith(f".{end}") for other in paths) == 1)
    return found


def shown(value: Any) -> str:
    """A value as it would stand in a recipe, short."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {shown(item)}" for key, item in value.items()) + "}"
    return str(value)
