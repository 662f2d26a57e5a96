import json

import pytest

from sapwood import report
from sapwood.artifact import Documents, Examples
from sapwood.errors import InputError
from sapwood.stage import inputs, outputs
from sapwood.stages.clean import Clean
from sapwood.stages.decontaminate import Decontaminate
from sapwood.stages.split import Split
from sapwood.store.local import LocalStore
from sapwood.testing.stages import make_work
from sapwood.text import rows

GOOD = "酒店位置很好，房间干净，服务员热情，早餐也不错，下次还会住。"
LINES = [
    (GOOD, "pos"),
    (GOOD + "！", "pos"),
    (GOOD.replace("不错", "可以") + "推荐", "pos"),
    ("房間太小了", "neg"),
    ("一般", "neg"),
    ("一般！", "pos"),
    ("。", "neg"),
    ("很差" * 40, "neg"),
    ("The room was clean, call me at 13812345678 or a@b.com", "pos"),
    ("x = [1, 2, 3]\nprint(x)", "neg"),
]


@pytest.fixture
def work(tmp_path):
    return make_work(LocalStore(tmp_path / "store"), tmp_path / "scratch", tmp_path)


def stored(work, lines, kind=Examples, source="shop"):
    made = [
        {**rows.document(source, str(i), text, meta={"domain": "a" if i % 3 else "b"}), "label": label}
        for i, (text, label) in enumerate(lines)
    ]
    folder = work.new("rows")
    rows.write(folder, rows.table(made, rows.EXAMPLES if kind is Examples else rows.DOCUMENTS))
    return work.put(kind, folder)


def read(work, artifact):
    return rows.read(work.path(artifact)).to_pylist()


def test_every_row_is_kept_or_dropped_with_one_reason(work):
    cleaned = Clean(near=0.5, mask=True).run(work, stored(work, LINES))
    kept, dropped = read(work, cleaned.kept), read(work, cleaned.dropped)
    reasons = {row["text"]: json.loads(row["meta"])["dropped"] for row in dropped}
    assert isinstance(cleaned.kept, Examples)
    assert reasons[GOOD + "！"] == "exact duplicate"
    assert reasons[GOOD.replace("不错", "可以") + "推荐"] == "near duplicate"
    assert reasons["一般"] == reasons["一般！"] == "conflicting label"
    assert reasons["。"] == "too short"
    assert reasons["很差" * 40] == "too repetitive"
    assert len(kept) + len(dropped) == len(LINES)
    masked = kept[2]
    assert masked["text"] == "The room was clean, call me at <PHONE_NUMBER> or <EMAIL_ADDRESS>"
    assert masked["text_digest"] == rows.text_digest(masked["text"])
    assert [row["language"] for row in kept[:3]] == ["zh", "zh", "en"]
    total = report.read(work.path(cleaned.report))["data"]["total"]
    assert total["in"] == total["kept"] + sum(total["dropped"].values()) == len(LINES)


def test_a_rule_that_empties_a_language_stops_the_run_unless_forced(work):
    many = stored(work, [(f"第{i}条短评", "pos") for i in range(30)])
    with pytest.raises(InputError, match="too short"):
        Clean(min_chars=50).run(work, many)
    assert read(work, Clean(min_chars=50, force=True).run(work, many).kept) == []


def test_languages_have_their_own_limits(work):
    cleaned = Clean(limits={"en": {"min_chars": 500}}, languages=["zh", "en"]).run(work, stored(work, LINES, Documents))
    assert {row["language"] for row in read(work, cleaned.kept)} <= {"zh", "und"}


def test_a_split_keeps_copies_on_one_side_and_tells_what_a_plain_one_leaks(work):
    lines = [
        (f"{GOOD}编号{chr(0x4E00 + 37 * i)}{chr(0x5E00 + 11 * i)}与众不同的一条评论内容{i}", "pos" if i % 2 else "neg") for i in range(60)
    ]
    raw = stored(work, lines + lines[:20])
    parts = Split(near=0.9, hold_out={"field": "meta.domain", "values": ["b"]}, caps={"train": 10}).run(work, raw, raw)
    texts = [{row["text"] for row in read(work, part)} for part in parts[:4]]
    assert not any(a & b for i, a in enumerate(texts) for b in texts[i + 1 :])
    assert len(read(work, parts.train)) == 10
    told = report.read(work.path(parts.report))["data"]
    assert told["crossings"]["exact"] == told["crossings"]["near"] == 0
    assert told["naive"]["exact"] > 0


def test_an_empty_part_is_an_artifact_without_rows(work):
    parts = Split(ratios={"train": 1, "dev": 0, "test": 0}).run(work, stored(work, LINES, Documents), None)
    assert [len(read(work, part)) for part in parts[:4]] == [len(LINES), 0, 0, 0]
    assert isinstance(parts.later, Documents)


def test_documents_that_hold_an_evaluation_text_are_dropped_with_evidence(work):
    documents = stored(
        work, [(f"前言。{GOOD}后记。" + "无关的内容很长很长" * 5, ""), ("无关的另一个文档，说的是别的事情。", ""), (GOOD, "")], Documents
    )
    exam = stored(work, [(GOOD, "pos"), ("Another question entirely different from the rest of them all", "neg")], source="exam")
    found = Decontaminate().run(work, documents, [exam])
    dropped = [json.loads(row["meta"]) for row in read(work, found.dropped)]
    assert [row["dropped"] for row in dropped] == ["contains an evaluation text", "copy of an evaluation text"]
    assert {row["evidence"] for row in dropped} == {rows.document_id("exam", "0")}
    assert len(read(work, found.kept)) == 1


def test_the_same_rows_give_the_same_artifacts(work):
    examples = stored(work, LINES)
    assert Clean().run(work, examples) == Clean().run(work, examples)
    assert Split().run(work, examples, None) == Split().run(work, examples, None)


def test_ports():
    assert [port.same for port in inputs(Clean).values()] == ["Rows"]
    assert list(outputs(Clean)) == ["kept", "dropped", "report"]
    assert list(outputs(Split)) == ["train", "dev", "test", "later", "report"]
    assert inputs(Split)["raw"].optional
    assert inputs(Decontaminate)["against"].many
