"""Distant supervision: which sentences become examples of which facts, in English and Chinese."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from sapwood.errors import InputError
from sapwood.text import rows
from sapwood.text.labelling import distant
from sapwood.text.sources.source import Reading
from sapwood.text.sources.wordnet import Wordnet
from sapwood.text.spans import Span

FACTS = distant.facts(
    [
        ("Lyon", "#p", "France"),
        ("Paris[city]", "#p", "France"),
        ("鲁迅", "妻子", "许广平"),
        ("巴金", "好友", "老舍"),
        ("巴金", "老师", "老舍"),
    ],
    {"#p": "part of"},
    shortest=2,
)
LIMITS = distant.Limits(most_names=3, longest=80, none="none")


def found(text: str, marked: list[Span] | None = None, limits: distant.Limits = LIMITS) -> list[tuple[str, str, str]]:
    pairs = distant.pairs(text, marked, FACTS, limits, Counter())
    return [(p.sentence[p.head.start : p.head.end], p.label, p.sentence[p.tail.start : p.tail.end]) for p in pairs]


def test_a_sentence_with_both_ends_is_an_example_and_the_first_name_its_head() -> None:
    assert found("Lyon lies in France. In France, Paris is the largest city. Lyon is not Paris.") == [
        ("Lyon", "part of", "France"),
        ("France", "inverse part of", "Paris"),
        ("Lyon", "none", "Paris"),
    ]
    assert found("鲁迅和许广平到了上海。许广平说，鲁迅病了！") == [("鲁迅", "妻子", "许广平"), ("许广平", "inverse 妻子", "鲁迅")]


def test_names_in_two_sentences_join_nothing_and_a_pair_with_two_relations_is_left_out() -> None:
    assert found("Lyon is old. France is older.") == []
    assert FACTS.several == 1
    assert found("巴金见到老舍。") == [("巴金", "none", "老舍")]


def test_one_pair_of_a_sentence_is_taken_and_lists_are_left_out() -> None:
    assert found("Lyon and Paris are in France.") == [("Lyon", "part of", "France")]
    assert found("Lyon, Paris, France and 许广平.") == []
    assert found("Lyon " + "and " * 30 + "France.") == []


def test_marked_names_are_used_alone_and_only_of_the_kinds_asked() -> None:
    text = "Lyon lies in France, as 鲁迅 told 许广平."
    marked = [Span(0, 4, "LOC"), Span(13, 19, "LOC"), Span(24, 26, "PER"), Span(32, 35, "PER")]
    assert found(text, marked, LIMITS._replace(kinds=("PER",))) == [("鲁迅", "妻子", "许广平")]
    assert found(text, []) == []


def test_an_example_says_where_its_names_are_and_which_document_it_comes_from() -> None:
    row = rows.document("leads", "7", "Old. Lyon lies in France.", language="en")
    [pair] = distant.pairs(row["text"], None, FACTS, LIMITS, Counter())
    made = distant.example(row, 0, pair)
    assert (made["text"], made["label"], made["parents"]) == ("Lyon lies in France.", "part of", [row["id"]])
    assert json.loads(rows.meta(made)["tail"]) == [13, 19, "", "France"]
    assert rows.meta(made)["pair"] == "France | Lyon"
    assert distant.ends(made) == ("Lyon", "France")


def read(path: Path) -> list[tuple[str, str, str]]:
    source = Wordnet(name="wn", path=path.name)
    reading = Reading(path.parent, path.parent, print, lambda *_: None, lambda _: None, lambda: False)
    return [(row.text, row.meta["relation"], row.meta["tail"]) for row in source.rows(reading)]


def test_wordnet_gives_the_facts_between_named_things_under_every_name(tmp_path: Path) -> None:
    file = tmp_path / "data.noun"
    file.write_text(
        "  1 This software and database is being provided\n"
        "00000001 15 n 02 Paris 0 City_of_Light 0 002 @i 00000009 n 0000 #p 00000002 n 0000 | the capital of France\n"
        "00000002 15 n 02 France 0 french_republic 0 001 @i 00000009 n 0000 | a country\n"
        "00000003 15 n 01 arrondissement 0 001 #p 00000001 n 0000 | a part of Paris\n"
    )
    assert read(file) == [("Paris", "part of", "France"), ("City of Light", "part of", "France")]
    file.write_text("not a synset\n")
    with pytest.raises(InputError, match="line 1 is no synset"):
        read(file)
