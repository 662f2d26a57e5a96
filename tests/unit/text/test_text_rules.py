import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sapwood.errors import InputError
from sapwood.text.quality import ledger, rules, statistics
from sapwood.text.quality.criteria import GENTLE, Rule, Ruleset, WordList
from sapwood.text.quality.word_lists import load

SHORT = Rule(statistic="characters", comparison="at_least", limit=5, limits={"zh": 2, "zh-Hant": 3, "th": None})


def judged(rule, values, codes, kinds=None, **more):
    measured = {rule.statistic: np.array(values, dtype=float), **{name: np.array(v, dtype=float) for name, v in more.items()}}
    return rules.judge(Ruleset({"short": rule}), measured, codes, kinds or [""] * len(codes))


def test_a_limit_belongs_to_its_kept_side_and_to_its_language():
    found = judged(SHORT, [5, 4, 2, 1, 2, 1], ["en", "en", "zh", "zh", "zh", "th"], ["", "", "", "", "zh-Hant", ""])
    assert found.stays.tolist() == [True, False, True, False, False, True]
    assert found.limit[~found.stays].tolist() == [5, 2, 3]


def test_a_rule_is_judged_only_where_it_says():
    rule = Rule(statistic="bullets", limit=0.5, when={"lines": 5})
    assert judged(rule, [0.9, 0.9], ["en", "en"], lines=[4, 5]).stays.tolist() == [True, False]


def test_the_first_broken_rule_is_the_reason_and_language_comes_before_all():
    both = Ruleset({"a": SHORT, "b": Rule(statistic="characters", comparison="at_least", limit=9)}, ("en",))
    found = rules.judge(both, {"characters": np.array([3.0, 7.0, 1.0, 1.0])}, ["en", "en", "fr", "und"], [""] * 4)
    assert [both.names[number] for number in found.reason] == ["a", "b", "language", "a"]


def test_a_language_that_is_wanted_may_be_a_variety():
    found = rules.judge(Ruleset({}, ("zh-Hant",)), {}, ["zh", "zh"], ["zh-Hant", ""])
    assert found.stays.tolist() == [True, False]


def test_the_distance_is_a_share_of_the_limit():
    assert judged(SHORT, [6, 5], ["en", "en"]).distance[:, 0].tolist() == [0.2, 0.0]
    assert np.isinf(judged(SHORT, [6], ["th"]).distance[0, 0])


def test_the_gentle_rules_name_statistics_that_there_are():
    assert rules.check(GENTLE, ()) == []


GOOD = {
    "en": ["OK", "The 3 rooms (101, 102, 103) cost $99.", "Features:\n- one\n- two\n- three\n- four\n- five"],
    "zh": ["在吗", "很好！！！", "不错……", "价格：99元/件 (iPhone)", "為什麼要這樣呢？？"],
    "code": ["for i in range(10):\n    print(i, end='')", "x = [1, 2, 3]\nprint(x)"],
}


@pytest.mark.parametrize("text", [text for texts in GOOD.values() for text in texts])
def test_legitimate_short_texts_pass_the_defaults(text):
    from sapwood.stages.clean import Clean

    assert rules.judge(Clean().ruleset(), statistics.measure([text]), ["en"], [""]).stays.all()


def test_a_rule_without_a_limit_and_a_list_named_as_a_statistic_are_faults(tmp_path):
    [fault] = rules.check({"x": Rule(statistic="bullets")}, ())
    assert "has no limit" in fault
    [fault] = WordList(path="a.txt").faults("units", tmp_path)
    assert "name of a statistic" in fault


def test_an_unknown_statistic_is_refused_by_name():
    with pytest.raises(InputError, match="there is no statistic 'bulets'"):
        rules.refuse_unknown({"x": Rule(statistic="bulets", limit=1)}, ())


@pytest.mark.parametrize("body", ["bad\n# not\n\n坏人\n", '["bad", "坏人"]', '{"en": ["bad"], "zh": ["坏人"]}'])
def test_a_word_list_is_read_in_each_of_its_forms(tmp_path, body):
    name = "list.json" if body[0] in "[{" else "list.txt"
    (tmp_path / name).write_text(body, encoding="utf-8")
    found = load({"toxic": WordList(path=name)}, tmp_path, print)
    assert statistics.measure(["a bad 坏人 x"], found)["toxic"].tolist() == [1000 * 2 / 5]


def test_an_empty_word_list_is_an_error(tmp_path):
    (tmp_path / "list.txt").write_text("# nothing\n")
    with pytest.raises(InputError, match="no term"):
        load({"toxic": WordList(path="list.txt")}, tmp_path, print)


ROWS = [(f"{place:03d}", float(place % 7), "en" if place % 3 else "zh", f"s{place % 2}") for place in range(90)]


def counted(rows, cuts):
    book = ledger.Ledger(Ruleset({"short": SHORT}))
    for start, end in zip([0, *cuts], [*cuts, len(rows)], strict=True):
        part = rows[start:end]
        if not part:
            continue
        ids, values, codes, sources = (list(column) for column in zip(*part, strict=True))
        measured = {"characters": np.array(values)}
        digests = [f"{int(one) * 5 % 9}{name}" for one, name in zip(values, ids, strict=True)]
        verdicts = rules.judge(book.ruleset, measured, codes, [""] * len(codes))
        book.add(verdicts, {"language": codes, "source": sources}, measured, ledger.Samples(ids, ids, digests))
    return book


@given(st.lists(st.integers(0, 90), max_size=5))
def test_the_ledger_does_not_depend_on_batches(cuts):
    whole, parts = counted(ROWS, []), counted(ROWS, sorted(cuts))
    assert (whole.total, whole.counts, whole.dropped, whole.nearest) == (parts.total, parts.counts, parts.dropped, parts.nearest)


def test_the_ledger_keeps_twenty_rows_a_rule_whatever_their_order():
    forth, back = counted(ROWS, []), counted(ROWS[::-1], [])
    assert len(forth.dropped["short"]) == len(forth.nearest["short"]) == ledger.SHOWN
    assert forth.dropped == back.dropped
    assert forth.nearest == back.nearest
