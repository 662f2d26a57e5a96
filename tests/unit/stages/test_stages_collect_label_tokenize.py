"""From files to labelled examples and a tokenizer, through the stages."""

import json
import shutil
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from sapwood import report
from sapwood.artifact import digest_of, scan
from sapwood.errors import InputError
from sapwood.stage import Resources, Work, inputs, outputs
from sapwood.stages.collect import Collect
from sapwood.stages.label import Label
from sapwood.stages.tokenize import Tokenize
from sapwood.text import rows


class Shelf:
    """A store of folders, enough for a stage."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def put(self, kind, folder):
        made = kind(digest_of(kind, scan(folder)))
        shutil.move(folder, self.root / made.digest)
        return made

    def open(self, artifact):
        return self.root / artifact.digest


class Quiet:
    def emit(self, event) -> None: ...

    @contextmanager
    def meter(self, label, total, unit):
        yield SimpleNamespace(advance=lambda amount=1: None)

    def stopping(self) -> bool:
        return False


@pytest.fixture
def work(tmp_path):
    (tmp_path / "shelf").mkdir()
    (tmp_path / "good.txt").write_text("这本书很好看\n酒店不错\n", encoding="utf-8")
    (tmp_path / "other.jsonl").write_text('{"text": "a book", "label": "0"}\n{"text": "no label here"}\n')
    return Work(Shelf(tmp_path / "shelf"), tmp_path / "scratch", tmp_path, "step", 1, Resources(), Quiet())


COLLECT = Collect(
    sources=(
        {"kind": "lines", "name": "good", "path": "good.txt", "label": "1", "language": "zh"},
        {"kind": "jsonl", "name": "other", "path": "other.jsonl", "label_field": "label"},
    )
)


def test_text_becomes_documents_examples_and_a_tokenizer(work):
    documents, told, _ = COLLECT.run(work)
    assert report.read(work.path(told))["data"]["languages"] == {"not stated": 2, "zh": 2}
    rules = [{"name": "book", "words": ["书", "book"]}]
    examples, told, dropped = Label(values={"0": "bad", "1": "good"}, tag=rules).run(work, documents)
    table = rows.read(work.path(examples)).to_pylist()
    assert [(row["label"], rows.meta(row)["domain"]) for row in table] == [("good", "book"), ("good", "other"), ("bad", "book")]
    assert table[0]["id"] == rows.document_id("good", "1")
    data = report.read(work.path(told))["data"]
    assert data == {"kept": 3, "dropped": {"no meta.label": 1}, "labels": {"good": 2, "bad": 1}, "domains": {"book": 2, "other": 1}}
    (lost,) = rows.read(work.path(dropped)).to_pylist()
    assert (lost["text"], rows.meta(lost)["dropped"]) == ("no label here", "no meta.label")
    tokenizer, told = Tokenize(vocab_size=300).run(work, [documents, examples])
    assert report.read(work.path(told))["data"]["fertility"]["zh"]["unknown"] == 0
    assert json.loads((work.path(tokenizer) / "tokenizer_config.json").read_text())["model_max_length"] == 512


def test_the_same_sources_give_the_same_digests(work):
    assert COLLECT.run(work)[0] == COLLECT.run(work)[0]


def test_the_label_may_be_a_column(work):
    examples, _, _ = Label(field="source").run(work, COLLECT.run(work)[0])
    assert rows.read(work.path(examples), ["label"])["label"].to_pylist() == ["good", "good", "other", "other"]


def test_examples_may_be_given_another_label(work):
    documents = COLLECT.run(work)[0]
    named, _, _ = Label(field="source").run(work, documents)
    again, _, dropped = Label(field="meta.label").run(work, named)
    assert rows.read(work.path(again), ["label"])["label"].to_pylist() == ["1", "1", "0"]
    assert [row["text"] for row in rows.read(work.path(dropped)).to_pylist()] == ["no label here"]


def test_the_report_lists_the_most_frequent_of_many_labels(work, monkeypatch):
    monkeypatch.setattr("sapwood.stages.label.LISTED", 1)
    _, told, _ = Label(field="source").run(work, COLLECT.run(work)[0])
    found = report.read(work.path(told))
    assert found["data"]["labels"] == {"good": 2}
    assert found["blocks"][0]["note"] == "The 1 most frequent of 2 labels."


def test_a_missing_file_is_told_in_plan_and_refused_in_run(work):
    stage = Collect(sources=({"kind": "lines", "name": "a", "path": "nothing.txt"},))
    assert stage.check(work.workspace) == ["source a: no such file: nothing.txt; paths are relative to the workspace"]
    with pytest.raises(InputError, match="no such file"):
        stage.run(work)


def test_a_changed_file_changes_the_fingerprint(work):
    before = COLLECT.fingerprint(work.workspace)
    (work.workspace / "good.txt").write_text("changed")
    assert COLLECT.fingerprint(work.workspace) != before


def test_ports_are_what_recipes_wire():
    assert list(outputs(Collect)) == ["documents", "report", "failed"]
    assert list(outputs(Label)) == ["examples", "report", "dropped"]
    assert inputs(Tokenize)["documents"].many
