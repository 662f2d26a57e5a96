"""Labelling functions: what they vote for, next to any script, and what is refused."""

import time
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from sapwood.errors import InputError
from sapwood.text.labelling import functions
from sapwood.text.labelling.catalogue import AnyFunction, faults
from sapwood.text.labelling.functions import Keywords, Lexicon, Pattern
from sapwood.text.labelling.words import Words

HERE = Path()


def vote(function, text, workspace=HERE):
    return function.ready(workspace)(text)


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("这本书很好看", "positive"),
        ("這本書很好看", "positive"),
        ("GOOD value", "positive"),
        ("ｇｏｏｄ！", "positive"),
        ("我说goodbye", ""),
        ("很good的", "positive"),
        ("不好看", ""),
        ("不是很好看", ""),
        ("not very good", ""),
        ("I do not care, it is good", "positive"),
        ("好看但是贵", ""),
        ("没什么", ""),
        ("print(good)", "positive"),
        ("", ""),
    ],
)
def test_keywords_stand_for_themselves_and_behind_no_negation(text, label):
    words = Keywords(name="k", label="positive", words=["好看", "good"], unless=["但是"], negations=["不", "not"])
    assert vote(words, text) == label


def test_several_different_words_may_be_asked_for():
    words = Keywords(name="k", label="a", words=["一", "二", "three"], at_least=2)
    assert [vote(words, text) for text in ("一一一", "一二", "THREE 二")] == ["", "a", "a"]


def test_a_lexicon_votes_for_the_heavier_side_and_a_tie_abstains(tmp_path):
    (tmp_path / "words.tsv").write_text("好\tpositive\n很好\tpositive\t3\n差\tnegative\t2\nbad\tnegative\n\n", encoding="utf-8")
    lexicon = Lexicon(name="l", path="words.tsv", words={"喜欢": "positive"})
    assert lexicon.labels(tmp_path) == ("negative", "positive")
    told = {text: vote(lexicon, text, tmp_path) for text in ("很好，差", "好，差", "喜欢，bad", "没有", "差")}
    assert told == {"很好，差": "positive", "好，差": "negative", "喜欢，bad": "", "没有": "", "差": "negative"}
    assert vote(Lexicon(name="l", path="words.tsv", margin=1), "很好，差", tmp_path) == ""


@pytest.mark.parametrize(("line", "why"), [("好", "has no label"), ("好\tpositive\tmuch", "is no weight")])
def test_a_broken_line_of_a_lexicon_is_named(tmp_path, line, why):
    (tmp_path / "words.tsv").write_text(f"差\tnegative\n{line}\n", encoding="utf-8")
    assert "line 2" in Lexicon(name="l", path="words.tsv").check(tmp_path)[0]
    with pytest.raises(InputError, match=why):
        Lexicon(name="l", path="words.tsv").ready(tmp_path)


def test_a_lexicon_outside_of_the_workspace_is_refused(tmp_path):
    with pytest.raises(InputError, match="no file of the workspace"):
        Lexicon(name="l", path="../words.tsv").labels(tmp_path)


def test_a_changed_lexicon_changes_the_fingerprint(tmp_path):
    (tmp_path / "w.tsv").write_text("a\tb")
    before = Lexicon(name="l", path="w.tsv").fingerprint(tmp_path)
    (tmp_path / "w.tsv").write_text("a\tc")
    assert Lexicon(name="l", path="w.tsv").fingerprint(tmp_path) != before


def test_a_pattern_is_searched_for_and_case_may_count():
    assert vote(Pattern(name="p", label="a", pattern="退[货貨]|refund"), "我要退貨") == "a"
    assert vote(Pattern(name="p", label="a", pattern="refund"), "REFUND") == "a"
    assert vote(Pattern(name="p", label="a", pattern="refund", ignore_case=False), "REFUND") == ""


@pytest.mark.parametrize("pattern", ["(a+)+b", "(a|a)*b", r"(\s*a*\s*)*b", "(差+)+劲"])
def test_a_pattern_that_takes_for_ever_is_refused_where_it_is_written(pattern):
    began = time.monotonic()
    with pytest.raises(ValidationError, match="takes for ever"):
        Pattern(name="p", label="a", pattern=pattern)
    assert time.monotonic() - began < 10


def test_a_pattern_that_takes_too_long_on_a_text_is_refused_by_name(monkeypatch):
    monkeypatch.setattr(functions, "PROBE_LENGTH", 1)
    monkeypatch.setattr(functions, "SECONDS", 0.05)
    with pytest.raises(InputError, match="function slow: the pattern took more than"):
        vote(Pattern(name="slow", label="a", pattern="(x+x+)+y"), "x" * 5000 + "!y")


def test_what_is_no_pattern_and_what_is_no_kind_is_refused():
    with pytest.raises(ValidationError, match="no regular expression"):
        Pattern(name="p", label="a", pattern="(")
    with pytest.raises(ValidationError, match="kind"):
        TypeAdapter(AnyFunction).validate_python({"kind": "magic", "name": "m"})


def test_names_used_twice_are_told_before_running(tmp_path):
    one = Keywords(name="k", label="a", words=["x"])
    assert faults([one, one, Lexicon(name="l", path="nothing")], tmp_path) == [
        "two functions are named k",
        "function l: nothing is no file of the workspace",
    ]


def test_the_longest_word_at_a_place_counts_once():
    assert list(Words(["好", "很好"]).found("很好好", longest=True)) == ["很好", "好"]
    assert sorted(Words(["好", "很好"]).found("很好好")) == ["好", "好", "很好"]
    assert list(Words([]).found("好")) == []
