import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sapwood.text.quality import statistics, terms
from sapwood.text.quality.statistics import measure

TEXTS = {
    "en": "The room was clean. The staff were kind!\n\n- a bed\n- a bath",
    "zh": "房间很干净，服务员态度也好，早餐还不错。",
    "zh-TW": "房間很乾淨，服務員態度也好，早餐還不錯。",
    "mixed": "我买了iPhone 15 Pro，屏幕 very good…",
    "code": "for (i = 0; i < 3; i++) {\n    total += rows[i];\n}",
}
statistics.measure(["tables are built once"])


def of(text, name):
    return float(measure([text])[name][0])


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        (TEXTS["zh"], "characters", 20),
        (TEXTS["zh"], "units", 17),
        (TEXTS["en"], "units", 12),
        (TEXTS["en"], "lines", 3),
        (TEXTS["en"], "bullets", 2 / 3),
        (TEXTS["en"], "ended", 1 / 3),
        (TEXTS["mixed"], "ellipses", 1),
        ("so it goes...", "ellipses", 1),
        (TEXTS["code"], "code", 1),
        (TEXTS["zh"], "code", 0),
        ("ab，。", "symbols", 0.5),
        ("１２ ab", "digits", 0.5),
        ("AB cd", "capitals", 0.5),
        (TEXTS["zh-TW"], "han", 1),
        ("好é", "latin", 0.5),
        ("ひらがな", "kana", 1),
        ("мир", "cyrillic", 1),
        ("한국", "hangul", 1),
        ("नमस्ते", "other_letters", 1),
        ("不错" * 30, "repeated_shingles", 54 / 56),
        ("same line\nsame line\nanother", "repeated_lines", 9 / 25),
        ("one para\n\none para", "repeated_paragraphs", 0.5),
        ("the cat and the dog", "stop_words_en", 3 / 5),
        ("我们的酒店", "stop_words_zh", 3 / 5),
        ("A woman and a girl; 女士。", "mentions_women", 3),
        ("womanly", "mentions_women", 0),
    ],
)
def test_a_statistic_is_what_it_says(text, name, value):
    assert of(text, name) == pytest.approx(value)


def test_a_short_text_says_nothing_of_repetition():
    assert of("好 " * 23, "repeated_shingles") == 0
    assert of("好 " * 24, "repeated_shingles") == pytest.approx(19 / 20)


@pytest.mark.parametrize("text", ["", " ", "\n\n\n", "。", "\0", "\U000e0001", "\ud800", "a" * 300_000])
def test_odd_texts_have_every_statistic_as_a_finite_number(text):
    found = measure([text, "and a neighbour"])
    assert set(found) == set(statistics.NAMES) - {"language_share", "language_score"}
    assert all(np.isfinite(values).all() and len(values) == 2 for values in found.values())


LIST = terms.terms({"toxic": ["bad", "very bad", "坏人"]})


@settings(deadline=None, max_examples=40)
@given(st.lists(st.text(max_size=30) | st.sampled_from(list(TEXTS.values())), min_size=1, max_size=10), st.integers(0, 10))
def test_a_text_does_not_depend_on_its_neighbours(texts, cut):
    whole = measure(texts, LIST)
    parts = [measure(part, LIST) for part in (texts[:cut], texts[cut:])]
    for name, values in whole.items():
        assert np.array_equal(values, np.concatenate([part[name] for part in parts]))


def test_repetition_agrees_with_counting_one_by_one():
    text = "we came and we saw and we came and we saw again " * 3 + "then 我们来了我们看了我们来了我们看了"
    from sapwood.text.units import units

    listed = units(text)
    windows = [tuple(listed[place : place + 5]) for place in range(len(listed) - 4)]
    assert of(text, "repeated_shingles") == pytest.approx(1 - len(set(windows)) / len(windows))


def test_terms_match_whole_units_in_any_case_width_and_script():
    known = terms.terms(
        {"toxic": ["bad food", "笨蛋", "ASS"], "other": ["笨蛋"], "none": ["!!", "one two three four five six seven eight nine"]}
    )
    from sapwood.text.near import shingling

    def count(text):
        hashes, counts = shingling.hashes([text])
        return terms.count(known, hashes, np.repeat([0], counts), 1)[0].tolist()

    assert count("Bad, FOOD! ｂａｄ food") == [2, 0, 0]
    assert count("你这笨蛋。笨。蛋") == [2, 2, 0]
    assert count("class glass") == [0, 0, 0]
