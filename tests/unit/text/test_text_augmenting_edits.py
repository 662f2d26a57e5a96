"""Edits of one text: what they may touch, and that they depend on their seed only."""

from __future__ import annotations

import random
import re
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sapwood.text.augmenting import edits, protected
from sapwood.text.augmenting.lexicons import Candidate, Lexicon

WORDS = Lexicon(
    {"酒店": ("旅馆", "宾馆"), "干净": ("整洁",), "房间": ("屋子",), "cheap": ("inexpensive",), "buy": ("purchase",), "手机": ("电话",)}
)
SOUNDS = {"房": ("方", "防"), "很": ("狠",), "店": ("电",), "体": ("题",), "體": ("題",)}
EDITS = {
    "synonyms": edits.synonyms(WORDS, 0.5),
    "characters": edits.characters(SOUNDS, 0.5),
    "noise": edits.noise(("swap", "drop", "double", "keyboard"), 0.5),
    "shuffle": edits.shuffled,
}
TEXTS = [
    "酒店很干净，房间不大，13812345678，下次还住。",
    "體育館的房間很乾淨，沒有異味。",
    "The hotel was cheap and clean, but I would not buy 3 rooms for <MONEY_1> again. Never mind! See www.a.com.",
    "买了iPhone 15，手机很好！房间干净。Really cheap and nice.",
    "for i in range(10):\n    print(values[i])\n",
    "",
    "好",
]
LETTERS = st.text(alphabet="酒店很干净房间不没，。！…3十 aebcnotNever'<A_1>.\n體", max_size=60)


def made(name: str, text: str, seed: int = 0, number: int = 0) -> str:
    return EDITS[name](text, protected.hidden(text), edits.draw(seed, "id", name, number))


@pytest.mark.parametrize("name", EDITS)
@pytest.mark.parametrize("text", TEXTS)
def test_an_edit_depends_on_text_seed_id_and_number_only(name: str, text: str) -> None:
    once = [made(name, text, seed) for seed in range(4)]
    random.seed(5)
    edits.draw(9, "other").random()
    assert once == [made(name, text, seed) for seed in range(4)]


@pytest.mark.parametrize("name", ["synonyms", "characters", "noise"])
@settings(max_examples=60, deadline=None)
@given(LETTERS, st.integers(0, 1 << 40))
def test_numbers_placeholders_and_negations_stay_and_none_is_made(name: str, text: str, seed: int) -> None:
    child = made(name, text, seed)
    assert Counter(protected.FIGURES.findall(child)) == Counter(protected.FIGURES.findall(text))
    assert protected.negates(child) == protected.negates(text)
    assert Counter(protected.negations(child)) == Counter(protected.negations(text))


@settings(max_examples=80, deadline=None)
@given(LETTERS, st.integers(0, 1 << 40))
def test_shuffling_keeps_every_character_but_stops_and_space(text: str, seed: int) -> None:
    gone = re.compile(r"[\s。.]")  # stops are added where a sentence without one moves forward
    assert Counter(gone.sub("", made("shuffle", text, seed))) == Counter(gone.sub("", text))


@settings(max_examples=80, deadline=None)
@given(LETTERS)
def test_parts_joined_are_the_text(text: str) -> None:
    assert "".join(body + gap for body, gap in edits.parts(text)) == text


def test_other_seeds_and_numbers_make_other_children() -> None:
    text = "酒店很干净，房间很大，早餐很好，下次还会再来。推荐给朋友。The hotel was cheap and everything was clean."
    for name in EDITS:
        assert len({made(name, text, seed, number) for seed in range(3) for number in range(3)}) > 2, name


def test_synonyms_keep_the_case_and_match_the_longest_word() -> None:
    lexicon = Lexicon({"大学": ("学院",), "大学生": ("学员",), "cheap": ("inexpensive",)})
    text = "大学生 Cheap cheaper"
    assert [(text[c.start : c.end], c.choices) for c in lexicon.candidates(protected.hidden(text))] == [
        ("大学生", ("学员",)),
        ("Cheap", ("Inexpensive",)),
    ]


def test_protected_places_are_no_candidates() -> None:
    text = "酒店，<酒店>，海外酒店"
    names = protected.automaton(["海外酒店"])
    found = WORDS.candidates(protected.hidden(text, names))
    assert [one.start for one in found] == [0, 4], "a placeholder is Latin; a name is a name"
    assert protected.hidden("See Anna in London, OK").replace("\0", "") == "See  in , "


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("在www.a.com买的，见https://x.y/z?a=1，邮箱a.b@c.com。", "在买的，见，邮箱。"),
        ("打１３８-0000转８，共三百元", "打转，共元"),
        ("请联系<EMAIL_ADDRESS_7f3a91c2d4e0>。", "请联系。"),
        ("没有问题，並非如此", "有问题，並如此"),
        ("I couldn’t and cannot say Never to Wang in HR", "I  and  say  to  in "),
    ],
)
def test_facts_and_negations_are_hidden_next_to_any_script(text: str, left: str) -> None:
    assert protected.hidden(text).replace(protected.HIDDEN, "") == left
    assert len(protected.hidden(text)) == len(text)


