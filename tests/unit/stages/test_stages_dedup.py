import json

import pytest

from sapwood.artifact import Documents, Examples
from sapwood.errors import InputError, Interrupted
from sapwood.stages.dedup import Dedup
from sapwood.store.local import LocalStore
from sapwood.testing.stages import SilentMonitor, check_stage, make_work
from sapwood.text import rows

TEXTS = {
    "en": "the quick brown fox jumps over the lazy dog while seven wise owls watch from an old oak tree and say nothing at all",
    "zh": "房间很干净服务员态度也很好早餐品种丰富味道不错离地铁站步行只要五分钟下次出差还会选择这家酒店",
    "zh-TW": "房間很乾淨服務員態度也很好早餐品種豐富味道不錯離捷運站步行只要五分鐘下次出差還會選擇這家飯店",
    "mixed": "我买了iPhone 15 Pro 手机屏幕 is very good 电池 life 一般般 但是 camera 真的很好推荐给大家",
    "code": "def area(width, height):\n    total = width * height\n    print(total, width, height)\n    return total if total else None",
}


@pytest.fixture
def store(tmp_path):
    return LocalStore(tmp_path / "store")


def put(store, folder, texts, kind=Documents, **columns):
    """Rows a, b, c ... with the texts; other columns as lists."""
    made = []
    for place, text in enumerate(texts):
        row = {**rows.document("s", str(place), text, language="en"), "id": chr(ord("a") + place)}
        row.update({name: values[place] for name, values in columns.items()})
        made.append(row)
    folder.mkdir()
    rows.write(folder, rows.table(made, rows.EXAMPLES if kind is Examples else rows.DOCUMENTS))
    return store.put(kind, folder)


def run(store, tmp_path, artifact, monitor=None, **fields):
    done = Dedup(**{"force": True, **fields}).run(make_work(store, tmp_path / "scratch", monitor=monitor), artifact)
    kept, dropped = (rows.read(store.open(part)).to_pylist() for part in (done.kept, done.dropped))
    report = json.loads((store.open(done.report) / "report.json").read_text(encoding="utf-8"))
    return kept, {row["id"]: rows.meta(row) for row in dropped}, report


def test_the_stage_keeps_the_contract(store, tmp_path):
    texts = [*TEXTS.values(), *(text + " 完" for text in TEXTS.values())]
    check_stage(Dedup, store, {"documents": put(store, tmp_path / "in", texts, Examples, label=["x"] * 10)})


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_copies_go_with_the_reason_and_the_id_of_the_row_that_stays(store, tmp_path, text):
    artifact = put(store, tmp_path / "in", [text, text.upper() + " !", text + " 完", "something else entirely"])
    kept, dropped, report = run(store, tmp_path, artifact)
    assert [row["id"] for row in kept] == ["a", "d"]
    assert dropped["b"] == {"dropped": "exact duplicate", "value": "a", "limit": "1"}
    assert dropped["c"]["dropped"] == "near duplicate"
    assert dropped["c"]["value"] == "a"
    assert 0.8 <= float(dropped["c"]["similarity"]) < 1
    assert report["data"]["total"] == {"in": 4, "kept": 2, "dropped": {"exact duplicate": 1, "near duplicate": 1}}
    assert report["data"]["clusters"]["sizes"] == [["1", 1, 1], ["3", 1, 3]]
    [largest] = [block for block in report["blocks"] if block.get("title") == "Largest clusters"]
    assert [(row["id"], row["reason"]) for row in largest["rows"]] == [("a", "stays"), ("b", "exact duplicate"), ("c", "near duplicate")]


def test_near_zero_drops_exact_copies_only(store, tmp_path):
    text = TEXTS["zh"]
    _, dropped, _ = run(store, tmp_path, put(store, tmp_path / "in", [text, text + "！", text + "完"]), near=0)
    assert list(dropped) == ["b"]


