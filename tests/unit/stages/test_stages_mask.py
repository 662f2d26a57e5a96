"""Masking stored rows: texts, meta and urls; what the report may show."""

import json

import pyarrow as pa
import pytest

from sapwood import report
from sapwood.artifact import Documents, Examples
from sapwood.stages.mask import Mask
from sapwood.store.local import LocalStore
from sapwood.testing.records import records
from sapwood.testing.stages import check_stage, make_work
from sapwood.text import pii, rows

TEXTS = ("请打13812345678找我", "mail a@b.com or c@d.org", "没有什么", "寄到北京市朝阳区建国路8号。")


@pytest.fixture
def store(tmp_path):
    return LocalStore(tmp_path / "store")


@pytest.fixture
def work(store, tmp_path):
    return make_work(store, tmp_path / "scratch", tmp_path)


def put(store, folder, made, kind=Documents, schema=rows.DOCUMENTS):
    folder.mkdir()
    rows.write(folder, rows.table(made, schema))
    return store.put(kind, folder)


def documents(texts=TEXTS, **fields):
    return [rows.document("tickets", str(n), text, language="zh" if n % 2 == 0 else "en", **fields) for n, text in enumerate(texts)]


def test_texts_are_masked_ids_stay_and_digests_follow(store, work, tmp_path):
    before = documents()
    kept, told = Mask().run(work, put(store, tmp_path / "in", before))
    after = rows.read(work.path(kept)).to_pylist()
    assert [row["text"] for row in after] == [
        "请打<PHONE_NUMBER>找我",
        "mail <EMAIL_ADDRESS> or <EMAIL_ADDRESS>",
        "没有什么",
        "寄到<POSTAL_ADDRESS>。",
    ]
    assert [row["id"] for row in after] == [row["id"] for row in before]
    assert all(row["text_digest"] == rows.text_digest(row["text"]) for row in after)
    data = report.read(work.path(told))["data"]
    assert data["types"] == {"EMAIL_ADDRESS": 2, "PHONE_NUMBER": 1, "POSTAL_ADDRESS": 1}
    assert data["by_language"] == {"en": {"EMAIL_ADDRESS": 2, "POSTAL_ADDRESS": 1}, "zh": {"PHONE_NUMBER": 1}}
    assert (data["rows"], data["masked_rows"], data["by_source"]["tickets"]["EMAIL_ADDRESS"]) == (4, 3, 2)


def test_values_of_meta_are_masked_and_urls_where_asked_for(store, work, tmp_path):
    found = put(
        store, tmp_path / "in", documents(["nothing"], url="https://x.example/?mail=a@b.com", meta={"author": "a@b.com", "label": "1"})
    )
    one = rows.read(work.path(Mask().run(work, found).documents)).to_pylist()[0]
    assert json.loads(one["meta"]) == {"author": "<EMAIL_ADDRESS>", "label": "1"}
    assert one["url"] == "https://x.example/?mail=a@b.com"
    assert rows.read(work.path(Mask(scope=["url"]).run(work, found).documents)).to_pylist()[0]["url"].endswith("=<EMAIL_ADDRESS>")


def test_examples_stay_examples_with_their_labels_and_unknown_columns(store, work, tmp_path):
    schema = rows.EXAMPLES.append(pa.field("score", pa.float64()))
    made = [{**row, "label": "13812345678", "score": 0.5} for row in documents()]
    masked = Mask().run(work, put(store, tmp_path / "in", made, Examples, schema)).documents
    assert masked.kind == "examples"
    table = rows.read(work.path(masked))
    assert table.column("score").to_pylist() == [0.5] * 4
    assert set(table.column("label").to_pylist()) == {"13812345678"}


@pytest.mark.parametrize("types", [[], ["EMAIL_ADDRESS"]])
def test_no_value_lands_in_the_report_even_of_types_that_stay(store, work, tmp_path, types):
    made = list(records(400, seed=5))
    found = put(store, tmp_path / "in", documents([record.text for record in made]))
    told = (work.path(Mask(types=types).run(work, found).report) / "report.json").read_text(encoding="utf-8")
    shown = report.read(work.path(Mask(types=types).run(work, found).report))["blocks"][-1]["rows"]
    assert len(shown) >= (15 if not types else 2)
    values = {record.text[one.start : one.end] for record in made for one in record.spans if pii.find(record.text)}
    assert not [value for value in values if value in told]


def test_stable_placeholders_join_artifacts_of_one_store(store, work, tmp_path):
    one = Mask(stable=True).run(work, put(store, tmp_path / "one", documents(["电话13812345678。"]))).documents
    other = Mask(stable=True).run(work, put(store, tmp_path / "two", documents(["打138-1234-5678吧"]))).documents
    first, second = (rows.read(work.path(found)).column("text")[0].as_py() for found in (one, other))
    assert first.removeprefix("电话").removesuffix("。") == second.removeprefix("打").removesuffix("吧")


def test_masking_what_is_masked_gives_the_same_rows(store, work, tmp_path):
    once = Mask(stable=True).run(work, put(store, tmp_path / "in", documents())).documents
    assert Mask().run(work, once).documents == once


def test_it_keeps_the_contract_of_a_stage(store, tmp_path):
    check_stage(Mask, store, {"documents": put(store, tmp_path / "in", documents())}, tmp_path)
