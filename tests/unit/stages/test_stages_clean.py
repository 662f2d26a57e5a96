import json

import pytest

from sapwood import report
from sapwood.artifact import Documents, Examples
from sapwood.errors import InputError
from sapwood.stage import inputs, outputs
from sapwood.stages.clean import Clean
from sapwood.stages.measure import Measure
from sapwood.store.local import LocalStore
from sapwood.testing.stages import check_stage, make_work
from sapwood.text import fields, rows
from sapwood.text.quality import statistics

TEXTS = {
    "en": "The room was clean, the staff were friendly and breakfast was good; we will be back.",
    "zh": "酒店位置很好，房间干净，服务员热情，早餐也不错，下次还会住。",
    "zh-TW": "這家飯店的位置很好，房間乾淨，服務員熱情，早餐也不錯，下次還會再來。",
    "mixed": "我买了iPhone 15 Pro，屏幕 very good，电池 life 一般般，price too high。",
    "code": "def area(width: int) -> int:\n    rows = [width, 2]\n    if (width > 0):\n        return rows[0] + len(rows) # 面积\n    return {}",
}
NOISE = {"。": "too short", "很差" * 40: "too repetitive", "＊" * 30: "too many symbols", "same line here again\n" * 60: "too repetitive"}


@pytest.fixture
def work(tmp_path):
    return make_work(LocalStore(tmp_path / "store"), tmp_path / "scratch", tmp_path)


def stored(work, texts, kind=Documents, source="shop"):
    made = [{**rows.document(source, str(i), text), "label": "pos"} for i, text in enumerate(texts)]
    folder = work.new("rows")
    rows.write(folder, rows.table(made, rows.EXAMPLES if kind is Examples else rows.DOCUMENTS))
    return work.put(kind, folder)


def read(work, artifact):
    return rows.read(work.path(artifact)).to_pylist()


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_good_text_is_kept_as_it_is(work, text):
    [row] = read(work, Clean().run(work, stored(work, [text])).kept)
    assert row["text"] == text
    assert row["text_digest"] == rows.text_digest(text)


def test_the_variety_of_a_language_is_told_in_meta(work):
    found = read(work, Clean().run(work, stored(work, TEXTS.values())).kept)
    told = {name: (row["language"], rows.meta(row).get("variety", "")) for name, row in zip(TEXTS, found, strict=True)}
    assert told == {"en": ("en", ""), "zh": ("zh", ""), "zh-TW": ("zh", "zh-Hant"), "mixed": ("zh", "mixed"), "code": ("und", "code")}


def test_every_row_is_kept_or_dropped_with_its_reason_value_limit_and_rule_version(work):
    given = stored(work, [*TEXTS.values(), *NOISE], Examples)
    cleaned = Clean().run(work, given)
    kept, dropped = read(work, cleaned.kept), read(work, cleaned.dropped)
    assert isinstance(cleaned.kept, Examples)
    assert {row["id"] for row in kept} | {row["id"] for row in dropped} == {row["id"] for row in read(work, given)}
    assert len(kept) + len(dropped) == len(TEXTS) + len(NOISE)
    assert [rows.meta(row)["dropped"] for row in dropped] == list(NOISE.values())
    assert json.loads(dropped[0]["meta"]) == {"dropped": "too short", "value": "1", "limit": "2", "rule": "too short/1"}
    told = report.read(work.path(cleaned.report))
    total = told["data"]["total"]
    assert total["in"] == total["kept"] + sum(total["dropped"].values()) == len(TEXTS) + len(NOISE)
    assert told["data"]["length"]["20 to 99"]["kept"] == 4
    assert {"Dropped: too repetitive", "Kept, nearest to: too short"} <= {block["title"] for block in told["blocks"]}


def test_text_is_normalised_and_its_digest_follows(work):
    [row] = read(work, Clean().run(work, stored(work, ["Hello\x00  world,\r\n how are you? "])).kept)
    assert row["text"] == "Hello world,\n how are you?"
    assert row["text_digest"] == rows.text_digest(row["text"])


