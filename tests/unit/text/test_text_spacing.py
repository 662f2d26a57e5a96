from hypothesis import given
from hypothesis import strategies as st

from sapwood.text.quality.spacing import tidy, tidy_all

TEXTS = st.lists(st.text(alphabet="ab好 \t\n\u3000\u00a0\u2009。", max_size=14), max_size=6)


@given(TEXTS)
def test_many_at_once_are_as_each_by_itself(texts):
    assert tidy_all(texts) == [tidy(text) for text in texts]


@given(TEXTS)
def test_twice_is_once(texts):
    once = tidy_all(texts)
    assert tidy_all(once) == once


def test_indentation_of_code_stays_and_paragraphs_lose_full_width_blanks():
    assert tidy("def f():\n    return  1 \n\n\n\n\tpass\n") == "def f():\n    return 1\n\n\tpass"
    assert tidy("\u3000\u3000第一段\u3000完。\n\u3000\u3000第二段") == "第一段\u3000完。\n第二段"
