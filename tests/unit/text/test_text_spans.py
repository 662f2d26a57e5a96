import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sapwood.text import units
from sapwood.text.leaks import spans

LETTERS = "abz Z1½ﬁß\u0301ÉeШ한\u1112\u1161\u11abガｶﾞ人買了。，\n\ufe0f☺ไทยनमस्ते"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello, wörld!", ["Hello", "wörld"]),
        ("买了iPhone 15，很好。", ["买", "了", "iPhone", "15", "很", "好"]),
        ("cafe\u0301 x", ["cafe\u0301", "x"]),
        ("１２３　ＡＢＣ", ["１２３", "ＡＢＣ"]),
        ("नमस्ते दुनिया", ["नमस्ते", "दुनिया"]),
        ("Straße ﬁne", ["Straße", "ﬁne"]),
        ("", []),
        ("…!", []),
    ],
)
def test_units_stand_where_they_were_written(text, expected):
    found = spans.placed(text)
    assert [text[start:end] for start, end in zip(found.starts, found.ends, strict=True)] == expected


@settings(max_examples=200, deadline=None)
@given(st.text(st.sampled_from(LETTERS), max_size=40))
def test_windows_are_the_shingles_and_lie_inside_the_text(text):
    found = spans.placed(text)
    joined = units.shingle([" ".join(found.names)])
    assert joined.keys == units.shingle([text]).keys or not found.names
    assert set(joined.values.tolist()) == set(units.shingle([text]).values.tolist())
    assert found.starts == sorted(found.starts)
    assert all(0 <= start < end <= len(text) for start, end in zip(found.starts, found.ends, strict=True))


def brute(windows, item, reach):
    """The most distinct windows of the item in any stretch of `reach` windows."""
    return max((len(set(windows[start : start + reach]) & item) for start in range(len(windows))), default=0)


@settings(max_examples=100, deadline=None)
@given(st.text("ab", max_size=60), st.text("ab", min_size=5, max_size=14))
def test_the_first_stretch_is_the_best_of_all_and_the_next_ones_lie_apart(document, item):
    mine = spans.placed(" ".join(document))
    wanted = frozenset(spans.placed(" ".join(item)).windows())
    windows, reach = mine.windows(), spans.SLACK * len(item) - spans.K + 1
    found = list(spans.stretches(mine, spans.where(mine), wanted, len(item)))
    most = brute(windows, wanted, reach)
    assert bool(found) == (most > 0)
    assert [one.coverage for one in found] == sorted((one.coverage for one in found), reverse=True)
    if found:
        assert round(found[0].coverage * len(wanted)) == most == len(found[0].found)
    for one in found:
        held = windows[mine.starts.index(one.start) : mine.ends.index(one.end) - spans.K + 2]
        assert set(held) & wanted == one.found
        assert len(held) <= reach
    ordered = sorted(found)
    assert all(one.end <= other.start for one, other in itertools.pairwise(ordered))


def test_a_span_is_cut_out_alone_or_with_its_lines():
    text = "第一行。\nbefore ITEM after\n\n最后一行。"
    start = text.index("ITEM")
    span = (start, start + 4)
    assert spans.without(text, [span]) == "第一行。\nbefore  after\n\n最后一行。"
    assert spans.without(text, spans.paragraphs(text, [span])) == "第一行。\n\n最后一行。"
    assert spans.without(text, spans.paragraphs(text, [(0, len(text))])) == ""
    two = (text.index("行"), text.index("ITEM") + 4)
    assert spans.without(text, spans.paragraphs(text, [two, span])) == "最后一行。"


def test_spans_that_overlap_are_joined():
    chance = random.Random(1)
    pairs = [tuple(sorted(chance.sample(range(50), 2))) for _ in range(12)]
    inside = {place for start, end in pairs for place in range(start, end)}
    assert {place for start, end in spans.merged(pairs) for place in range(start, end)} == inside
