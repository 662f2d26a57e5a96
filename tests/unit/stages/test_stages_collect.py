"""Collect keeps what it read, says what it could not read, masks on the way, and goes on where it was stopped."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest

from sapwood import report
from sapwood.errors import InputError, Interrupted
from sapwood.stages.collect import Collect
from sapwood.store.local import LocalStore
from sapwood.testing import papers
from sapwood.testing.stages import SilentMonitor, check_stage, make_work
from sapwood.text import rows
from sapwood.text.sources import files as kind_files
from sapwood.text.sources import journal


class Stopping(SilentMonitor):
    """Asks to stop after so many questions."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.after = after

    def stopping(self) -> bool:
        self.after -= 1
        return self.after < 0


@pytest.fixture
def store(tmp_path):
    return LocalStore(tmp_path / "store")


@pytest.fixture
def workspace(tmp_path):
    folder = tmp_path / "w" / "in"
    folder.mkdir(parents=True)
    for number in range(8):
        (folder / f"{number}.pdf").write_bytes(papers.pdf([f"page {number} 第{number}页 mail a{number}@b.example"]))
    (folder / "3.pdf").write_bytes(b"%PDF broken")
    (folder / "6.txt").write_text("   ")
    (folder / "7.html").write_text("<p>call +86 138 0013 8000 今天")
    return tmp_path / "w"


SOURCE = {"kind": "files", "name": "up/../manuals", "path": "in", "license": "CC0"}


def collect(store, workspace, scratch: Path, monitor=None, workers=1, **spec):
    stage = Collect.model_validate({"sources": [SOURCE], **spec})
    work = make_work(store, scratch, workspace, monitor=monitor)
    return stage.run(replace(work, resources=work.resources.model_copy(update={"workers": workers})))


def test_the_stage_keeps_the_contract(store, tmp_path):
    (tmp_path / "tickets.txt").write_text("one ticket\n第二张工单\n", encoding="utf-8")
    assert check_stage(Collect, store, {}, tmp_path)["documents"].kind == "documents"


def test_a_damaged_file_is_a_row_of_failed_and_is_counted_by_reason(store, workspace, tmp_path):
    found = collect(store, workspace, tmp_path / "s")
    documents = rows.read(store.open(found.documents)).to_pylist()
    assert [rows.meta(row)["path"] for row in documents] == ["0.pdf", "1.pdf", "2.pdf", "4.pdf", "5.pdf", "6.pdf", "7.html", "7.pdf"]
    (lost,) = rows.read(store.open(found.failed)).to_pylist()
    assert (lost["id"], lost["text"], lost["license"]) == (rows.document_id("up/../manuals", "3.pdf"), "", "CC0")
    assert rows.meta(lost)["path"] == "3.pdf"
    assert rows.meta(lost)["reason"].startswith("damaged: no PDF")
    told = report.read(store.open(found.report))
    assert told["data"]["sources"]["up/../manuals"]["failed"] == {"damaged": 1}
    assert told["data"]["sources"]["up/../manuals"]["skipped"] == {"blank": 1}
    assert (told["data"]["documents"], told["data"]["failed"]) == (8, 1)
    assert told["blocks"][-1]["rows"][0]["text"] == "3.pdf"
    assert "1 items could not be read" in told["summary"]


def test_a_source_of_which_nothing_can_be_read_is_an_error(store, workspace, tmp_path):
    shutil.rmtree(workspace / "in")
    (workspace / "in").mkdir()
    (workspace / "in" / "a.pdf").write_bytes(b"no")
    with pytest.raises(InputError, match=r"nothing of it can be read \(1 failed\): a.pdf: damaged"):
        collect(store, workspace, tmp_path / "s")


def test_the_output_does_not_change_with_the_number_of_workers(store, workspace, tmp_path):
    assert collect(store, workspace, tmp_path / "a", workers=1) == collect(store, workspace, tmp_path / "b", workers=2)


