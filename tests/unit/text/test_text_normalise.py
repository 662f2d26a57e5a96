import pytest
from hypothesis import given
from hypothesis import strategies as st

from sapwood.text.quality.normalise import Normal, normalise, normalise_all


@pytest.mark.parametrize(
    "text",
    [
        "“很好”，服务！！　不错……（推荐）",
        "ＡＢＣ，１２３：全角",
        "這家飯店「很好」，下次再來～",
        "naïve café, 10 °C – ok…",
        "def f(x):\n    if x:\n        return 1",
        "我用iPhone，OK！",
        "👨‍👩‍👧 很好",
    ],
)
def test_clean_text_stays_as_it_is(text):
    assert normalise(text) == (text, ())


@pytest.mark.parametrize("text", ["你好，世界", "café d’été", "價格：１００元"])
def test_utf8_read_as_windows_text_is_mended(text):
    broken = text.encode("utf-8").decode("latin-1")
    mended = normalise(broken)
    assert mended.text == text
    assert mended.steps[0] == "mojibake"


def test_what_was_done_is_told():
    assert normalise("a\x00b\r\n\r\n\r\n\r\nc  d\u200b ") == ("ab\n\nc d", ("line ends", "controls", "spaces"))
    assert normalise("e\u0301") == ("é", ("composed",))


@given(st.text())
def test_twice_is_once(text):
    once = normalise(text).text
    assert normalise(once).text == once


TRICKY = st.text(alphabet="ab好 \t\n\r\u3000\u00a0\u0301\u00e9\u00c3\u00a9\u200b\u1680\u0085가\u1100", max_size=14)


@given(st.lists(st.text(max_size=12) | TRICKY, max_size=8))
def test_batching_does_not_matter(texts):
    assert normalise_all(texts) == [normalise(text) for text in texts]


@given(st.lists(TRICKY, max_size=8))
def test_what_was_normalised_is_left_alone(texts):
    once = [normal.text for normal in normalise_all(texts)]
    assert normalise_all(once) == [Normal(text, ()) for text in once]
