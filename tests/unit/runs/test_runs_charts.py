"""Drawings beside plain curves: dots, logarithmic axes, parallel coordinates; and the curve of a terminal."""

from __future__ import annotations

import io
import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sapwood import report
from sapwood.runs import charts
from sapwood.runs.monitor import BLOCKS, TerminalMonitor, sparkline
from sapwood.runs.page import Section, render
from sapwood.stage import Event

ATTACK = '<script>alert(1)</script>"&$x$'
SERIES = {"N = 1M": [(1e3, 5.0), (1e6, 3.0)]}


def page(*blocks):
    return render("t", {}, [Section("s", "search", "made", 1.0, "", {"title": "t", "summary": "", "data": {}, "blocks": list(blocks)})])


def parallel(name):
    axes = [{"name": name, "ticks": [(0.0, name), (1.0, "b")]}, {"name": "score", "ticks": []}]
    rows = [{"places": [0.2, 0.9], "rank": "best"}, {"places": [None, 0.1], "rank": "other"}, {"places": [0.5, 0.5], "rank": "top"}]
    return report.parallel(name, axes, rows, name)


def test_no_name_of_a_field_becomes_markup():
    html = page(
        parallel(ATTACK), report.lines(ATTACK, ATTACK, "y", {ATTACK: [(1, 1), (2, 2)]}, "", report.marked({ATTACK: [(1, 2)]}, {}, "x"))
    )
    assert "<script>alert" not in html
    assert html.count("<svg") == 2
    assert "学习率" in page(parallel("学习率"))


def test_the_same_block_gives_the_same_bytes():
    block = report.lines("t", "x", "y", SERIES, "", report.marked({"N = 1M": [(1e4, 4.0)]}, {"held out": [(1e6, 3.1)]}, "xy"))
    assert page(block, parallel("a")) == page(block, parallel("a"))
    assert "held out" in page(block)


def test_curves_without_marks_are_drawn_as_before():
    """A report that was kept before marks existed has none of their keys."""
    assert set(report.lines("t", "x", "y", SERIES)) == {"type", "title", "x", "y", "series", "note"}
    assert "var(--c1)" in page(report.lines("t", "x", "y", SERIES))


def test_dots_have_the_colour_of_their_curve():
    svg = charts.curves("x", "y", {"a": [(1, 1), (2, 2)], "b": [(1, 2), (2, 3)]}, "p", report.marked({"b": [(1, 2)]}))
    assert svg.count("var(--c2)") > svg.count("var(--c1)")


@pytest.mark.parametrize(("value", "text"), [(950, "950"), (1500, "1.5k"), (3e6, "3M"), (2e13, "20T"), (0.25, "0.25"), (3e18, "3e+18")])
def test_large_numbers_are_short(value, text):
    assert charts.short(value) == text


@given(st.lists(st.floats(-1e6, 1e6) | st.just(math.nan), max_size=200))
def test_a_sparkline_fits_its_width_and_knows_its_blocks(values):
    drawn = sparkline(values)
    assert len(drawn) <= 12
    assert set(drawn) <= set(BLOCKS)


def test_a_falling_loss_falls():
    assert sparkline([4.0, 3.0, 2.0, 1.0]) == "█▆▃▁"
    assert sparkline([2.0, 2.0]) == "▁▁"
    assert sparkline([]) == ""


@pytest.mark.parametrize("terminal", [True, False])
def test_the_loss_is_seen_beside_the_bar_while_training(terminal, monkeypatch, capsys):
    from rich.console import Console

    monkeypatch.setattr("sapwood.runs.monitor.PLAIN_EVERY_S", 0.0)
    monitor, out = TerminalMonitor(), io.StringIO()
    monitor.console = Console(file=out, force_terminal=terminal, width=140)
    with monitor.meter("fine-tune", 4, "steps") as meter:
        for loss in (4.0, 3.0, 2.0, 1.0):
            monitor.emit(Event("metric", "tuned", {"step": 1.0, "loss": loss}))
            meter.advance(1)
    assert ("loss █▆▃▁ 1.000" if terminal else ", loss 1.000") in re.sub(
        r"\x1b\[[0-9;?]*[a-zA-Z]", "", out.getvalue() + capsys.readouterr().err
    )


def test_what_a_failed_step_says_is_text_and_no_markup():
    from rich.console import Console

    monitor, out = TerminalMonitor(), io.StringIO()
    monitor.console = Console(file=out, width=140)
    monitor.emit(Event("step", "clean", {"state": "failed", "note": "data[/x] is no list of [start, end]"}))
    assert "data[/x] is no list of [start, end]" in out.getvalue()
