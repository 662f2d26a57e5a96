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
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
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


Points = Mapping[str, Sequence[Sequence[float]]]


def curves(x: str, y: str, series: Points, prefix: str, marks: Mapping[str, Any] | None = None) -> str:
    """One `<svg>` of curves over shared axes. `series` maps a name to (x, y) points; points that are not finite are left out.
    `marks` is what `report.marked` gives: dots beside the curves, and which axes are logarithmic.

    `prefix` is put before every id in the drawing, so that many drawings can share a page; it must be a plain word.
    The legend is not in the drawing: the page sets it as text, in the order of `series`.
    """
    marks = marks or {}
    names = list(dict.fromkeys([*series, *marks.get("points", {}), *marks.get("hollow", {})]))
    with _figure(3.3) as (figure, axes):
        for name, points in series.items():
            _curve(axes, names.index(name), _finite(points), few=not marks)
        for kind in ("points", "hollow"):
            for name, points in marks.get(kind, {}).items():
                _dots(axes, names.index(name), _finite(points), kind == "hollow")
        axes.set_xlabel(_plain(x))
        axes.set_ylabel(_plain(y))
        axes.margins(x=0.01 if not marks else 0.03, y=0.08)
        logarithmic = marks.get("log", "")
        if not logarithmic:
            axes.ticklabel_format(style="plain", useOffset=False)
        for way in logarithmic:
            _logarithmic(axes, way)
        return _drawn(figure, prefix)


def coordinates(axes_given: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]], prefix: str) -> str:
    """One `<svg>` of parallel coordinates, as `report.parallel` describes them; the best row is drawn last and thickest."""
    look = {"other": (_LINE, 1.2, 1.0), "top": (_SERIES[0], 1.6, 0.75), "best": (_SERIES[1], 3.2, 1.0)}
    with _figure(3.9) as (figure, axes):
        axes.grid(False)
        for rank, (colour, width, alpha) in look.items():
            for row in rows:
                places = [(at, place) for at, place in enumerate(row["places"]) if place is not None]
                if row["rank"] == rank and places:
                    axes.plot(*zip(*places, strict=True), color=colour, linewidth=width, alpha=alpha, marker="o", markersize=3)
        for at, axis in enumerate(axes_given):
            axes.axvline(at, color=_INK, linewidth=0.8)
            for place, label in axis["ticks"]:
                last = at == len(axes_given) - 1 and at > 0
                axes.annotate(_plain(str(label)), (at, place), (-6 if last else 6, 9), textcoords="offset points", color=_INK, fontsize=9,
                              va="center", ha="right" if last else "left")  # fmt: skip
        axes.set_xticks(range(len(axes_given)), [_plain(axis["name"]) for axis in axes_given])
        axes.set_yticks([])
        axes.set_ylim(-0.06, 1.06)
        axes.margins(x=0.04)
        return _drawn(figure, prefix)


@contextmanager
def _figure(height: float) -> Iterator[tuple[Any, Any]]:
    """A figure of the page's width in inches, with one set of axes, in the page's look."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(_RC), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # glyphs missing from matplotlib's own font: the browser has them
        figure = Figure(figsize=(10.6, height), layout="constrained")
        axes = figure.add_subplot()
        axes.set_axisbelow(True)
        yield figure, axes


def _drawn(figure: Any, prefix: str) -> str:
    stream = io.StringIO()
    figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return _for_page(stream.getvalue(), prefix)


def _finite(points: Sequence[Sequence[float]]) -> list[tuple[float, float]]:
    return [(p[0], p[1]) for p in points if math.isfinite(p[0]) and math.isfinite(p[1])]


def _logarithmic(axes: Any, way: str) -> None:
    """Ticks that are read as numbers, such as 200k and 3M, where an axis spans less than three decades; powers past that."""
    from matplotlib.ticker import FuncFormatter, LogLocator

    axis = axes.xaxis if way == "x" else axes.yaxis
    (axes.set_xscale if way == "x" else axes.set_yscale)("log")
    low, high = axes.get_xlim() if way == "x" else axes.get_ylim()
    wide = high / low > 1000
    axis.set_major_locator(LogLocator(subs=(1.0,) if wide else (1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
    axis.set_minor_formatter(FuncFormatter(lambda *_: ""))


def short(value: float) -> str:
    """1,500 as 1.5k, 3e6 as 3M, 2e13 as 20T, past that as 1e+18."""
    for size, letter in ((1e15, ""), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}" if letter else f"{value:.2g}"
    return f"{value:.3g}"


def _dots(axes: Any, place: int, points: list[tuple[float, float]], hollow: bool) -> None:
    if points:
        colour = _SERIES[place % COLOURS]
        axes.plot(
            *zip(*points, strict=True), "o", color=colour, markersize=7, markerfacecolor="none" if hollow else colour, markeredgewidth=1.8
        )


def _curve(axes: Any, place: int, points: list[tuple[float, float]], few: bool) -> None:
    """A line; with `few`, a line of few points is marked, because each was measured on its own."""
    if not points:
        return
    step = math.ceil(len(points) / MOST_POINTS)
    shown = points if step == 1 else [*points[::step], points[-1]]
    style = "-" if place < COLOURS else "--"
    marker = "o" if few and len(shown) <= 12 else None
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
