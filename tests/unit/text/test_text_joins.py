"""Which tokens belong to one word, in English and Chinese."""

from __future__ import annotations

import pytest

from sapwood.errors import MissingExtra
from sapwood.text.tokens import joins, vocabulary


def words(text: str) -> list[str]:
    flags = joins.begins(text)
    starts = [at for at, begins in enumerate(flags) if begins]
    return [text[start:end] for start, end in zip(starts, [*starts[1:], len(text)], strict=True)]


def test_words_are_runs_of_letters_and_jieba_cuts_chinese() -> None:
    assert words("the kettle, 2nd") == ["the", " ", "kettle", ",", " ", "2nd"]
    assert words("买了iPhone手机") == ["买", "了", "iPhone", "手机"]
    assert words("消费者权益保护") == ["消费者", "权益", "保护"]
    assert words("カメラ") == ["カ", "メ", "ラ"]
    assert len(joins.begins("")) == 0


@pytest.mark.parametrize("kind", ["bpe", "wordpiece"])
def test_a_token_joins_when_no_word_begins_in_it(kind: str) -> None:
    text = "consumers protected 消费者权益保护法 naïve"
    tokenizer = vocabulary.train(["a b c 人民 " * 30], kind, 300, 2)
    coded = tokenizer.encode(text, add_special_tokens=False)
    flags = joins.joins(text, coded.offsets)
    begun = sum(joins.begins(text)[start] for start, end in sorted(set(coded.offsets)) if text[start:end].strip())
    assert not flags[0]
    assert len(flags) - flags.sum() <= begun + text.count(" ")
    if kind == "bpe":
        assert flags.sum() > len("consumers") - 2, "bytes of one word join"


def test_chinese_without_the_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "jieba", None)
    assert words("plain English") == ["plain", " ", "English"]
    with pytest.raises(MissingExtra, match="jieba"):
        joins.begins("权益")
