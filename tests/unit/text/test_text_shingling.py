import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sapwood.text import units
from sapwood.text.near import planting, shingling

LETTERS = st.sampled_from("aZ9 _-é　ÀßﬁŁя한体體ガｶﾞไทย𝐀𠀀👍️①ⅷ½\n！，ｆ０\u0301\u200d\ufe0f")
TEXT = st.text(LETTERS, max_size=60) | st.text(max_size=30)


@settings(deadline=None)
@given(st.lists(TEXT, max_size=8))
def test_sets_have_the_sizes_that_plain_python_sets_have(texts):
    found = list(shingling.windows(texts))
    sizes = [len(np.unique(part)) for whole in found for part in np.split(whole.values, np.cumsum(whole.windows)[:-1])]
    formed = [units.units(units.normal_form(text)) for text in texts]
    assert [count for whole in found for count in whole.units.tolist()] == [len(row) for row in formed]
    assert sizes[: len(texts)] == [len(planting.runs(text)) for text in texts]


@settings(deadline=None)
@given(TEXT, TEXT)
def test_keys_are_equal_when_the_units_are(one, other):
    a, b = (units.units(units.normal_form(text)) for text in (one, other))
    keys = next(shingling.windows([one, other])).keys.tolist()
    if a or b:
        assert (keys[0] == keys[1]) == (a == b)


@pytest.mark.parametrize("length", [7, 8, 9, 15, 16, 17, 40])
def test_long_words_differ_by_any_letter(length):
    word = "abcdefghij" * 4
    texts = [word[:length]] + [word[:place] + "z" + word[place + 1 : length] for place in range(length)] + [word[:length] + "q"]
    hashes, counts = shingling.hashes(texts)
    assert counts.tolist() == [1] * len(texts)
    assert len(set(hashes.tolist())) == len(texts)


def test_a_word_has_one_hash_whatever_stands_beside_it():
    texts = ["Documentation", "documentation 体", "Documentation é", "ＤＯＣＵＭＥＮＴＡＴＩＯＮ"]
    hashes, counts = shingling.hashes(texts)
    firsts = hashes[np.cumsum(counts) - counts]
    assert counts.tolist() == [1, 2, 2, 1]
    assert len(set(firsts.tolist())) == 1


def test_a_character_is_not_the_word_with_the_same_bytes():
    hashes, _ = shingling.hashes(["\u6161", "aa"])
    assert hashes[0] != hashes[1]


def test_order_of_units_counts_and_where_they_are_cut_does_too():
    hashes = [next(shingling.windows([text])).values.tolist() for text in ("a bc d e f", "ab c d e f", "bc a d e f")]
    assert len({tuple(row) for row in hashes}) == 3


def test_distinct_sorts_each_row_and_drops_its_repeats():
    values, sizes = shingling.distinct(np.array([3, 1, 3, 3, 2, 2], dtype=np.uint64), np.array([3, 0, 1, 2, 0]))
    assert values.tolist() == [1, 3, 3, 2]
    assert sizes.tolist() == [2, 0, 1, 1, 0]
