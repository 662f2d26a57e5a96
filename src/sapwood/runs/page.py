"""The page of a run: one HTML file that a manager can read, keep, print and mail. No network, no script.

Everything that came from outside (texts, labels, names) is escaped by the template; a content policy in the page forbids
scripts and network as a second wall. The same input gives the same bytes.

What it does not do: it judges nothing and computes no score. It shows what the reports say, and shortens long texts,
saying by how much.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

from sapwood.runs import charts

LONGEST_SAMPLE = 600
"""Characters of one sample text that are shown."""
LARGEST_MATRIX = 30
"""Labels up to which a confusion matrix is drawn as a grid; larger ones are listed by their largest confusions."""


class Section(NamedTuple):
    """One step of the run and its report. `state`: made, reused, already done, failed, skipped. `seconds`: wall time of the step
    when it was made. `digest`: of the report artifact, or "". `body`: what `sapwood.report.read` gives."""

    step: str
    stage: str
    state: str
    seconds: float
    digest: str
    body: Mapping[str, Any]


def render(title: str, run: Mapping[str, Any], sections: Sequence[Section]) -> str:
    """The page. Every key of `run` may be missing:

    `story`        str or list of str: what happened, in a paragraph or a few
    `figures`      list of {"label", "value", "note", "state"}: the tiles; `state` is "", "ok", "warn" or "fail"
    `facts`        mapping of small print: run id, recipe, seed, started, environment (nested mappings are flattened)
    `language`     of the page's own prose, for hyphenation and fonts: "en" (default) or "zh"
    """
    story = run.get("story") or ()
    drawn = [_section(place, section) for place, section in enumerate(sections, 1)]
    page: str = _template().render(
        title=title,
        language=run.get("language", "en"),
        story=[story] if isinstance(story, str) else list(story),
        figures=list(run.get("figures") or ()),
        facts=_flat(run.get("facts") or {}),
        sections=drawn,
        slowest=max((section.seconds for section in sections), default=0.0) or 1.0,
    )
    return page.encode("utf-8", "replace").decode("utf-8")  # lone surrogates cannot be written to a file


def number(value: Any) -> str:
    """A cell as a person reads it: 12,345; 0.913; 1.2e-06; other things as they are."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "–"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return _float(value)
    return str(value)


def _float(value: float) -> str:
    size = abs(value)
    if not math.isfinite(value):
        return str(value)
    if value == int(value) and size < 1e15:
        return f"{int(value):,}" if size >= 10 or value == 0 else f"{value:.1f}"
    if size >= 1000:
        return f"{value:,.0f}"
    if size >= 10:
        return f"{value:.1f}"
    return f"{value:.3f}" if size >= 0.001 else f"{value:.1e}"


def seconds(value: float) -> str:
    """12 ms, 3.4 s, 2 min 05 s, 1 h 02 min."""
    if value < 1:
        return f"{value * 1000:.0f} ms"
    if value < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


# --------------------------------------------------------------------------- what the template is given


def _section(place: int, section: Section) -> dict[str, Any]:
    blocks = section.body.get("blocks", ())
    return {
        "anchor": f"s{place}",
        "step": section.step,
        "stage": section.stage,
        "state": section.state,
        "seconds": section.seconds,
        "digest": section.digest,
        "title": section.body.get("title") or section.step,
        "summary": section.body.get("summary", ""),
        "blocks": [_block(block, f"s{place}b{at}") for at, block in enumerate(blocks, 1)],
    }


