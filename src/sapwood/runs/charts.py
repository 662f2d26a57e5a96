"""Curves as inline SVG: drawn by matplotlib, coloured by the page's style sheet, with text set by the reader's browser.

Text stays text (`svg.fonttype = none`), so Chinese needs no font here and can be searched and copied. Colours are placeholders
that become CSS variables, so one drawing serves light, dark and print. The same block gives the same bytes.
Bars and matrices are drawn with HTML by the page itself; only what needs axes is drawn here.

What it does not do: it never resamples or smooths. A curve of more than `MOST_POINTS` points is thinned to every k-th one.
"""

from __future__ import annotations

import io
import math
import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

MOST_POINTS = 1200
COLOURS = 6
"""Series colours of the style sheet: `--c1` to `--c6`; a seventh curve starts again with dashes."""

# Placeholders matplotlib accepts as colours and nothing else on the page uses.
_INK, _LINE = "#0a0b0c", "#0d0e0f"
_SERIES = [f"#a1b2c{i}" for i in range(1, COLOURS + 1)]
_TO_CSS = {_INK: "var(--muted)", _LINE: "var(--line)", **{c: f"var(--c{i})" for i, c in enumerate(_SERIES, 1)}}

_RC = {
    "svg.fonttype": "none",
    "svg.hashsalt": "sapwood",
    "font.size": 11,
    "axes.unicode_minus": False,
    "axes.edgecolor": _LINE,
    "axes.labelcolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": _LINE,
    "grid.linewidth": 0.8,
    "ytick.major.size": 0,
    "path.simplify": False,
}


def curves(x: str, y: str, series: Mapping[str, Sequence[Sequence[float]]], prefix: str) -> str:
    """One `<svg>` of curves over shared axes. `series` maps a name to (x, y) points; points that are not finite are left out.

    `prefix` is put before every id in the drawing, so that many drawings can share a page; it must be a plain word.
    The legend is not in the drawing: the page sets it as text, in the order of `series`.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(_RC), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # glyphs missing from matplotlib's own font: the browser has them
        figure = Figure(figsize=(10.6, 3.3), layout="constrained")
        axes = figure.add_subplot()
        axes.set_axisbelow(True)
        for place, points in enumerate(series.values()):
            _curve(axes, place, [(p[0], p[1]) for p in points if math.isfinite(p[0]) and math.isfinite(p[1])])
        axes.set_xlabel(_plain(x))
        axes.set_ylabel(_plain(y))
        axes.margins(x=0.01, y=0.08)
        axes.ticklabel_format(style="plain", useOffset=False)
        stream = io.StringIO()
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return _for_page(stream.getvalue(), prefix)


def _curve(axes: Any, place: int, points: list[tuple[float, float]]) -> None:
    """A line; few points are marked, because each was measured on its own."""
    if not points:
        return
    step = math.ceil(len(points) / MOST_POINTS)
    shown = points if step == 1 else [*points[::step], points[-1]]
    style = "-" if place < COLOURS else "--"
    marker = "o" if len(shown) <= 12 else None
    axes.plot(*zip(*shown, strict=True), style, color=_SERIES[place % COLOURS], linewidth=2.0, marker=marker, markersize=5)


def _plain(label: str) -> str:
    """Dollar signs would start matplotlib's formula mode."""
    return label.replace("$", r"\$")


def _for_page(svg: str, prefix: str) -> str:
    """The bare `<svg>` element: no prologue, no fixed size, ids made unique, colours and fonts left to the page."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r'\1 aria-hidden="true"', svg, count=1)
    svg = re.sub(r'\bid="', f'id="{prefix}-', svg)
    svg = re.sub(r'href="#', f'href="#{prefix}-', svg)
    svg = re.sub(r"url\(#", f"url(#{prefix}-", svg)
    svg = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font-size: \1", svg)
    svg = re.sub(r"font-family: [^;\"]*(; )?", "", svg)
    for placeholder, css in _TO_CSS.items():
        svg = svg.replace(placeholder, css)
    return "\n".join(line.rstrip() for line in svg.splitlines())
