import json
import random

import pytest

from sapwood import report
from sapwood.artifact import Documents, Examples
from sapwood.errors import ResourceError
from sapwood.stage import inputs
from sapwood.stages.decontaminate import Decontaminate
from sapwood.store.local import LocalStore
from sapwood.testing.stages import check_stage, make_work
from sapwood.text import rows
from sapwood.text.leaks import evaluation

CHANCE = random.Random(2)
EXAM = "酒店位置很好，房间干净，服务员热情，早餐也不错，下次还会住。"
QUESTION = "Which of the two rooms would the careful guest have chosen if breakfast had been served in both of them?"


def words(count):
    return " ".join("".join(CHANCE.choices("abcdefghij", k=5)) for _ in range(count))


@pytest.fixture
def work(tmp_path):
    return make_work(LocalStore(tmp_path / "store"), tmp_path / "scratch", tmp_path)


def stored(work, texts, kind=Documents, source="shop"):
    folder = work.new("rows")
    made = [{**rows.document(source, str(place), text, language="zh"), "label": "pos"} for place, text in enumerate(texts)]
    rows.write(folder, rows.table(made, rows.EXAMPLES if kind is Examples else rows.DOCUMENTS))
    return work.put(kind, folder)


def read(work, artifact):
    return rows.read(work.path(artifact)).to_pylist()


def metas(work, artifact):
    return [json.loads(row["meta"]) for row in read(work, artifact)]


def told(work, found):
    return report.read(work.path(found.report))


def test_the_stage_keeps_the_contract(work):
    documents = stored(work, [words(30), f"{words(20)} {QUESTION} {words(20)}"])
    check_stage(Decontaminate, work.store, {"documents": documents, "against": [stored(work, [QUESTION], Examples, "exam")]})
    assert inputs(Decontaminate)["against"].many


def test_documents_that_hold_an_evaluation_text_are_dropped_with_evidence(work):
    long = f"前言。{EXAM}后记。" + "无关的内容很长很长" * 5
    documents = stored(work, [long, "无关的另一个文档，说的是别的事情。", EXAM, f"{words(60)} {QUESTION} {words(60)}"])
    first, second = stored(work, [EXAM], Examples, "exam"), stored(work, [QUESTION, "短"], Documents, "quiz")
    found = Decontaminate().run(work, documents, [first, second])
    dropped = metas(work, found.dropped)
    assert [row["dropped"] for row in dropped] == [
        "contains an evaluation text",
        "copy of an evaluation text",
        "contains an evaluation text",
    ]
    assert [row["verdict"] for row in dropped] == ["contains", "exact", "contains"]
    assert dropped[0]["evidence"] == rows.document_id("exam", "0")
    assert dropped[0]["evidence_text"] == EXAM
    assert [row["against"] for row in dropped] == [str(first), str(first), str(second)]
    start, end = map(int, dropped[0]["span"].split(":"))
    assert long[start:end] == EXAM.rstrip("。")
    assert [row["text"] for row in read(work, found.kept)] == ["无关的另一个文档，说的是别的事情。"]
    data = told(work, found)["data"]
    assert data["classes"]["contains"] == {"documents": 2, "pairs": 2, "items": 2, "action": "drop"}
    assert data["evaluation_texts_met"] == 2
    assert [one["met"] for one in data["evaluation"]] == [1, 1]
    assert data["evaluation"][1]["copies_only"] == 1


def test_classes_that_are_kept_are_reported_with_examples_and_leave_the_rows_as_they_were(work):
    half = " ".join(QUESTION.split()[:13])
    documents = stored(work, [f"{words(60)} {half} {words(60)}", words(80)])
    found = Decontaminate().run(work, documents, [stored(work, [QUESTION], source="exam")])
    assert found.kept == documents
    body = told(work, found)
    assert body["data"]["classes"]["partial"]["documents"] == 1
    examples = next(block for block in body["blocks"] if block["type"] == "samples")
    assert examples["title"] == "partial: documents and the items in them"
    assert f"[{half}]" in examples["rows"][0]["text"]
    assert examples["rows"][0]["evidence"] == QUESTION
    assert 0.5 <= examples["rows"][0]["value"] < 0.8


def test_a_class_may_be_cut_out_and_the_row_keeps_its_id(work):
    text = f"第一段。\n{words(5)} {QUESTION}\n最后一段。"
    documents = stored(work, [text])
    against = [stored(work, [QUESTION], source="exam")]
    by_line = Decontaminate(actions={"contains": "paragraph"}).run(work, documents, against)
    row = read(work, by_line.kept)[0]
    assert row["text"] == "第一段。\n最后一段。"
    assert row["text_digest"] == rows.text_digest(row["text"])
    assert row["id"] == rows.document_id("shop", "0")
    assert json.loads(row["meta"])["cut"] == f"{text.index(chr(10)) + 1}:{text.rindex(chr(10)) + 1}"
    by_span = Decontaminate(actions={"contains": "span"}).run(work, documents, against)
    assert QUESTION[:-1] not in read(work, by_span.kept)[0]["text"]
    assert read(work, by_span.kept)[0]["text"].startswith(text[:15])
    assert told(work, by_span)["data"]["cut"] == 1


def test_the_report_does_not_change_with_the_order_of_rows_and_names_what_is_met_most(work):
    texts = [f"{words(20)} {QUESTION} {words(20)}" for _ in range(15)] + [f"{words(20)} {EXAM}" for _ in range(5)]
    against = [stored(work, [EXAM, QUESTION], source="exam")]
    bodies = []
    for order in (texts, texts[::-1]):
        made = [{**rows.document("s", text, text)} for text in order]
        folder = work.new("ordered")
        rows.write(folder, rows.table(made))
        bodies.append(told(work, Decontaminate(common=100).run(work, work.put(Documents, folder), against)))
    assert bodies[0] == bodies[1]
    often = next(block for block in bodies[0]["blocks"] if block.get("title") == "Items met most often")
    assert [row[2] for row in often["rows"]] == [15, 5]


def test_limits_and_commonness_are_the_users(work):
    documents = stored(work, [f"{words(20)} {QUESTION} {words(20)}" for _ in range(3)])
    against = [stored(work, [QUESTION], source="exam")]
    assert told(work, Decontaminate(common=3).run(work, documents, against))["data"]["classes"]["quotation"]["documents"] == 3
    assert told(work, Decontaminate(common=4).run(work, documents, against))["data"]["classes"]["contains"]["documents"] == 3


def test_too_much_evaluation_text_names_its_size(work, monkeypatch):
    monkeypatch.setattr(evaluation, "MOST_WINDOWS", 10)
    with pytest.raises(ResourceError, match=r"windows of five words or characters; 10 fit"):
        Decontaminate().run(work, stored(work, ["x"]), [stored(work, [QUESTION], source="exam")])
