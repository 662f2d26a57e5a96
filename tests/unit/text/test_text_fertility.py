"""What a tokenizer costs each language, counted so that Chinese and English stand side by side."""

import pytest

from sapwood.text.tokens import fertility, vocabulary
from sapwood.text.units import units

ZH = ["我喜欢这家酒店的早餐", "这本书很好看，作者写得真好", "房间太小了，服务也不好"] * 5
TW = ["我喜歡這家酒店的早餐", "這本書很好看"] * 5
EN = ["the room was clean and the breakfast was good", "a book worth reading twice"] * 5
CODE = ["def f(x):\n    return x + 1", "for (int i = 0; i < 9; i++) {}"] * 5
PAIRS = [(language, text) for language, texts in (("zh", ZH), ("zh-TW", TW), ("en", EN), ("code", CODE)) for text in texts]


@pytest.fixture(scope="module")
def bpe():
    return vocabulary.train(ZH + EN, "bpe", 500)


def test_tokens_bytes_and_units_are_counted_by_language(bpe):
    found = {row.language: row for row in fertility.fertility(bpe, PAIRS)}
    assert sorted(found) == ["code", "en", "zh", "zh-TW"]
    for language, texts in (("zh", ZH), ("en", EN)):
        tokens = sum(len(bpe.encode(text, add_special_tokens=False).ids) for text in texts)
        assert found[language].tokens == tokens
        assert found[language].bytes_per_token == pytest.approx(sum(len(text.encode()) for text in texts) / tokens)
        assert found[language].per_unit == pytest.approx(tokens / sum(len(units(text)) for text in texts))
    assert {row.unknown for row in found.values()} == {0}
    assert {row.exact for row in found.values()} == {1}


def test_a_wordpiece_gives_text_back_but_for_its_white_space_and_says_what_it_does_not_know():
    trained = vocabulary.train(EN, "wordpiece", 300)
    found = {row.language: row for row in fertility.fertility(trained, [("en", text) for text in EN] + [("zh", "酒店")])}
    assert (found["zh"].unknown, found["zh"].alike) == (1, 0)
    assert (found["en"].unknown, found["en"].alike) == (0, 1)


def test_groups_do_not_change_the_counts(bpe, monkeypatch):
    whole = fertility.fertility(bpe, PAIRS)
    monkeypatch.setattr(fertility.grouped, "__defaults__", (30,))
    assert fertility.fertility(bpe, PAIRS) == whole


def test_text_without_letters_has_no_units(bpe):
    (row,) = fertility.fertility(bpe, [("und", "!!! ???")])
    assert row.per_unit is None
