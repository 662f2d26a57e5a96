import pytest
from hypothesis import given
from hypothesis import strategies as st

from sapwood.text.language import identify, identify_all

KNOWN = {
    "The room was clean and the staff were friendly.": "en",
    "房间很干净": "zh",
    "好": "zh",
    "這家飯店很好": "zh",
    "とても良いホテルです": "ja",
    "아주 좋은 호텔입니다": "ko",
    "ห้องสะอาดมาก": "th",
    "Das Zimmer war sauber und das Personal freundlich.": "de",
    "Номер был чистым, персонал очень дружелюбный": "ru",
    "这个iPhone手机很好": "zh",
    "12345 !!!": "und",
    "": "und",
}


@pytest.mark.parametrize(("text", "code"), KNOWN.items())
def test_short_texts_are_known_by_script_or_by_classifier(text, code):
    assert identify(text).code == code


def test_the_share_says_how_much_of_a_mixed_text_it_is():
    assert identify("这个iPhone很好") == ("zh", 0.8)


@given(st.lists(st.sampled_from(list(KNOWN)), max_size=8))
def test_batching_does_not_matter(texts):
    assert identify_all(texts) == [identify(text) for text in texts]
