"""From baselines to selection to evaluation, on a tiny model: every system on the same rows."""

import json

import numpy as np
import pytest

from sapwood import report
from sapwood.artifact import Bundle, Examples, Model
from sapwood.errors import InputError
from sapwood.metrics import predictions
from sapwood.models.bundle import BundleCard, write_bundle
from sapwood.stages.baselines import Baselines
from sapwood.stages.evaluate import Evaluate
from sapwood.stages.gate import Gate
from sapwood.stages.select import Select
from sapwood.store.local import LocalStore
from sapwood.testing.stages import check_stage, make_work
from sapwood.testing.tiny import LABELS, tiny_examples, tiny_model
from sapwood.text import rows
from sapwood.verdict import read


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    """A store with train, dev, two tests that overlap, and two untrained models."""
    base = tmp_path_factory.mktemp("evaluate")
    store = LocalStore(base / "store")
    every = tiny_examples()

    def put(name, part):
        folder = base / name
        folder.mkdir()
        rows.write(folder, rows.table(part, rows.EXAMPLES))
        return store.put(Examples, folder)

    marked = [{**row, "meta": json.dumps({"domain": "shop" if i % 3 else "hotel"})} for i, row in enumerate(every)]
    models = [store.put(Model, tiny_model(base / f"model{seed}", seed=seed)) for seed in (1, 2)]
    return {
        "store": store,
        "train": put("train", marked[:36]),
        "dev": put("dev", marked[36:48]),
        "tests": [put("first", marked[44:64]), put("second", marked[56:])],
        "models": models,
        "put": put,
    }


@pytest.fixture(scope="module")
def baselines(room, tmp_path_factory):
    work = make_work(room["store"], tmp_path_factory.mktemp("scratch"))
    return Baselines().run(work, room["train"], room["dev"], room["tests"])


@pytest.fixture(scope="module")
def evaluated(room, baselines, tmp_path_factory):
    work = make_work(room["store"], tmp_path_factory.mktemp("scratch"))
    return Evaluate().run(work, room["models"], room["tests"][0], baselines)


def opened(room, artifact):
    folder = room["store"].open(artifact)
    page = report.read(folder)
    return page, predictions.read(folder, page["data"]["labels"])


def test_baselines_answer_the_union_of_the_tests_once(room, baselines):
    page, answers = opened(room, baselines)
    assert len(answers.ids) == page["data"]["n"] == 28
    assert answers.systems == ("majority", "tfidf-logreg", "cnn-lstm")
    assert page["data"]["scores"]["tfidf-logreg"]["n"] == 28


def test_evaluation_holds_every_system_on_exactly_the_examples(room, evaluated):
    page, answers = opened(room, evaluated)
    data = page["data"]
    digests = [model.digest for model in room["models"]]
    assert answers.systems == (*digests, "majority", "tfidf-logreg", "cnn-lstm")
    assert len(answers.ids) == data["n"] == 20
    assert data["candidates"] == digests
    assert len(data["paired"]) == 4 + 3
    assert len(set(data["systems"].values())) == 5
    assert set(data["precision"].values()) == {"fp32"}
    assert {tuple(one["slice"]) for one in data["slices"]} == {("language",), ("domain",)}
    assert [block["type"] for block in page["blocks"]] == ["bars", "table", "table", "table", "table", "matrix", "samples"]
    wrong = int((answers.predicted(digests[0]) != answers.truth).sum())
    assert len(page["blocks"][-1]["rows"]) == min(10, wrong)


def test_a_model_that_a_baseline_beats_is_reported_so_and_does_not_pass(room, evaluated, tmp_path):
    page, _ = opened(room, evaluated)
    assert "is ahead" in page["summary"]
    bars = [{"kind": "better_than", "system": "tfidf-logreg"}]
    made = Gate(bars=bars).run(make_work(room["store"], tmp_path), room["models"][0], [evaluated], None, None)
    assert not read(room["store"].open(made)).record.passed


def test_a_bundle_answers_through_its_engine_as_its_model_does(room, tmp_path):
    model = room["models"][0]
    folder = tiny_model(tmp_path / "bundle", seed=1)
    (folder / "sapwood.json").unlink()
    write_bundle(folder, BundleCard(name="tiny", engine="torch", labels=LABELS, max_tokens=512, model=model.digest, quantise="none"))
    bundle = room["store"].put(Bundle, folder)
    page, answers = opened(room, Evaluate().run(make_work(room["store"], tmp_path), [model, bundle], room["tests"][1], None))
    np.testing.assert_allclose(answers.probs[model.digest], answers.probs[bundle.digest], atol=1e-5)
    assert page["data"]["systems"] == {model.digest: "tiny", bundle.digest: "tiny (bundle)"}
    assert page["data"]["kinds"][bundle.digest] == "bundle"
    assert page["data"]["paired"][0]["macro_f1"]["p"] == 1


def test_rows_that_the_baselines_never_saw_are_refused(room, baselines, tmp_path):
    with pytest.raises(InputError, match="baselines step"):
        Evaluate().run(make_work(room["store"], tmp_path), room["models"][:1], room["train"], baselines)


def test_a_label_the_model_was_never_taught_counts_as_wrong(room, tmp_path):
    strange = room["put"]("strange", [{**row, "label": "neutral"} for row in tiny_examples()[:6]])
    page, _ = opened(room, Evaluate().run(make_work(room["store"], tmp_path), room["models"][:1], strange, None))
    assert page["data"]["labels"] == [*LABELS, "neutral"]
    assert page["data"]["scores"][room["models"][0].digest]["accuracy"]["value"] == 0


def test_selection_returns_one_of_its_candidates_and_says_why(room, tmp_path):
    chosen = Select().run(make_work(room["store"], tmp_path), room["models"], room["dev"])
    data = report.read(room["store"].open(chosen.report))["data"]
    assert chosen.model in room["models"]
    assert data["winner"] == chosen.model.digest == max(data["scores"], key=lambda d: data["scores"][d]["macro_f1"]["value"])
    backwards = Select().run(make_work(room["store"], tmp_path), room["models"][::-1], room["dev"])
    assert backwards == chosen


def test_they_are_stages_and_repeat_themselves(room, evaluated, baselines, tmp_path):
    store, models, dev = room["store"], room["models"], room["dev"]
    fitted = {"train": room["train"], "dev": dev, "tests": room["tests"]}
    assert check_stage(Baselines, store, fitted) == check_stage(Baselines, store, fitted)
    check_stage(Select, store, {"candidates": models, "dev": dev})
    again = check_stage(Evaluate, store, {"candidates": models, "examples": room["tests"][0], "baselines": baselines})
    assert again["out"] == evaluated


@pytest.mark.parametrize("systems", [[], ["majority", "majority"], ["svm"]])
def test_systems_that_mean_nothing_are_refused(systems):
    with pytest.raises(ValueError):
        Baselines(systems=systems)
