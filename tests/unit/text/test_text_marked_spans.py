"""Spans of a text: units, tags and back, and the field that holds them, in English and Chinese."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sapwood.errors import InputError
from sapwood.text import spans
from sapwood.text.sources.lines import marked, untag
from sapwood.text.spans import Span

NAMES = {"nr": "PER", "ns": "LOC", "nt": "ORG"}
WORDS = st.sampled_from(["江", "泽民", "北京", "新华社", "Angela", "Merkel", "visits", "1998", "，", "。", "（", "the", "U.S.", "３１日"])


@st.composite
def marked_texts(draw: st.DrawFn) -> tuple[str, list[Span]]:
    """A text with spans that begin and end at units, none over another."""
    words = draw(st.lists(WORDS, min_size=1, max_size=12))
    text = " ".join(words) if draw(st.booleans()) else "，".join(words)
    places = spans.units(text)
    cuts = sorted(draw(st.sets(st.integers(0, len(places)), max_size=6)))
    pairs = list(zip(cuts[::2], cuts[1::2], strict=False))
    return text, [Span(places[a][0], places[b - 1][1], draw(st.sampled_from(["PER", "LOC"]))) for a, b in pairs]


@given(marked_texts())
def test_spans_survive_becoming_tags_and_back(made: tuple[str, list[Span]]) -> None:
    text, found = made
    places = spans.units(text)
    assert spans.from_tags(places, spans.tags(places, found)) == found


@given(marked_texts())
def test_a_field_gives_the_spans_that_were_written(made: tuple[str, list[Span]]) -> None:
    text, found = made
    assert spans.parsed(spans.written(found, text), text, "r") == found


def test_chinese_is_cut_by_character_english_by_word_and_marks_alone() -> None:
    text = "买了iPhone 15，U.S. price"
    assert [text[a:b] for a, b in spans.units(text)] == ["买", "了", "iPhone", "15", "，", "U", ".", "S", ".", "price"]


def test_an_inside_tag_after_nothing_or_another_label_begins_a_span() -> None:
    places = [(i, i + 1) for i in range(5)]
    assert spans.from_tags(places, ["I-PER", "I-PER", "I-LOC", "O", "I-LOC"]) == [Span(0, 2, "PER"), Span(2, 3, "LOC"), Span(4, 5, "LOC")]


def test_of_two_overlapping_spans_the_longer_one_is_tagged() -> None:
    assert spans.tags([(0, 1), (1, 2), (2, 3)], [Span(0, 3, "ORG"), Span(0, 2, "LOC")]) == ["B-ORG", "I-ORG", "I-ORG"]


@pytest.mark.parametrize(
    ("value", "said"),
    [("[[0, 9, 'PER']]", "no JSON list"), ('[[0, 9, "PER"]]', "not inside its 3"), ('[[0, 2, "PER", "江沢"]]', "was '江沢' and is '江泽'")],
)
def test_a_field_that_does_not_fit_its_text_names_the_row(value: str, said: str) -> None:
    with pytest.raises(InputError, match=f"row r7.*{said}"):
        spans.parsed(value, "江泽民", "r7")


def test_surname_and_given_name_are_one_person_and_neighbours_are_not() -> None:
    text, found = marked("江/nr  泽民/nr  李/nr  鹏/nr  欧阳/nr 修/nr 克林顿/nr 希拉里/nr 抵/v 京/ns 津/ns", NAMES)
    assert [(text[s.start : s.end], s.label) for s in found] == [
        ("江泽民", "PER"),
        ("李鹏", "PER"),
        ("欧阳修", "PER"),
        ("克林顿", "PER"),
        ("希拉里", "PER"),
        ("京", "LOC"),
        ("津", "LOC"),
    ]


def test_a_group_is_one_span_and_spaces_stay_between_latin_words() -> None:
    text, found = marked("[中国/ns  国际/n  电台/n]nt  记者/n  在/p  New/nx  York/ns", NAMES)
    assert text == "中国国际电台记者在New York"
    assert [(text[s.start : s.end], s.label) for s in found] == [("中国国际电台", "ORG"), ("York", "LOC")]


@given(st.lists(st.tuples(WORDS, st.sampled_from(["nr", "ns", "n", "w"])), max_size=12))
def test_the_text_of_a_tagged_line_does_not_change_with_its_entities(tokens: list[tuple[str, str]]) -> None:
    line = "  ".join(f"{word}/{tag}" for word, tag in tokens)
    assert marked(line, NAMES)[0] == untag(line)
