"""The closing tables: they fit 80 columns, in English and in Chinese, and no text is taken for markup."""

from __future__ import annotations

import io

from rich.cells import cell_len
from rich.console import Console, RenderableType

from sapwood.runs import terminal


def printed(table: RenderableType, width: int = 80) -> str:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(table)
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def a_score(system: str, f1: float = 0.893, versus: str = "") -> terminal.Score:
    return terminal.Score(system, 16_902, f1, f1 - 0.015, f1 + 0.014, f1, versus)


def test_the_scores_fit_80_columns_whatever_the_names() -> None:
    rows = [a_score("a" * 64, versus="+0.021 p=.003 vs tfidf-logreg"), a_score("中文评论情感分类模型" * 3, 0.8), a_score("majority", 0.3)]
    assert max(cell_len(line) for line in printed(terminal.scores(rows)).splitlines()) <= 80


def test_the_best_comes_first_even_when_it_is_a_baseline() -> None:
    text = printed(terminal.scores([a_score("ours", 0.80), a_score("tfidf-logreg", 0.85)], ours="ours"))
    assert text.index("tfidf-logreg") < text.index("ours")
    assert "0.850 [0.835, 0.864]" in text


def test_a_score_without_an_interval_shows_none() -> None:
    assert "[" not in printed(terminal.scores([a_score("x")._replace(low=None, high=None)]))


def test_names_are_not_taken_for_markup() -> None:
    assert "[red]x[/red]" in printed(terminal.scores([a_score("[red]x[/red]")]))
    assert "[/b]" in printed(terminal.steps([terminal.Line("a", "[/b]", 1.0, "[/b]")]))
    assert "[/b]" in printed(terminal.plain("t", ["[/b]"], [["[/b]"]]))


def test_steps_fit_80_columns_and_say_what_happened() -> None:
    rows = [terminal.Line("pretrain", "made", 312.4, "损失从 8.21 降到 3.05，" * 8), terminal.Line("gate", "failed", 0.04)]
    text = printed(terminal.steps(rows))
    assert max(cell_len(line) for line in text.splitlines()) <= 80
    assert "5 min 12 s" in text
    assert "failed" in text
