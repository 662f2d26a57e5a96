"""Scores of written text: chrF is sacrebleu's, ROUGE reads Chinese by characters."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sapwood.metrics import written
from sapwood.metrics.measured import gap

TEXTS = st.lists(st.tuples(st.text("ab 水壶灯c.", max_size=14), st.text("ab 水壶灯c.", max_size=14)), min_size=1, max_size=5)


@settings(max_examples=60, deadline=None)
@given(TEXTS)
def test_chrf_is_that_of_sacrebleu(pairs: list[tuple[str, str]]) -> None:
    from sacrebleu.metrics import CHRF

    made, true = [a for a, _ in pairs], [b for _, b in pairs]
    assert written.measured(made, true).values()["chrf"] * 100 == pytest.approx(CHRF().corpus_score(made, [true]).score, abs=1e-6)


@given(st.text("abc", max_size=9), st.text("abc", max_size=9))
def test_the_longest_common_subsequence_is_that_of_the_table(a: str, b: str) -> None:
    table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            table[i + 1][j + 1] = table[i][j] + 1 if x == y else max(table[i][j + 1], table[i + 1][j])
    assert written.longest_common(a, b) == table[-1][-1]


def test_rouge_reads_english_in_words_and_chinese_in_characters() -> None:
    assert written.words("Save the File, 保存文件 2.5") == ["save", "the", "file", "保", "存", "文", "件", "2", "5"]
    english = written.measured(["the file is open"], ["the file was open"]).values()
    assert english["rouge1"] == pytest.approx(0.75)
    assert english["rouge2"] == pytest.approx(1 / 3)
    assert english["rougeL"] == pytest.approx(0.75)
    assert written.measured(["打开文件"], ["保存文件"]).values()["rouge1"] == pytest.approx(0.5)


def test_the_same_text_scores_one_and_none_scores_nought() -> None:
    assert set(written.measured(["保存文件。"], ["保存文件。"]).values().values()) == {1.0}
    assert set(written.measured([""], ["保存文件。"]).values().values()) == {0.0}


def test_two_systems_on_the_same_texts_are_compared_in_pairs() -> None:
    true = [f"open file {i}" for i in range(30)]
    better, worse = written.measured(true, true), written.measured([f"close {i}" for i in range(30)], true)
    found = gap(better, worse, "chrf")
    assert found.low > 0.3
    assert found.p < 0.01
