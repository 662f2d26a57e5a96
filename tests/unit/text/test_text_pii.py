import itertools
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sapwood.text.pii import find, is_card, is_id_number, mask

ID = "11010519491231002X"
CARD = "4111111111111111"
FULL = str.maketrans("0123456789", "０１２３４５６７８９")


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("请发到zhang.san@example.com.cn谢谢", "请发到<EMAIL_ADDRESS>谢谢"),
        ("电话13812345678，急", "电话<PHONE_NUMBER>，急"),
        ("電話138-1234-5678急", "電話<PHONE_NUMBER>急"),
        ("手机：" + "13812345678".translate(FULL) + "找我", "手机：<PHONE_NUMBER>找我"),
        ("call +86 138 1234 5678 now", "call <PHONE_NUMBER> now"),
        ("call +1 650-253-0000 now", "call <PHONE_NUMBER> now"),
        (f"身份证{ID}号", "身份证<CN_ID_NUMBER>号"),
        (f"卡号{CARD}。", "卡号<CREDIT_CARD>。"),
        ("card 4111 1111 1111 1111 ok", "card <CREDIT_CARD> ok"),
    ],
)
def test_personal_data_is_found_next_to_any_script(text, masked):
    assert mask(text)[0] == masked
    assert mask(masked) == (masked, {})


@pytest.mark.parametrize(
    "text",
    [
        "订单号 20231105123456789012345",
        f"身份证{ID[:-1]}1",
        "4111111111111112",
        "价格 13812345678.50 元",
        "@小明 你好",
        "版本 1.2.3, 2024-01-02 12:30",
        "x = data[12345678901:]",
        "119491231",
    ],
)
def test_other_numbers_are_left_alone(text):
    assert find(text) == []


def test_checksums():
    assert is_id_number(ID)
    assert not is_id_number("110105194913310021")  # no 13th month
    assert is_card(CARD)
    assert not is_card("0" * 16)


def test_several_in_one_text_are_counted():
    text, counts = mask(f"a@b.com 13812345678 {ID} c@d.org")
    assert text == "<EMAIL_ADDRESS> <PHONE_NUMBER> <CN_ID_NUMBER> <EMAIL_ADDRESS>"
    assert counts == {"CN_ID_NUMBER": 1, "EMAIL_ADDRESS": 2, "PHONE_NUMBER": 1}


@given(st.text(alphabet="0123456789０１- +@.aX中", max_size=60))
def test_findings_are_in_order_and_apart(text):
    found = find(text)
    assert all(a.end <= b.start for a, b in itertools.pairwise(found))
    assert all(0 <= f.start < f.end <= len(text) for f in found)


def test_long_hostile_input_takes_linear_time():
    began = time.process_time()
    for hostile in ("1" * 100_000, "a" * 100_000 + "@", "a@" * 50_000, "1 " * 50_000, "+1 " * 30_000, "a@" + "a." * 50_000):
        find(hostile)
    assert time.process_time() - began < 3