def _block(block: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    prepare = _PREPARE.get(block["type"])
    if prepare is None:
        return _text({"body": f"A block of the type {block['type']!r} is in this report; this page cannot show it."}, prefix)
    return prepare(block, prefix)


def _text(block: Mapping[str, Any], _: str) -> dict[str, Any]:
    return {"type": "text", "paragraphs": [p for p in str(block["body"]).split("\n\n") if p.strip()]}


def _table(block: Mapping[str, Any], _: str) -> dict[str, Any]:
    rows = block["rows"]
    numeric = [all(_is_number(row[i]) for row in rows if i < len(row) and row[i] not in ("", None)) for i in range(len(block["columns"]))]
    return {**block, "numeric": [bool(rows) and flag for flag in numeric], "rows": [[_cell(cell) for cell in row] for row in rows]}


_DIGEST = re.compile(r"[0-9a-f]{64}")


def _cell(value: Any) -> str:
    """A full digest is told apart well enough by its first twelve characters."""
    return value[:12] if isinstance(value, str) and _DIGEST.fullmatch(value) else number(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _lines(block: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    marks = {key: block[key] for key in ("points", "hollow", "log") if key in block}
    names = list(dict.fromkeys([*block["series"], *marks.get("points", {}), *marks.get("hollow", {})]))
    legend = [{"name": _cell(name), "colour": i % charts.COLOURS + 1, "dashed": i >= charts.COLOURS} for i, name in enumerate(names)]
    return {**block, "legend": legend, "svg": charts.curves(block["x"], block["y"], block["series"], prefix, marks or None)}


def _parallel(block: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Shown as a figure, as curves are."""
    ranks = [("best", "the best", 2), ("top", "the best quarter", 1)]
    legend = [
        {"name": name, "colour": colour, "dashed": False} for rank, name, colour in ranks if any(r["rank"] == rank for r in block["rows"])
    ]
    return {**block, "type": "lines", "legend": legend, "svg": charts.coordinates(block["axes"], block["rows"], prefix)}


def _bars(block: Mapping[str, Any], _: str) -> dict[str, Any]:
    """Positions in percent of the widest extent; zero is always in view, so that lengths can be compared."""
    rows = block["rows"]
    reach = [v for row in rows for v in row[1:4] if v is not None]
    left, right = min([0.0, *reach]), max([0.0, *reach])
    span = (right - left) or 1.0

    def at(value: float) -> float:
        return float(round(100 * (value - left) / span, 3))

    drawn = []
    for label, value, low, high in rows:
        whisker = {"low": at(low), "width": round(at(high) - at(low), 3)} if low is not None and high is not None else None
        start, end = sorted((at(0.0), at(value)))
        interval = f"{number(low)} – {number(high)}" if whisker else ""
        row = {"label": _cell(label), "value": number(value), "start": start, "width": round(end - start, 3)}
        drawn.append({**row, "whisker": whisker, "interval": interval})
    return {**block, "rows": drawn, "intervals": any(row["whisker"] for row in drawn)}


def _matrix(block: Mapping[str, Any], _: str) -> dict[str, Any]:
    """Each cell is shaded by its share of the row: of the texts that are truly this label, how many were called that."""
    labels, counts = block["labels"], block["counts"]
    if len(labels) > LARGEST_MATRIX:
        return _confusions(block)
    rows = []
    for place, (label, row) in enumerate(zip(labels, counts, strict=True)):
        total = sum(row)
        cells = [{"count": number(c), "share": round(c / total, 3) if total else 0.0, "right": i == place} for i, c in enumerate(row)]
        rows.append({"label": label, "cells": cells, "total": number(total), "recall": number(row[place] / total) if total else "–"})
    return {**block, "rows": rows}


def _confusions(block: Mapping[str, Any]) -> dict[str, Any]:
    labels = block["labels"]
    wrong = sorted(((-c, i, j) for i, row in enumerate(block["counts"]) for j, c in enumerate(row) if i != j and c), key=lambda e: e)[:20]
    rows = [[labels[i], labels[j], -c] for c, i, j in wrong]
    note = f"{len(labels)} labels; the 20 largest confusions are listed. {block.get('note', '')}".strip()
    return _table({"type": "table", "title": block["title"], "columns": ["truth", "called", "times"], "rows": rows, "note": note}, "")


def _samples(block: Mapping[str, Any], _: str) -> dict[str, Any]:
    return {**block, "rows": [_sample(row) for row in block["rows"]]}


def _sample(row: Mapping[str, Any]) -> dict[str, Any]:
    text = str(row.get("text", ""))
    rest = len(text) - LONGEST_SAMPLE
    facts = [(key, number(value)) for key, value in row.items() if key not in ("text", "reason") and value not in ("", None)]
    return {"text": text[:LONGEST_SAMPLE], "rest": max(rest, 0), "reason": str(row.get("reason", "")), "facts": facts}


_PREPARE = {"text": _text, "table": _table, "lines": _lines, "parallel": _parallel, "bars": _bars, "matrix": _matrix, "samples": _samples}


def _flat(facts: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """(name, value) in order; nested mappings become `outer inner`, lists are joined."""
    found: list[tuple[str, str]] = []
    for key, value in facts.items():
        name = f"{prefix} {key}".strip()
        if isinstance(value, Mapping):
            found.extend(_flat(value, name))
        elif value not in ("", None, [], ()):
            found.append((name, ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)))
    return found


@cache
def _template() -> Any:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)
    environment.filters["number"] = number
    environment.filters["seconds"] = seconds
    return environment.from_string(resources.files("sapwood.runs").joinpath("page.html.j2").read_text(encoding="utf-8"))