@pytest.mark.parametrize(("after", "mask"), [(2, False), (6, True)])
def test_a_stopped_step_goes_on_without_parsing_a_file_twice(store, workspace, tmp_path, monkeypatch, after, mask):
    whole = collect(store, workspace, tmp_path / "whole", mask=mask)
    with pytest.raises(Interrupted):
        collect(store, workspace, tmp_path / "s", Stopping(after), mask=mask)
    (path,) = (tmp_path / "s").rglob(journal.NAME)
    done = [json.loads(line)[0] for line in path.read_bytes().splitlines()[1:]]
    assert len(done) > after - 1
    path.write_bytes(path.read_bytes() + b'["row", "half a li')
    asked = []

    class Counting(kind_files.Children):
        def _begun(self, job):
            asked.append(job)
            return super()._begun(job)

    monkeypatch.setattr(kind_files, "Children", Counting)
    assert collect(store, workspace, tmp_path / "s", mask=mask) == whole
    assert len(asked) == 10 - sum(kind != "skipped" for kind in done)


def test_what_another_version_kept_is_not_used(store, workspace, tmp_path):
    with pytest.raises(Interrupted):
        collect(store, workspace, tmp_path / "s", Stopping(3))
    (path,) = (tmp_path / "s").rglob(journal.NAME)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b'{"journal": 0}\n' + b"".join(line.replace(b"page", b"old page") for line in lines[1:]))
    assert collect(store, workspace, tmp_path / "s") == collect(store, workspace, tmp_path / "t")


def test_masking_at_collection_leaves_no_value_in_the_store_or_in_scratch(store, workspace, tmp_path):
    (workspace / "in" / "who c@d.example.pdf").write_bytes(b"broken")
    found = collect(store, workspace, tmp_path / "s", mask=True)
    documents = rows.read(store.open(found.documents)).to_pylist()
    assert documents[0]["text"] == "page 0 第0页 mail <EMAIL_ADDRESS>"
    assert documents[0]["text_digest"] == rows.text_digest(documents[0]["text"])
    assert rows.meta(documents[0])["masked"] == "EMAIL_ADDRESS:1"
    told = report.read(store.open(found.report))["data"]["sources"]["up/../manuals"]
    assert told["masked"] == {"EMAIL_ADDRESS": 7, "PHONE_NUMBER": 1}
    for kept in (tmp_path / "s", store.root):
        raw = b"".join(file.read_bytes() for file in kept.rglob("*") if file.is_file() and file.suffix != ".parquet")
        assert b"@b.example" not in raw
    assert "d.example" not in str(rows.read(store.open(found.failed)).select(["text", "meta"]).to_pylist())
    some = collect(store, workspace, tmp_path / "t", mask={"types": ["PHONE_NUMBER"], "stable": True})
    texts = rows.read(store.open(some.documents))["text"].to_pylist()
    assert texts[0].endswith("a0@b.example")
    assert any("<PHONE_NUMBER_" in text for text in texts)


def test_what_is_collected_opens_elsewhere_as_it_was_written(store, workspace, tmp_path):
    folder = store.open(collect(store, workspace, tmp_path / "s").documents)
    here = rows.read(folder).to_pylist()
    assert pq.read_table(folder / "rows-00000.parquet").to_pylist() == here
    assert pl.read_parquet(folder / "*.parquet")["text"].to_list() == [row["text"] for row in here]


def test_a_plan_knows_how_much_there_is_to_read(workspace):
    stage = Collect.model_validate({"sources": [SOURCE]})
    size = sum(file.stat().st_size for file in (workspace / "in").iterdir())
    assert stage.reads(workspace) == size
    assert stage.estimate(size).disk >= size


