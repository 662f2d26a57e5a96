"""Weak labels through the stage: votes of functions, artifacts and models; what is written and what is told."""

import json

import numpy as np
import pytest

from sapwood import report
from sapwood.artifact import Documents, Examples, Model
from sapwood.errors import InputError
from sapwood.stages.weak_label import WeakLabel
from sapwood.store.local import LocalStore
from sapwood.testing import tiny
from sapwood.testing.stages import check_stage, make_work
from sapwood.text import rows

FUNCTIONS = (
    {"kind": "keywords", "name": "praise", "label": "positive", "words": ["happy", "满意", "great", "很好", "excellent", "优秀"]},
    {"kind": "keywords", "name": "blame", "label": "negative", "words": ["angry", "生气", "terrible", "糟糕"]},
    {"kind": "pattern", "name": "broken", "label": "negative", "pattern": "broke|坏|poor|质量差"},
    {"kind": "lexicon", "name": "feelings", "words": {"love": "positive", "喜欢": "positive", "hate": "negative", "讨厌": "negative"}},
)


@pytest.fixture
def store(tmp_path):
    return LocalStore(tmp_path / "store")


@pytest.fixture
def work(store, tmp_path):
    return make_work(store, tmp_path / "scratch", tmp_path)


def put(store, folder, made, kind=Documents):
    folder.mkdir()
    rows.write(folder, rows.table(made, rows.EXAMPLES if kind is Examples else rows.DOCUMENTS))
    return store.put(kind, folder)


@pytest.fixture
def documents(store, tmp_path):
    return put(store, tmp_path / "documents", tiny.tiny_corpus())


def read(work, artifact):
    return rows.read(work.path(artifact)).to_pylist()


def truth():
    return {row["id"]: row["label"] for row in tiny.tiny_examples()}


@pytest.mark.parametrize("method", ["em", "majority"])
def test_functions_label_both_languages_rightly(work, documents, method):
    made, abstained, told = WeakLabel(functions=FUNCTIONS, method=method).run(work, documents)
    found = read(work, made)
    assert len(found) + len(read(work, abstained)) == 72
    assert len(found) >= 70
    assert {row["language"] for row in found} == {"en", "zh"}
    assert all(row["label"] == truth()[row["id"]] for row in found)
    data = report.read(work.path(told))["data"]
    assert data["labelled"] == len(found)
    assert data["measured"] is None


def test_a_labelled_row_keeps_its_votes_and_confidence_and_another_its_reason(work, store, tmp_path):
    texts = ["非常满意，很喜欢", "满意但是坏了", "什么都没说"]
    found = put(store, tmp_path / "in", [rows.document("a", str(n), text, meta={"k": "v"}) for n, text in enumerate(texts)])
    made, abstained, told = WeakLabel(functions=FUNCTIONS, method="majority").run(work, found)
    (one,) = read(work, made)
    assert (one["label"], json.loads(one["meta"])) == (
        "positive",
        {"k": "v", "votes": "praise=positive; feelings=positive", "confidence": "1.0000"},
    )
    assert [json.loads(row["meta"])["dropped"] for row in read(work, abstained)] == ["tie", "no vote"]
    assert "label" not in read(work, abstained)[0]
    data = report.read(work.path(told))["data"]
    assert data["abstained"] == {"no vote": 1, "tie": 1}
    assert data["conflicts"] == {"praise / broken": 1}
    assert data["functions"]["praise"]["coverage"] == pytest.approx(2 / 3, abs=1e-6)
    assert data["functions"]["praise"]["conflict"] == pytest.approx(1 / 3, abs=1e-6)
    conflicts = report.read(work.path(told))["blocks"][-1]["rows"]
    assert [row["text"] for row in conflicts] == ["满意但是坏了"]


def test_accuracy_is_measured_on_a_labelled_sample_with_an_interval(work, store, documents, tmp_path):
    sample = tiny.tiny_examples()[:40]
    wrong = [{**row, "label": "positive"} for row in sample[:4]]
    labelled = put(store, tmp_path / "sample", [*wrong, *sample[4:]], Examples)
    data = report.read(work.path(WeakLabel(functions=FUNCTIONS).run(work, documents, labelled).report))["data"]
    expected = sum(row["label"] != was["label"] for row, was in zip(wrong, sample, strict=False))
    assert data["measured"]["n"] == 40
    assert data["measured"]["value"] == pytest.approx(1 - expected / 40)
    assert data["measured"]["low"] < data["measured"]["value"] < data["measured"]["high"]
    assert set(data["functions"]["praise"]["measured_accuracy"]) == {"n", "value", "low", "high"}


def test_labels_of_another_artifact_vote_where_they_are_sure(work, store, documents, tmp_path):
    said = tiny.tiny_examples()
    unsure = [{**row, "meta": json.dumps({"confidence": "0.4"})} for row in said[:10]]
    votes = put(store, tmp_path / "votes", [*unsure, *said[10:]], Examples)
    made, abstained, _ = WeakLabel().run(work, documents, votes=[votes])
    assert len(read(work, made)) == 62
    assert {row["id"] for row in read(work, abstained)} == {row["id"] for row in unsure}
    assert all(row["label"] == truth()[row["id"]] for row in read(work, made))


def test_a_model_votes_too(work, store, documents, tmp_path):
    model = store.put(Model, tiny.tiny_model(tmp_path / "model"))
    made, _, told = WeakLabel(sure=0.0).run(work, documents, models=[model])
    assert len(read(work, made)) == 72
    functions = report.read(work.path(told))["data"]["functions"]
    assert functions["model-1"]["kind"] == str(model)
    assert functions["model-1"]["coverage"] == 1.0


def test_stated_shares_must_name_every_label(work, documents):
    with pytest.raises(InputError, match="each of negative, positive"):
        WeakLabel(functions=FUNCTIONS, shares={"positive": 1.0}).run(work, documents)


def test_functions_for_one_label_alone_are_refused(work, documents):
    with pytest.raises(InputError, match="fewer than two labels"):
        WeakLabel(functions=FUNCTIONS[:1]).run(work, documents)


def test_shares_that_collapse_when_they_are_learnt_are_refused(work, store, tmp_path):
    texts = ["满意，喜欢"] * 400 + ["满意，坏了"] * 10 + ["喜欢，坏了"] * 10
    found = put(store, tmp_path / "in", [rows.document("a", str(n), text) for n, text in enumerate(texts)])
    with pytest.raises(InputError, match="state the shares"):
        WeakLabel(functions=FUNCTIONS, shares="learn").run(work, found)


def test_the_labels_do_not_depend_on_the_batches(work, documents, monkeypatch):
    from sapwood.stages import weak_label

    whole = WeakLabel(functions=FUNCTIONS).run(work, documents)
    monkeypatch.setattr(weak_label, "BATCH", 7)
    assert WeakLabel(functions=FUNCTIONS).run(work, documents) == whole


def test_it_keeps_the_contract_of_a_stage(store, work, documents, tmp_path):
    check_stage(WeakLabel, store, {"documents": documents}, tmp_path)


def test_nothing_is_held_but_combinations_of_votes(work, documents):
    from sapwood.text.labelling.votes import Ballots

    with Ballots(work.scratch / "many", 4) as ballots:
        for seed in range(50):
            ballots.add(np.random.default_rng(seed).integers(0, 2, (1000, 4)).astype(np.uint8))
    combinations, counts = ballots.combinations()
    assert (len(combinations), counts.sum()) == (16, 50_000)
