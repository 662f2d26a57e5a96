import pytest

from sapwood.text.quality import Failure, Limits, judge, margin, measure


@pytest.mark.parametrize(
    "text",
    [
        "在吗",
        "OK",
        "很好！！！",
        "The 3 rooms (101, 102, 103) cost $99.",
        "為什麼要這樣呢？？",
        "for i in range(10):\n    print(i, end='')",
        "价格：99元/件 (iPhone)",
    ],
)
def test_legitimate_short_texts_pass_the_defaults(text):
    assert judge(measure([text])[0], Limits()) is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "too short"),
        ("。", "too short"),
        ("＊＊＊＊＊", "too many symbols"),
        ("不错" * 30, "too repetitive"),
        ("very good " * 30, "too repetitive"),
    ],
)
def test_noise_is_named(text, reason):
    failure = judge(measure([text])[0], Limits())
    assert failure is not None
    assert failure.reason == reason


def test_a_limit_belongs_to_its_kept_side():
    measures = measure(["一二三四五"])[0]
    assert judge(measures, Limits(min_chars=5, max_chars=5)) is None
    assert judge(measures, Limits(min_chars=6)) == Failure("too short", 5, 6)
    assert margin(measures, Limits(min_chars=4)) == Failure("too short", 0.25, 4)