def test_a_rule_that_empties_a_language_stops_the_run_unless_forced(work):
    many = stored(work, [f"第{i}条短评" for i in range(30)])
    with pytest.raises(InputError, match="too short"):
        Clean(min_chars=50).run(work, many)
    assert read(work, Clean(min_chars=50, force=True).run(work, many).kept) == []


def test_a_rule_that_empties_a_source_stops_the_run(work):
    small = [{**rows.document("menus", str(i), f"the {i} is good")} for i in range(30)]
    large = [{**rows.document("books", str(i), f"{TEXTS['en']} Number {i}.")} for i in range(90)]
    folder = work.new("rows")
    rows.write(folder, rows.table([*small, *large]))
    with pytest.raises(InputError, match="30 of 30 rows in the source menus"):
        Clean(min_chars=20).run(work, work.put(Documents, folder))


def test_languages_have_their_own_limits(work):
    cleaned = Clean(limits={"en": {"min_chars": 500}}, languages=["zh"]).run(work, stored(work, [*TEXTS.values(), "12 34 56"]))
    assert {row["language"] for row in read(work, cleaned.kept)} == {"zh", "und"}


def test_a_rule_of_the_recipe_is_judged_where_it_says_and_a_built_in_one_can_be_taken_out(work):
    listed = "\n".join(f"- item {i} of many" for i in range(20))
    given = stored(work, [listed, "- one line", "很差" * 40])
    rule = {"statistic": "bullets", "limit": 0.5, "when": {"lines": 5}, "version": 3}
    cleaned = Clean(rules={"lists": rule, "too repetitive": None}, force=True).run(work, given)
    [dropped] = read(work, cleaned.dropped)
    assert (dropped["text"], rows.meta(dropped)["rule"]) == (listed, "lists/3")


def test_rules_over_stored_statistics_say_the_same_as_measured_on_the_way(work):
    given = stored(work, [*TEXTS.values(), *NOISE])
    measured = Measure().run(work, given).documents
    first, second = Clean().run(work, given), Clean().run(work, measured)
    for port in ("kept", "dropped"):
        plain, kept = read(work, getattr(first, port)), read(work, getattr(second, port))
        assert plain == [{key: value for key, value in row.items() if key != "stats"} for row in kept]


def test_statistics_that_no_longer_fit_their_text_are_measured_again(work, tmp_path):
    measured = rows.read(work.path(Measure().run(work, stored(work, TEXTS.values())).documents))
    shorter = [TEXTS["en"], "好", *list(TEXTS.values())[2:]]
    folder = work.new("changed")
    rows.write(folder, fields.replaced(measured, "text", shorter))
    cleaned = Clean().run(work, work.put(Documents, folder))
    [row] = read(work, cleaned.dropped)
    assert (row["text"], rows.meta(row)["dropped"], row["stats"]["characters"]) == ("好", "too short", 1)


def test_cleaning_twice_changes_nothing(work):
    once = Clean().run(work, stored(work, [*TEXTS.values(), *NOISE, " a \t b\n\n\n\nc\u00a0d "])).kept
    assert Clean().run(work, once).kept == once


def test_measured_rows_keep_everything_and_gain_every_statistic(work):
    given = stored(work, [*TEXTS.values(), ""], Examples)
    found = Measure().run(work, given)
    measured = read(work, found.documents)
    assert [row["id"] for row in measured] == [row["id"] for row in read(work, given)]
    assert tuple(measured[0]["stats"]) == statistics.NAMES
    assert measured[1]["stats"]["characters"] == len(TEXTS["zh"])
    assert all(value is not None for row in measured for value in row["stats"].values())
    assert report.read(work.path(found.report))["data"]["varieties"] == {"en": 1, "zh": 1, "zh-Hant": 1, "mixed": 1, "code": 1, "und": 1}


