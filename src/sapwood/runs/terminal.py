"""What a run prints when it ends: tables that fit 80 columns. Takes plain rows, returns rich renderables; prints nothing itself."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import NamedTuple

from rich import box
from rich.markup import escape
from rich.table import Table

from sapwood.runs.page import number, seconds

WIDTH = 80


class Score(NamedTuple):
    """One system on one evaluation set. `low` and `high` bound macro-F1; None where no interval was computed.

    `versus` says how it stands to another system, such as "+0.021 p=.003 vs tfidf-logreg".
    """

    system: str
    n: int
    macro_f1: float
    low: float | None
    high: float | None
    accuracy: float
    versus: str = ""


class Line(NamedTuple):
    """One step of the run. `state`: made, reused, already done, failed, skipped. `said`: its report's summary, or ""."""

    step: str
    state: str
    seconds: float
    said: str = ""


_STATE = {"made": "green", "failed": "bold red", "skipped": "yellow"}


def scores(rows: Sequence[Score], title: str = "Scores", ours: str = "") -> Table:
    """The scores table, best macro-F1 first; the row whose system is `ours` is bold. A baseline may stand above it."""
    table = _table(title)
    table.add_column("system", overflow="fold", ratio=3, min_width=12)
    for name in ("n", "macro-F1", "accuracy"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("vs", overflow="fold", ratio=3)
    for row in sorted(rows, key=lambda r: (-r.macro_f1, r.system)):
        interval = f" \\[{row.low:.3f}, {row.high:.3f}]" if row.low is not None and row.high is not None else ""
        style = "bold" if ours and row.system == ours else ""
        score = f"{row.macro_f1:.3f}{interval}"
        table.add_row(escape(row.system), f"{row.n:,}", score, f"{row.accuracy:.3f}", escape(row.versus), style=style)
    return table


def steps(rows: Sequence[Line], title: str = "Steps") -> Table:
    """What each step did and how long it took, in the order of the run."""
    table = _table(title)
    table.add_column("step", no_wrap=True)
    table.add_column("state", no_wrap=True)
    table.add_column("time", justify="right", no_wrap=True)
    table.add_column("", overflow="fold", ratio=1)
    for row in rows:
        style = _STATE.get(row.state, "dim")
        table.add_row(escape(row.step), f"[{style}]{escape(row.state)}[/]", seconds(row.seconds), escape(row.said))
    return table


def folded(text: str, first: str = "", later: str | None = None) -> str:
    """The text in lines of at most 80 characters, the first behind `first` and the others behind `later`. Its own lines stay lines, and
    what has no spaces stays whole."""
    rest = first if later is None else later
    fill = textwrap.TextWrapper(WIDTH, subsequent_indent=rest, break_on_hyphens=False, break_long_words=False)
    found = []
    for place, line in enumerate(text.split("\n")):
        fill.initial_indent = rest if place else first
        found.append(fill.fill(line))
    return "\n".join(found)


def plain(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Table:
    """Any small table; a column of numbers is set right."""
    table = _table(title)
    for place, name in enumerate(columns):
        numeric = bool(rows) and all(isinstance(row[place], int | float) for row in rows)
        table.add_column(escape(name), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(escape(number(cell)) for cell in row))
    return table


def _table(title: str) -> Table:
    table = Table(title=escape(title), title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False, width=WIDTH)
    table.header_style = "dim"
    return table
