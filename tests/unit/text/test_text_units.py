import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sapwood.text import units

SAMPLES = {
    "en": "The room was clean, the staff were kind and the breakfast was good.",
    "zh": "房间很干净，服务员态度也好，早餐还不错，下次还会再来。",
    "zh-TW": "房間很乾淨，服務員態度也好，早餐還不錯，下次還會再來。",
    "mixed": "我买了iPhone 15 Pro，屏幕 very good，电池 life 一般般。",
    "code": "def area(width, height):\n    return width * height  # 面积",
}


def test_units_are_words_in_spaced_scripts_and_characters_in_unspaced_ones():
    assert units.units("买了iPhone 15，不错") == ["买", "了", "iPhone", "15", "不", "错"]
    assert units.units("한국어 좋아요") == ["한국어", "좋아요"]
    assert units.units("カメラ") == ["カ", "メ", "ラ"]
    assert units.units("don't, café!") == ["don", "t", "café"]
    assert units.units("……！ ") == []


def test_script_runs_tile_the_text():
    text = "价格 99 元 OK 好"
    assert units.script_runs(text) == [("han", 0, 8), ("latin", 8, 11), ("han", 11, 12)]
    assert units.script_runs("12 %") == [("none", 0, 4)]
    assert units.script_runs("") == []


@pytest.mark.parametrize("text", SAMPLES.values(), ids=SAMPLES)
def test_shingles_do_not_change_with_width_case_spacing_or_punctuation(text):
    full_width = "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text)
    for other in (text.upper(), full_width, text.replace(",", " , ").replace("，", " ！"), f"  {text}\n"):
        assert np.array_equal(units.shingles(text), units.shingles(other))
        assert units.shingle([text]).keys == units.shingle([other]).keys


def test_five_units_make_one_shingle_and_four_make_none():
    assert len(units.shingles("一二三四")) == 0
    assert len(units.shingles("一二三四五")) == 1
    assert len(units.shingles("one two three four five")) == 1


def test_a_key_of_symbols_differs_and_white_space_has_none():
    thumb, mark, blank = units.shingle(["👍👍", "！！", " \n"]).keys
    assert thumb != mark
    assert blank == b""


@given(st.lists(st.text(max_size=30) | st.sampled_from(list(SAMPLES.values())), max_size=12), st.integers(1, 40))
def test_a_row_does_not_depend_on_its_neighbours_or_on_chunks(texts, size):
    whole, pieces = units.shingle(texts), [units.shingle([text]) for text in texts]
    assert whole.keys == [piece.keys[0] for piece in pieces]
    for row, piece in enumerate(pieces):
        assert np.array_equal(whole.values[whole.offsets[row] : whole.offsets[row + 1]], piece.values)


@given(st.text(max_size=40))
def test_the_folding_table_agrees_with_the_normal_form(text):
    assert np.array_equal(units.shingles(text, k=1), units.shingles(units.normal_form(text), k=1))
