import pytest
from hypothesis import given
from hypothesis import strategies as st

from sapwood.text.langid import classify_all
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
    assert identify("这个iPhone很好")[:2] == ("zh", 0.8)


@pytest.mark.parametrize(
    ("text", "variety"),
    [
        ("房间很干净，服务员热情", "zh-Hans"),
        ("這家飯店的服務很好，下次還會再來", "zh-Hant"),
        ("好", ""),
        ("我买了iPhone 15 Pro，屏幕 very good，电池 life 一般般", "mixed"),
        ("The room was clean.", ""),
    ],
)
def test_the_variety_says_what_the_code_does_not(text, variety):
    assert identify(text).variety == variety


def test_the_model_in_step_agrees_with_py3langid_itself():
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    theirs = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    texts = [*[*KNOWN][:-2], "ALL IN CAPITALS", "Le temps est beau aujourd'hui", "naïve café " * 30, "def f(x): return x"]
    for text, found in zip(texts, classify_all(texts), strict=True):
        code, confidence = theirs.classify(text)
        assert found.code == code
        assert found.confidence == pytest.approx(confidence, abs=1e-3)


@given(st.lists(st.sampled_from(list(KNOWN)), max_size=8))
def test_batching_does_not_matter(texts):
    assert identify_all(texts) == [identify(text) for text in texts]
