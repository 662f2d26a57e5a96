"""The simple systems beside a model: each answers in its task's form, from the training rows alone, in English and Chinese."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from sapwood.models.tasks.multilabel import Multilabel
from sapwood.models.tasks.relations import Relations
from sapwood.models.tasks.spans import Spans
from sapwood.models.tasks.task import Row
from sapwood.models.tasks.tokens import Tokens
from sapwood.probes.beside import MODULES, beside
from sapwood.text.spans import Span


def row(number: int, text: str, **more: Any) -> Row:
    return {"id": f"r{number}", "text": text, **{name.replace("__", "."): value for name, value in more.items()}}


def named(number: int, text: str, *names: tuple[str, str]) -> Row:
    spans = [[text.index(name), text.index(name) + len(name), label] for name, label in names]
    return row(number, text, meta__spans=json.dumps(spans))


TRAIN = [
    named(0, "江泽民在北京会见克林顿。", ("江泽民", "PER"), ("北京", "LOC"), ("克林顿", "PER")),
    named(1, "Merkel flew from Paris to Berlin.", ("Merkel", "PER"), ("Paris", "LOC"), ("Berlin", "LOC")),
    named(2, "她在北京，北京大学。", ("北京大学", "ORG")),
    named(3, "and so said may, may, may; then May came.", ("May", "PER")),
]


def test_the_list_takes_the_longest_name_and_forgets_words_that_are_seldom_names() -> None:
    asked = [row(9, "克林顿到北京大学。"), row(10, "In Berlin Merkel may stay in Bonn.")]
    found = beside(Tokens(), TRAIN, asked)["gazetteer"]
    assert found[0] == [Span(0, 3, "PER"), Span(4, 8, "ORG")]
    assert found[1] == [Span(3, 9, "LOC"), Span(10, 16, "PER")]


def test_the_window_learns_names_from_what_stands_around_them() -> None:
    people = ["王明", "李强", "张伟", "赵敏", "陈晨", "周涛"]
    train = [named(i, f"记者{name}报道，{'天气很好' * (i % 3)}", (name, "PER")) for i, name in enumerate(people * 3)]
    [said] = beside(Tokens(), train, [row(99, "记者孙楠报道，消息")])["window-logreg"]
    assert said == [Span(2, 4, "PER")]


def test_relations_follow_the_types_and_the_words_between() -> None:
    def pair(number: int, text: str, head: str, tail: str, label: str, types: tuple[str, str]) -> Row:
        places = [[text.index(name), text.index(name) + len(name), kind] for name, kind in zip((head, tail), types, strict=True)]
        return row(number, text, label=label, meta__head=json.dumps(places[0]), meta__tail=json.dumps(places[1]))

    train = [
        pair(i, f"{a}{word}{b}。", a, b, label, types)
        for i, (a, b, word, label, types) in enumerate(
            [("鲁迅", "许广平", "娶了", "spouse", ("PER", "PER")), ("鲁迅", "绍兴", "生于", "born", ("PER", "LOC"))] * 6
            + [("鲁迅", "萧红", "见到", "none", ("PER", "PER"))] * 5
        )
    ]
    asked = [
        pair(90, "王明生于北京。", "王明", "北京", "born", ("PER", "LOC")),
        pair(91, "王明见到李强。", "王明", "李强", "none", ("PER", "PER")),
    ]
    found = beside(Relations(), train, asked)
    labels = Relations().labels(train)
    assert [labels[i] for i in found["types"].argmax(1)] == ["born", "spouse"]
    assert [labels[i] for i in found["words-between"].argmax(1)] == ["born", "none"]
    assert np.allclose([array.sum(1) for array in found.values()], 1)


def test_several_classes_are_each_told_by_themselves() -> None:
    train = [
        row(i, text, label=label)
        for i, (text, label) in enumerate([("价格贵", "price"), ("尺码小", "size"), ("价格贵尺码小", "price|size")] * 8)
    ]
    found = beside(Multilabel(), train, [row(99, "尺码小", label="size")])
    assert (found["tfidf-logreg"] >= 0.5).tolist() == [[False, True]]
    assert found["majority"][0] == pytest.approx([2 / 3, 2 / 3])


def test_the_window_beside_the_questions_words_is_the_answer() -> None:
    train = [row(0, "The museum opened in 1994.", meta__question="When did it open", meta__answers="[[21, 25]]")]
    asked = [
        row(1, "Many came. The bridge was painted red. It rained.", meta__question="How was the bridge painted", meta__answers="[[38, 41]]")
    ]
    found = beside(Spans(), train, asked)
    assert found["no answer"] == [None]
    [said] = found["sliding-window"]
    assert said is not None
    assert said.end - said.start <= 7


def test_a_task_without_simple_systems_has_none_beside_it() -> None:
    class Odd(Tokens):
        kind: Any = "odd"

    assert beside(Odd(), TRAIN, TRAIN) == {}
    assert "tokens" in MODULES
