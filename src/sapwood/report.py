"""What a stage reports: numbers for programs, blocks for people. Pure data; pages are drawn from it elsewhere.

A report payload is `report.json`: {"title", "summary", "data", "blocks"}. `data` is what programs read.
Block types: text, table, lines (curves), parallel (coordinates), bars, matrix (confusion), samples (rows of text with a reason).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Block = dict[str, Any]


def text(body: str) -> Block:
    """A paragraph."""
    return {"type": "text", "body": body}


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], note: str = "") -> Block:
    """Cells are strings or numbers; a number column is set right-aligned."""
    return {"type": "table", "title": title, "columns": list(columns), "rows": [list(r) for r in rows], "note": note}


Points = Mapping[str, Sequence[tuple[float, float]]]


def lines(title: str, x: str, y: str, series: Points, note: str = "", marks: Block | None = None) -> Block:
    """Curves: each series a list of (x, y). `marks` adds what `marked` gives."""
    return {"type": "lines", "title": title, "x": x, "y": y, "series": _listed(series), "note": note, **(marks or {})}


def marked(points: Points | None = None, hollow: Points | None = None, log: str = "") -> Block:
    """For `lines`: single measurements as dots, filled or hollow, in the colour of the series of the same name; `log` is "", x, y or xy."""
    return {"points": _listed(points or {}), "hollow": _listed(hollow or {}), "log": log}


def _listed(series: Points) -> dict[str, list[list[float]]]:
    return {name: [list(point) for point in points] for name, points in series.items()}


def parallel(title: str, axes: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]], note: str = "") -> Block:
    """Parallel coordinates. An axis is {"name", "ticks": [(place, label)]}, a row {"places": one a axis or None, "rank": best, top or other};
    a place is from 0 (bottom) to 1."""
    return {"type": "parallel", "title": title, "axes": [dict(a) for a in axes], "rows": [dict(r) for r in rows], "note": note}


def bars(title: str, rows: Sequence[tuple[str, float, float | None, float | None]], unit: str = "", note: str = "") -> Block:
    """(label, value, low, high): horizontal bars with intervals; low and high may be None."""
    return {"type": "bars", "title": title, "rows": [list(r) for r in rows], "unit": unit, "note": note}


def matrix(title: str, labels: Sequence[str], counts: Sequence[Sequence[int]], note: str = "") -> Block:
    """Confusion counts: rows are the truth, columns the prediction."""
    return {"type": "matrix", "title": title, "labels": list(labels), "counts": [list(r) for r in counts], "note": note}


def samples(title: str, rows: Sequence[Mapping[str, Any]], note: str = "") -> Block:
    """Rows of text to read: each {"text", "reason", ...}."""
    return {"type": "samples", "title": title, "rows": [dict(r) for r in rows], "note": note}


def write(folder: Path, title: str, summary: str, data: Mapping[str, Any], blocks: Sequence[Block]) -> None:
    """Write `report.json`, sorted and stable, so that the same numbers give the same digest."""
    body = {"title": title, "summary": summary, "data": dict(data), "blocks": list(blocks)}
    rendered = json.dumps(body, ensure_ascii=False, indent=1, sort_keys=True, allow_nan=False)
    (folder / "report.json").write_text(rendered + "\n", encoding="utf-8")


def read(folder: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return loaded
