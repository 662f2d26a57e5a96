"""Pairs of two sets: joined by key, with the reason why a text got none."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sapwood.text.pairing import Limits, Pair, Side, judge, match


def sides(*texts: str, name: str = "t") -> list[Side]:
    return [Side(f"{name}{i}", f"key{i}", text) for i, text in enumerate(texts)]


def reasons(texts: list[str], targets: list[str], **limits: float) -> list[str]:
    return [pair.why for pair in judge(match(sides(*texts), sides(*targets, name="z")).pairs, Limits(**limits))]  # type: ignore[arg-type]


def test_texts_meet_by_key_and_each_loss_has_its_reason() -> None:
    english = ["Open the file now", "Close", "42", "Writer", "Open the file now"]
    chinese = ["现在打开文件", "关闭", "42", "Writer", "现在打开文件", "多余"]
    assert reasons(english, chinese) == ["", "", "no letters", "both the same", "copy of a pair"]
    assert reasons(["Open the file"], []) == ["no partner"]
    assert reasons(["Open", "Open the file"], ["开", "打开"], min_chars=2) == ["shorter than min_chars", ""]
    assert reasons(["Open", "Open the file"], ["开", "打开"], max_chars=4) == ["", "longer than max_chars"]


def test_a_length_far_off_the_usual_ratio_is_no_pair() -> None:
    english = ["Open the file now"] * 3 + ["Save it"]
    chinese = ["打开文件甲", "打开文件乙", "打开文件丙", "这是完全不相干的一句很长很长的话，它不可能是译文"]
    assert reasons(english, chinese)[-1] == "length ratio"
    assert reasons(english, chinese, spread=0)[-1] == ""


def test_a_key_that_comes_twice_pairs_once() -> None:
    twice = [Side("a", "k", "Open"), Side("b", "k", "Close")]
    assert [p.why for p in match(twice, [Side("z", "k", "打开")]).pairs] == ["", "its key for the second time"]
    assert [one.id for one in match([Side("a", "k", "Open")], [Side("y", "k", "打开"), Side("z", "k", "关闭")]).left] == ["z"]


def test_lines_pair_where_both_documents_have_as_many() -> None:
    found = match([Side("a", "k", "Open\n\nClose")], [Side("z", "k", "打开\n关闭")], by_line=True).pairs
    assert [(p.text.text, p.target and p.target.text) for p in found] == [("Open", "打开"), ("Close", "关闭")]
    assert match([Side("a", "k", "Open\nClose")], [Side("z", "k", "打开")], by_line=True).pairs[0].why == "another number of lines"


@given(
    st.lists(st.tuples(st.integers(0, 5), st.text("ab 文件", max_size=6)), max_size=8),
    st.lists(st.tuples(st.integers(0, 5), st.text("ab文", max_size=6)), max_size=8),
)
def test_every_text_is_told_once_and_no_target_pairs_twice(texts: list[tuple[int, str]], targets: list[tuple[int, str]]) -> None:
    ours = [Side(f"t{i}", str(k), text) for i, (k, text) in enumerate(texts)]
    matched = match(ours, [Side(f"z{i}", str(k), text) for i, (k, text) in enumerate(targets)])
    judged: list[Pair] = list(judge(matched.pairs, Limits()))
    assert [pair.text for pair in judged] == ours
    used = [pair.target.id for pair in judged if pair.target]
    assert len(used) == len(set(used))
    assert len(used) + len(matched.left) == len(targets)
