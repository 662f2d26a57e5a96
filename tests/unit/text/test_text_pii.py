import itertools
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sapwood.text.pii import TYPES, find, is_card, is_iban, is_id_number, mask
from sapwood.text.pii.finding import Finding, narrowed, resolved

ID = "11010519491231002X"
CARD = "4111111111111111"
FULL = {point: point + 0xFEE0 for point in range(0x21, 0x7F)}


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("请发到zhang.san@example.com.cn谢谢", "请发到<EMAIL_ADDRESS>谢谢"),
        ("邮箱" + "zhang_san@163.com".translate(FULL) + "，谢谢", "邮箱<EMAIL_ADDRESS>，谢谢"),
        ("电话13812345678，急", "电话<PHONE_NUMBER>，急"),
        ("電話138-1234-5678急", "電話<PHONE_NUMBER>急"),
        ("手机：" + "13812345678".translate(FULL) + "找我", "手机：<PHONE_NUMBER>找我"),
        ("call +86 138 1234 5678 now", "call <PHONE_NUMBER> now"),
        ("call +1 650-253-0000 now", "call <PHONE_NUMBER> now"),
        ("(650) 253-0000", "<PHONE_NUMBER>"),
        ("座机010-62345678转123，", "座机<PHONE_NUMBER>，"),
        ("（０７１７）５４０１２２０、", "<PHONE_NUMBER>、"),
        ("市話02-2345-6789或0912-345-678", "市話<PHONE_NUMBER>或<PHONE_NUMBER>"),
        ("电话：62345678", "电话：<PHONE_NUMBER>"),
        ("Tel. 020 7946 0958.", "Tel. <PHONE_NUMBER>."),
        (f"身份证{ID}号", "身份证<CN_ID_NUMBER>号"),
        ("身份证110105 19491231 002X号", "身份证<CN_ID_NUMBER>号"),
        ("身份证" + ID.translate(FULL) + "号", "身份证<CN_ID_NUMBER>号"),
        ("身份证号110105491231002，", "身份证号<CN_ID_NUMBER>，"),
        (f"卡号{CARD}。", "卡号<CREDIT_CARD>。"),
        ("card 4111 1111 1111 1111 ok", "card <CREDIT_CARD> ok"),
        ("amex 3782-822463-10005", "amex <CREDIT_CARD>"),
        ("IBAN GB29 NWBK 6016 1331 9268 19 AND more", "IBAN <IBAN_CODE> AND more"),
        ("汇到DE89370400440532013000。", "汇到<IBAN_CODE>。"),
        ("来自8.8.8.88的请求", "来自8.8.8.88的请求"),
        ("来自119.28.14.7的请求", "来自<IP_ADDRESS>的请求"),
        ("主机：2400:3200:baba::1，", "主机：<IP_ADDRESS>，"),
        ("网卡：00:1A:2B:3C:4D:5E", "网卡：<MAC_ADDRESS>"),
        ("护照号E12345678快过期了", "护照号<PASSPORT>快过期了"),
        ("Passport no. C01234567.", "Passport no. <PASSPORT>."),
        ("京A12345的车主", "<LICENSE_PLATE>的车主"),
        ("我开粤B·D12345", "我开<LICENSE_PLATE>"),
        ("我住在北京市朝阳区建国路88号院3号楼2单元501室，", "我住在<POSTAL_ADDRESS>，"),
        ("我从北京到上海市浦东新区世纪大道100号", "我从北京到<POSTAL_ADDRESS>"),
        ("寄到台北市信義區信義路五段7號12樓之3。", "寄到<POSTAL_ADDRESS>。"),
        ("He lives at 123 Main Street, Apt 4B, Springfield, IL 62701.", "He lives at <POSTAL_ADDRESS>."),
        ("221B Baker Street, London NW1 6XE", "<POSTAL_ADDRESS>"),
        ("Write to P.O. Box 1234, please", "Write to <POSTAL_ADDRESS>, please"),
    ],
)
def test_personal_data_is_found_next_to_any_script(text, masked):
    assert mask(text)[0] == masked
    assert mask(masked) == (masked, {})