def test_lines_that_many_documents_of_a_source_share_go_when_asked(work):
    pages = [f"Home | About | Contact\nPage {i} tells of {TEXTS['en']}\n© 2024 饭店" for i in range(30)]
    given = stored(work, [*pages, "Home | About | Contact\nalone"])
    kept = read(work, Clean(boilerplate={"min_documents": 20}).run(work, given).kept)
    assert kept[3]["text"] == f"Page 3 tells of {TEXTS['en']}"
    assert [row["text"] for row in read(work, Clean().run(work, given).kept)][3] == pages[3]
    other = stored(work, pages[:10])
    assert read(work, Clean(boilerplate={"min_documents": 20}).run(work, other).kept)[0]["text"] == pages[0]


def test_a_word_list_is_counted_by_units_and_what_it_removes_is_audited_by_group(work, tmp_path):
    (tmp_path / "bad.txt").write_text("# mine\nstupid\nbad food\n笨蛋\n", encoding="utf-8")
    texts = [f"The woman number {i} said you are stupid." for i in range(10)] + [
        f"Nothing wrong with stupidity {i} here." for i in range(30)
    ]
    texts += [f"你是笨蛋，第{i}次说了。" for i in range(5)] + [f"坏笨的蛋第{i}个不好吃。" for i in range(20)] + ["BAD, food really"]
    rule = {"toxic": {"statistic": "toxic", "limit": 0}}
    cleaned = Clean(rules=rule, word_lists={"toxic": {"path": "bad.txt"}}, force=True).run(work, stored(work, texts))
    dropped = {row["text"] for row in read(work, cleaned.dropped)}
    assert dropped == {text for text in texts if "stupid." in text or "你是" in text or "BAD" in text}
    [women] = report.read(work.path(cleaned.report))["data"]["audit"]
    assert women == {"group": "women", "n": 10, "removed": 10, "share": 1.0, "overall": round(16 / len(texts), 4)}


def test_a_rule_without_its_word_list_is_an_error_that_says_how_to_get_one(work):
    clean = Clean(rules={"toxic": {"statistic": "toxic", "limit": 5}})
    [fault] = clean.check(work.workspace)
    assert "sapwood samples list" in fault
    with pytest.raises(InputError, match="needs the word list 'toxic'"):
        clean.run(work, stored(work, TEXTS.values()))


def test_a_statistic_that_there_is_not_is_named_with_the_nearest_one(work):
    [fault] = Clean(rules={"x": {"statistic": "bulets", "limit": 1}}).check(work.workspace)
    assert "Did you mean bullets?" in fault


@pytest.mark.parametrize("stage", [Clean, Measure])
def test_the_contract_of_a_stage_is_kept(work, stage):
    check_stage(stage, work.store, {"documents": stored(work, [*TEXTS.values(), *NOISE], Examples)})


def test_ports():
    assert [port.same for port in inputs(Clean).values()] == ["Rows"]
    assert list(outputs(Clean)) == ["kept", "dropped", "report"]
    assert list(outputs(Measure)) == ["documents", "report"]


@pytest.mark.parametrize("stage", [Measure, Clean])
def test_no_rows_give_no_rows(work, stage):
    found = stage().run(work, stored(work, []))
    assert read(work, found[0]) == []
    assert report.read(work.path(found.report))["data"]


def test_a_word_list_may_come_from_a_sample_and_must_be_there(work):
    [fault] = Measure(word_lists={"toxic": {"path": "none.txt"}}).check(work.workspace)
    assert "{sample: naughty-words}" in fault
    [fault] = Clean(word_lists={"toxic": {"sample": "naughty-word"}}).check(work.workspace)
    assert "naughty-word" in fault
    assert Clean(word_lists={"toxic": {"sample": "naughty-words"}}).check(work.workspace) == []
    assert "en.json" in Measure(word_lists={"toxic": {"sample": "naughty-words", "files": ["en.json"]}}).fingerprint(work.workspace)
