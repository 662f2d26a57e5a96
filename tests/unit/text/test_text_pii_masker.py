"""Masking by a block: chosen types, allow-lists, stable placeholders, further finders."""

import hashlib
import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from sapwood.errors import InputError
from sapwood.stage import Signature
from sapwood.store.local import LocalStore
from sapwood.text import pii, placeholders
from sapwood.text.pii.contract import Words
from sapwood.text.pii.settings import Masking

KEY = hashlib.sha256(b"key").digest()


def masked(text, key=KEY, workspace=Path(), **block):
    return pii.masker(Masking(**block), key, workspace)(text)


def test_only_the_chosen_types_are_masked():
    assert masked("a@b.com 13812345678", types=["PHONE_NUMBER"]).text == "a@b.com <PHONE_NUMBER>"


def test_an_unknown_type_is_refused_with_the_nearest_right_one():
    with pytest.raises(ValidationError, match="Did you mean EMAIL_ADDRESS"):
        Masking(types=["EMAIL_ADRESS"])


def test_the_allow_list_leaves_the_companys_own_address_in_any_spelling():
    found = masked("找我a@b.com或service@ourshop.example、ＳＥＲＶＩＣＥ@ourshop.example", keep=["*@OurShop.example"])
    assert found.text == "找我<EMAIL_ADDRESS>或service@ourshop.example、ＳＥＲＶＩＣＥ@ourshop.example"
    assert (found.counts, found.kept) == ({"EMAIL_ADDRESS": 1}, 2)


def test_one_value_has_one_stable_placeholder_in_every_spelling():
    spellings = ("13812345678", "138-1234-5678", "138 1234 5678", "+86 13812345678", "１３８１２３４５６７８")
    found = {masked(f"电话{one}。", stable=True).text for one in spellings}
    assert len(found) == 1
    assert re.fullmatch("电话<PHONE_NUMBER_[0-9a-f]{12}>。", found.pop())
    assert masked("电话13812345679。", stable=True).text not in found


def test_stable_placeholders_of_another_store_differ_and_masking_twice_changes_nothing():
    mine = masked("a@b.com", stable=True)
    assert masked("a@b.com", key=b"another", stable=True).text != mine.text
    assert masked(mine.text, stable=True) == pii.Masked(mine.text, {}, 0)
    assert masked(mine.text) == pii.Masked(mine.text, {}, 0)


def test_stable_without_a_secret_is_refused():
    with pytest.raises(InputError, match="secret"):
        masked("a@b.com", key=b"", stable=True)


def test_the_secret_is_the_stores_and_is_not_its_signature(tmp_path):
    one, other = LocalStore(tmp_path / "one"), LocalStore(tmp_path / "other")
    secret = placeholders.secret(one.sign)
    assert secret == placeholders.secret(LocalStore(tmp_path / "one").sign)
    assert secret != placeholders.secret(other.sign)
    assert secret.hex() not in one.sign(placeholders.PURPOSE).value


def test_the_signed_message_is_none_that_a_verdict_can_be():
    signed = []

    def sign(message):
        signed.append(message)
        return Signature("00", "11" * 64)

    placeholders.secret(sign)
    assert signed == [placeholders.PURPOSE]
    assert not placeholders.PURPOSE.startswith(b"{")


def test_given_names_are_found_in_both_scripts_and_inside_no_longer_word(tmp_path):
    (tmp_path / "names.txt").write_text("王小明\nAnn Lee\n", encoding="utf-8")
    words = {"kind": "words", "words": ["张三"], "path": "names.txt"}
    text = "张三和王小明见了ann lee，ＡＮＮ　ＬＥＥ也在；Joann Leeds不在。"
    assert masked(text, workspace=tmp_path, maskers=[words]).text == "<PERSON>和<PERSON>见了<PERSON>，<PERSON>也在；Joann Leeds不在。"


def test_a_name_inside_an_address_is_not_cut_out_of_it():
    assert masked("zhang@b.com", maskers=[{"kind": "words", "words": ["zhang"]}]).text == "<EMAIL_ADDRESS>"


def test_a_list_of_names_outside_of_the_workspace_or_empty_is_told_before_running(tmp_path):
    assert "is no file of the workspace" in Words(path="../names.txt").check(tmp_path)[0]
    assert "no name to find" in Words().check(tmp_path)[0]


def test_a_changed_list_of_names_changes_the_fingerprint(tmp_path):
    block = Masking(maskers=[{"kind": "words", "path": "names.txt"}])
    (tmp_path / "names.txt").write_text("a")
    before = block.fingerprint(tmp_path)
    (tmp_path / "names.txt").write_text("b")
    assert before != block.fingerprint(tmp_path)
