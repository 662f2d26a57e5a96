"""Tables as lexicographers publish them."""

from __future__ import annotations

from pathlib import Path

import pytest

from sapwood.errors import InputError
from sapwood.text.augmenting import lexicons


def file(folder: Path, text: str) -> Path:
    path = folder / "table"
    path.write_text(text, encoding="utf-8")
    return path


def test_cilin_gives_words_of_one_group_and_equal_length_only(tmp_path: Path) -> None:
    found = lexicons.cilin(
        file(
            tmp_path,
            "Aa01A01= 人 士 人物 人士 大人物\nAa01A02= 房间 屋子 不透气\nAa01A03= 屋子 屋宇\nBa01A01# 红色 绿色\nBa01A02@ 红外\n",
        )
    )
    assert found == {"人物": ("人士",), "人士": ("人物",), "房间": ("屋子",), "屋宇": ("屋子",)}


def test_a_file_that_is_not_cilin_is_refused_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="table:2: '房间'"):
        lexicons.cilin(file(tmp_path, "Aa01A01= 人物 人士\n房间 屋子\n"))
    with pytest.raises(InputError, match="no such table"):
        lexicons.cilin(tmp_path / "absent")


def test_wordnet_gives_synonyms_of_the_dominant_sense_that_were_seen_in_it(tmp_path: Path) -> None:
    found = lexicons.wordnet(
        file(
            tmp_path,
            "buy%2:40:00:: 02207206 1 30\npurchase%2:40:00:: 02207206 1 5\nbribe%2:40:00:: 99 1 4\nbuy%2:40:01:: 99 2 2\n"
            "vendee%1:18:00:: 02207206 1 0\npick_up%2:40:00:: 02207206 1 9\n"
            "bank%1:17:01:: 11 1 20\nshore%1:17:01:: 11 1 3\nbank%1:14:00:: 12 2 20\n"
            "big%5:00:00:large:00 7 1 9\nlarge%3:00:00:: 7 1 9\nnot%4:02:00:: 8 1 9\nnon%4:02:00:: 8 1 9\n",
        )
    )
    assert found == {
        "buy": ("purchase",),
        "purchase": ("buy",),
        "bribe": ("buy",),
        "shore": ("bank",),
        "big": ("large",),
        "large": ("big",),
        "not": ("non",),
    }


def test_a_line_that_is_not_wordnet_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="table:1"):
        lexicons.wordnet(file(tmp_path, "hello world\n"))


def test_homophones_are_common_characters_of_the_same_sound_and_never_negate(tmp_path: Path) -> None:
    found = lexicons.homophones(file(tmp_path, "bu\t不\t部\t步\t布\nde\t的\t地\t得\ndi\t地\t第\na\t啊\n"))
    assert found["部"] == ("步", "布")
    assert "不" not in found
    assert found["地"] == ("第",), "the sound that it leads"
    assert "啊" not in found


def test_a_table_of_ones_own_takes_any_separator(tmp_path: Path) -> None:
    found = lexicons.groups(file(tmp_path, "# ours\n退货, 退款\nCheap\tinexpensive  affordable\n"))
    assert found["退货"] == ("退款",)
    assert found["cheap"] == ("inexpensive", "affordable")


def test_a_table_in_another_encoding_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "gbk"
    path.write_bytes("退货 退款".encode("gbk"))
    with pytest.raises(InputError, match="not UTF-8"):
        lexicons.groups(path)