@pytest.mark.parametrize(
    "text",
    [
        "订单号 20231105123456789012345",
        "订单号13812345678",
        f"身份证{ID[:-1]}1",
        "4111111111111112",
        "价格 13812345678.50 元",
        "@小明 你好",
        "icon@2x.png",
        "版本 1.2.3, 2024-01-02 12:30",
        "版本 1.22.33.144，v1.22.33.144",
        "石家庄１．１０．２０．３",
        "内网192.168.10.200和127.0.0.1",
        "x = data[12345678901:]",
        "119491231",
        "std::vector<int>::size",
        "sha1 2fd4e1c67a2d28fced849ee1bb76e7391b93eb12",
        "GB00 NWBK 6016 1331 9268 19",
        "上海市人民政府令第12号",
        "北京地铁2号线",
        "In 2008 Wall Street fell",
        "长安街1号很有名",
        "E12345678",
    ],
)
def test_other_numbers_are_left_alone(text):
    assert find(text) == []


def test_checksums():
    assert is_id_number(ID)
    assert not is_id_number("110105194913310021")  # no 13th month
    assert not is_id_number("99010519491231002X")  # no such province
    assert is_card(CARD)
    assert not is_card("0" * 16)
    assert not is_card("411111111111116")  # Luhn holds, Visa has no 15 digits
    assert is_iban("GB29NWBK60161331926819")
    assert not is_iban("GB29NWBK6016133192681")


def test_several_in_one_text_are_counted():
    text, counts = mask(f"a@b.com 13812345678 {ID} c@d.org")
    assert text == "<EMAIL_ADDRESS> <PHONE_NUMBER> <CN_ID_NUMBER> <EMAIL_ADDRESS>"
    assert counts == {"CN_ID_NUMBER": 1, "EMAIL_ADDRESS": 2, "PHONE_NUMBER": 1}


def test_a_finding_says_why():
    (found,) = find(f"身份证{ID}")
    assert (found.why, found.score) == ("GB 11643 checksum", 1.0)


def test_of_two_that_overlap_the_one_with_a_checksum_wins_and_then_the_longer():
    phone, card, person = Finding("PHONE_NUMBER", 0, 30, 0.9), Finding("CREDIT_CARD", 5, 20, 0.9), Finding("PERSON", 0, 4, 1.0)
    assert resolved([phone, card, person]) == [person, card]
    assert resolved([Finding("PERSON", 0, 2, 1.0), Finding("PERSON", 0, 3, 1.0)]) == [Finding("PERSON", 0, 3, 1.0)]


@given(st.lists(st.tuples(st.sampled_from((*TYPES, "PERSON")), st.integers(0, 40), st.integers(1, 9)), max_size=12))
def test_resolved_findings_never_overlap_and_leave_out_none_that_fits(drawn):
    found = [Finding(kind, start, start + length, 1.0) for kind, start, length in drawn]
    taken = resolved(found)
    assert all(a.end <= b.start for a, b in itertools.pairwise(taken))
    assert all(any(one.start < other.end and other.start < one.end for other in taken) for one in found)


MIXED = st.text(alphabet="0123456789０１- +@.aXZ:/<>_中号路京A区", max_size=60)


@given(MIXED)
def test_findings_are_in_order_and_apart(text):
    found = find(text)
    assert all(a.end <= b.start for a, b in itertools.pairwise(found))
    assert all(0 <= f.start < f.end <= len(text) for f in found)


VALUES = (
    "13812345678",
    "a@b.com",
    ID,
    CARD,
    "GB29NWBK60161331926819",
    "北京市朝阳区建国路8号",
    "119.28.14.7",
    "<EMAIL_ADDRESS>",
    "+1 650-253-0000",
)
PIECES = st.lists(st.sampled_from((*VALUES, "", " ", "，", "1", "-", "转", "x", "号", "电话", "<", ">")), max_size=8).map("".join)


@given(PIECES | MIXED)
def test_masking_twice_changes_nothing(text):
    masked, _ = mask(text)
    assert mask(masked) == (masked, {})


@given(st.text(max_size=40))
def test_the_narrow_form_has_the_same_length(text):
    assert len(narrowed(text)) == len(text)


HOSTILE = (
    "1" * 100_000, "a" * 100_000 + "@", "a@" * 50_000, "1 " * 50_000, "+1 " * 30_000, "a@" + "a." * 50_000, "1:" * 50_000, ":" * 100_000,
    "(010)" * 20_000, "<A_" * 30_000, "北京" * 30_000 + "1号", "1 A" * 30_000, "京A" * 40_000, "0" * 5 + " " * 100_000, "室" * 50_000,
    "10 Aa Aa Aa Aa Aa " * 5_000, "AL35 " * 20_000,
)  # fmt: skip


def test_long_hostile_input_takes_linear_time():
    began = time.process_time()
    for hostile in HOSTILE:
        find(hostile)
    assert time.process_time() - began < 6