def test_the_fingerprint_follows_what_the_mask_reads(workspace):
    (workspace / "names.txt").write_text("张三\n")
    stage = Collect.model_validate({"sources": [SOURCE], "mask": {"maskers": [{"kind": "words", "path": "names.txt"}]}})
    before = stage.fingerprint(workspace)
    (workspace / "names.txt").write_text("李四\n")
    assert stage.fingerprint(workspace) != before
    (workspace / "names.txt").unlink()
    assert "names.txt" in stage.check(workspace)[0]


def told(monitor: SilentMonitor) -> str:
    return " ".join(str(event) for event in monitor.events)


def test_the_totals_are_said_as_the_report_says_them(store, workspace, tmp_path):
    monitor = SilentMonitor()
    found = collect(store, workspace, tmp_path / "s", monitor)
    summary = report.read(store.open(found.report))["summary"]
    assert summary == "8 documents from 1 sources. 1 items could not be read."
    assert summary in told(monitor)


def test_files_of_other_types_are_counted_by_ending_in_the_report(store, workspace, tmp_path):
    for name in ("b.csv", "c.CSV", "d.log", "e.tar.gz", "Mr. Smith to 张三", "README"):
        (workspace / "in" / name).write_bytes(b"x")
    found = collect(store, workspace, tmp_path / "s")
    one = report.read(store.open(found.report))["data"]["sources"]["up/../manuals"]
    assert one["skipped"] == {
        "blank": 1, "other type": 2, "other type: .csv": 2, "other type: .log": 1, "other type: .tar.gz": 1,
    }  # fmt: skip
    only = collect(store, workspace, tmp_path / "t", sources=[{**SOURCE, "glob": "*.pdf"}])
    assert "skipped" not in report.read(store.open(only.report))["data"]["sources"]["up/../manuals"]


@pytest.mark.parametrize("kept", [1, 3, 4])
def test_files_of_other_types_are_counted_once_when_a_step_was_stopped_among_them(store, workspace, tmp_path, kept):
    for name in ("b.csv", "c.csv", "d.log"):
        (workspace / "in" / name).write_bytes(b"x")
    whole = collect(store, workspace, tmp_path / "whole")
    (path,) = (tmp_path / "whole").rglob(journal.NAME)
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[: 1 + kept]))
    assert collect(store, workspace, tmp_path / "whole") == whole


@pytest.mark.parametrize(
    ("kind", "body", "why"),
    [("csv", "text,label\n", "no row or entry"), ("json", "[]", "no row or entry"), ("lines", "\n \n", r"left out: blank \(2\)")],
)
def test_a_source_that_gives_no_document_is_an_error_that_names_it(store, workspace, tmp_path, kind, body, why):
    (workspace / "t.txt").write_text(body)
    with pytest.raises(InputError, match=rf"source 工单: it gives no document; .*{why}") as fault:
        collect(store, workspace, tmp_path / "s", sources=[SOURCE, {"kind": kind, "name": "工单", "path": "t.txt"}])
    assert "header" in fault.value.next_step


def test_a_feed_without_entries_is_no_error_and_is_said(store, workspace, tmp_path):
    (workspace / "f.xml").write_text('<feed xmlns="http://www.w3.org/2005/Atom"><title>t</title><id>i</id></feed>')
    monitor = SilentMonitor()
    found = collect(store, workspace, tmp_path / "s", monitor, sources=[{"kind": "feed", "name": "news", "path": "f.xml"}])
    assert rows.count(store.open(found.documents)) == 0
    assert "source news: it gives no document" in told(monitor)


def test_files_in_unknown_encodings_are_one_reason_that_says_what_can_be_set(store, workspace, tmp_path):
    for number in range(3):
        (workspace / "in" / f"r{number}.txt").write_bytes(b"ok\n" * number + "Эта книга объясняет".encode("cp1251"))
    found = collect(store, workspace, tmp_path / "s")
    data = report.read(store.open(found.report))["data"]["sources"]["up/../manuals"]
    assert data["failed"] == {"damaged": 1, "encoding": 3}
    assert all("encoding: can be set" in why for place, why in data["examples"] if place.startswith("r"))