@pytest.mark.parametrize("piece", ["a", "你好", "1", "<a", "a@", "n't", "http://", "一,"])
def test_a_very_long_line_takes_linear_time(piece: str) -> None:
    import time

    began = time.process_time()
    protected.hidden(piece * 20_000)
    protected.negates(piece * 20_000)
    assert time.process_time() - began < 2


@pytest.mark.parametrize(("share", "changed"), [(0.01, 1), (0.5, 2), (1.0, 4)])
def test_the_share_is_of_the_places_and_at_least_one(share: float, changed: int) -> None:
    places = [Candidate(i, i + 1, ("x",)) for i in range(4)]
    assert edits.replaced("aaaa", places, share, random.Random(0)).count("x") == changed
    assert edits.replaced("aaaa", [], share, random.Random(0)) == "aaaa"


def test_typing_errors_leave_short_words_and_first_letters_alone() -> None:
    for seed in range(30):
        child = made("noise", "it is a very good hotel", seed)
        assert child.split(" ")[:3] == ["it", "is", "a"]
        assert [word[0] for word in child.split(" ")] == list("iiavgh")


def test_keyboard_is_for_latin_letters_only() -> None:
    typed = edits.noise(("keyboard",), 1.0)
    assert typed("酒店很干净", "酒店很干净", random.Random(1)) == "酒店很干净"
    assert re.fullmatch("h[a-z]{4}", typed("hotel", "hotel", random.Random(1)))


def test_a_mixture_is_half_of_each_in_order() -> None:
    one, two = "房间好。服务好。早餐好。位置好。", "很贵。很远。"
    child = edits.mixed(one, two, random.Random(3))
    assert len(edits.parts(child)) == 3
    taken = [body for body, _ in edits.parts(child)]
    assert taken[:2] == sorted(taken[:2], key=one.index)
    assert taken[2] in two
    assert edits.mixed("Nice room, good food", "Too loud. Too dear.", random.Random(0)).endswith("dear.") or "loud" in edits.mixed(
        "Nice room, good food", "Too loud. Too dear.", random.Random(0)
    )
    assert edits.mixed("text", "", random.Random(0)) == "text"


def test_sentences_without_a_stop_get_one_when_they_move_forward() -> None:
    found = {edits.shuffled("真的吗？不错。下次再来", "", random.Random(seed)) for seed in range(12)}
    assert "下次再来。真的吗？不错。" in found
    assert not any("下次再来真" in child or "下次再来不" in child for child in found)


def test_either_takes_the_other_where_the_first_finds_nothing() -> None:
    both = edits.either(EDITS["synonyms"], EDITS["characters"])
    assert {both("很好", "很好", random.Random(seed)) for seed in range(5)} == {"狠好"}


@pytest.mark.parametrize(
    ("parent", "child", "same"),
    [
        ("花了 30 元", "共 30 元", True),
        ("花了 30 元", "花了三十元", False),
        ("我不喜欢", "我讨厌", False),
        ("I don't like it", "I do not like it", True),
        ("I like it", "I never like it", False),
        ("call <PHONE_NUMBER>", "call", False),
        ("在海外酒店", "在酒店", False),
    ],
)
def test_a_rewritten_text_keeps_facts_names_and_negation(parent: str, child: str, same: bool) -> None:
    assert protected.kept(parent, child, ["海外酒店"]) is same


# --------------------------------------------------------------------------- partners


@settings(max_examples=20, deadline=None)
@given(st.permutations(range(30)))
def test_partners_are_drawn_by_seed_and_id_whatever_the_order(order: list[int]) -> None:
    from sapwood.text.augmenting.pools import Pools

    one, two = Pools(5, 3), Pools(5, 3)
    for number in range(30):
        one.add(("a", "", ""), str(number), f"text {number}")
    for number in order:
        two.add(("a", "", ""), str(number), f"text {number}")
    found = one.partners(("a", "", ""), "none")
    assert found == two.partners(("a", "", ""), "none")
    assert len(found) == 5
    assert [p.id for p in one.partners(("a", "", ""), found[2].id)] == [p.id for p in found if p is not found[2]]


def test_pools_of_long_texts_become_smaller_and_never_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    from sapwood.text.augmenting import pools

    monkeypatch.setattr(pools, "BUDGET", 1000)
    held = pools.Pools(64, 0)
    for number in range(100):
        for label in "abc":
            held.add((label, "", ""), f"{label}{number}", "长" * 50)
    sizes = [len(held.partners((label, "", ""), "")) for label in "abcd"]
    assert sizes == [4, 4, 4, 0]
    held.add(("d", "", ""), "d", "x" * (pools.LONGEST + 1))
    assert held.partners(("e", "", ""), "") == []
