import pytest
from hypothesis import given
from hypothesis import strategies as st

from sapwood.text.normalise import normalise


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