@pytest.mark.parametrize(
    ("fields", "stays"),
    [
        ({"keep": "first"}, "a"),
        ({"keep": "longest"}, "b"),
        ({"keep": "newest"}, "c"),
        ({"keep": "source", "prefer": ["good", "fair"]}, "d"),
        ({"keep": "source", "prefer": []}, "a"),
    ],
)
def test_the_policy_names_the_row_that_stays(store, tmp_path, fields, stays):
    texts = [TEXTS["en"], TEXTS["en"] + " !!!", TEXTS["en"], TEXTS["en"] + "."]
    times = ["2020-01-01", "", "2024-05-01T10:00:00Z", "2023-01-01"]
    artifact = put(store, tmp_path / "in", texts, source=["fair", "bad", "fair", "good"], collected_at=times)
    kept, dropped, _ = run(store, tmp_path, artifact, **fields)
    assert [row["id"] for row in kept] == [stays]
    assert {meta["value"] for meta in dropped.values()} == {stays}


def test_rows_of_one_cluster_with_different_labels_all_go(store, tmp_path):
    texts = [TEXTS["zh"], TEXTS["zh"] + "好", TEXTS["zh"] + "！", TEXTS["en"], TEXTS["en"]]
    artifact = put(store, tmp_path / "in", texts, Examples, label=["pos", "neg", "", "pos", "pos"])
    kept, dropped, _ = run(store, tmp_path, artifact)
    assert [row["id"] for row in kept] == ["d"]
    assert [dropped[name]["dropped"] for name in "abc"] == ["conflicting label"] * 3
    assert dropped["a"]["value"] == "neg | pos"
    assert dropped["e"]["dropped"] == "exact duplicate"


def test_it_stops_when_one_cluster_takes_too_much_of_a_language_or_source(store, tmp_path):
    texts = [f"{TEXTS['en']} {place}" for place in range(24)] + ["别的"]
    artifact = put(store, tmp_path / "in", texts, language=["en"] * 24 + ["zh"])
    with pytest.raises(InputError, match=r"23 of 24 rows of the language 'en' would go.*23 of them are in one cluster"):
        run(store, tmp_path, artifact, force=False)
    kept, _, _ = run(store, tmp_path, artifact, force=True)
    assert len(kept) == 2


def test_repeated_paragraphs_are_taken_out_where_they_come_again(store, tmp_path):
    licence = (
        "Permission is hereby granted to anyone who reads this text to do with it whatever they like, now and later, here and elsewhere."
    )
    texts = [
        f"{licence}\n\n{TEXTS['en']}",
        f"{TEXTS['zh']}\n\n{licence.upper()}",
        f"第一行\n{TEXTS['zh-TW']}\n{TEXTS['zh']}",
        f"{licence}\n\n{licence}",
    ]
    artifact = put(store, tmp_path / "in", texts)
    kept, dropped, report = run(store, tmp_path, artifact, level="paragraph")
    assert [row["text"] for row in kept] == [texts[0], TEXTS["zh"], f"第一行\n{TEXTS['zh-TW']}"]
    assert kept[1]["text_digest"] == rows.text_digest(TEXTS["zh"])
    assert dropped == {"d": {"dropped": "repeated paragraphs", "value": "2", "limit": "1 place"}}
    assert report["data"]["paragraphs"]["paragraphs"] == 4
    assert report["data"]["paragraphs"]["emptied"] == 1


def test_columns_that_the_stage_does_not_know_are_kept(store, tmp_path):
    artifact = put(store, tmp_path / "in", [TEXTS["en"], TEXTS["en"]], license=["MIT", "CC0"])
    kept, dropped, _ = run(store, tmp_path, artifact)
    assert kept[0]["license"] == "MIT"
    assert dropped["b"]["value"] == "a"


def test_no_rows_are_no_rows(store, tmp_path):
    kept, dropped, report = run(store, tmp_path, put(store, tmp_path / "in", []))
    assert (kept, dropped, report["data"]["total"]["in"]) == ([], {}, 0)


def test_it_stops_when_asked_and_leaves_no_files(store, tmp_path):
    class Stopping(SilentMonitor):
        def stopping(self):
            return True

    with pytest.raises(Interrupted):
        run(store, tmp_path, put(store, tmp_path / "in", list(TEXTS.values())), Stopping())
    assert not list((tmp_path / "scratch").rglob("*.u64"))
