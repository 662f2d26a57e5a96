"""The stage `score`: models of any task beside the simple systems that fit it, on the same rows, from what stands in their cards."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sapwood import report
from sapwood.artifact import Examples, Model
from sapwood.errors import InputError
from sapwood.models.card import read_card
from sapwood.models.optimisers import AdamW
from sapwood.models.tasks.regression import Regression
from sapwood.models.tasks.tokens import Tokens
from sapwood.stages.finetune import Finetune
from sapwood.stages.score import Score
from sapwood.store.local import LocalStore
from sapwood.testing import tiny
from sapwood.testing.stages import check_stage, make_work
from sapwood.text import rows


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> LocalStore:
    return LocalStore(tmp_path_factory.mktemp("score") / "store")


def put(store: LocalStore, folder: Path, made: list[dict[str, Any]]) -> Examples:
    folder.mkdir()
    rows.write(folder, rows.table(made, rows.EXAMPLES))
    return store.put(Examples, folder)


def tagged() -> list[dict[str, Any]]:
    """The tiny examples with the thing of each as an entity."""
    found = []
    for row in tiny.tiny_examples():
        things = [thing for pair in tiny.THINGS for thing in pair if thing in row["text"]]
        start = row["text"].index(max(things, key=len))
        end = start + len(max(things, key=len))
        found.append({**row, "meta": json.dumps({"spans": json.dumps([[start, end, "THING"]])})})
    return found


@pytest.fixture(scope="module")
def tagger(store: LocalStore, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    root = tmp_path_factory.mktemp("tagger")
    train, test = put(store, root / "train", tagged()[:48]), put(store, root / "test", tagged()[48:])
    base = store.put(Model, tiny.tiny_model(root / "base", labels=()))
    stage = Finetune(name="tagger", task=Tokens(), epochs=8, batch_size=8, dropout=0.0, optimiser=AdamW(lr=5e-3))
    made = stage.run(make_work(store, root / "work"), base, train, None)
    return {"model": made.model, "base": base, "train": train, "test": test}


def test_a_tagger_is_scored_from_its_card_beside_the_systems_of_its_task(store: LocalStore, tagger: dict[str, Any], tmp_path: Path) -> None:
    assert read_card(store.open(tagger["model"])).asks["kind"] == "tokens"
    scored = Score().run(make_work(store, tmp_path / "work"), [tagger["model"]], tagger["test"], tagger["train"])
    found = report.read(store.open(scored))["data"]
    assert set(found["systems"].values()) == {"tagger", "gazetteer", "window-logreg"}
    own = found["scores"][tagger["model"].digest]
    assert own["n"] == 24
    assert own["f1"]["low"] <= own["f1"]["value"] <= own["f1"]["high"]
    assert own["f1"]["value"] > 0
    assert {(one["b"], 0 < one["p"] <= 1) for one in found["paired"]} == {("gazetteer", True), ("window-logreg", True)}
    assert found["labels"] == ["O", "B-THING", "I-THING"]


def test_it_keeps_the_contract_and_gives_the_same_bytes_again(store: LocalStore, tagger: dict[str, Any], tmp_path: Path) -> None:
    inputs = {"candidates": [tagger["model"]], "examples": tagger["test"], "train": tagger["train"]}
    assert check_stage(Score, store, inputs)["out"] == Score().run(make_work(store, tmp_path / "again"), **inputs)


def test_models_of_two_tasks_or_without_one_are_refused(store: LocalStore, tagger: dict[str, Any], tmp_path: Path) -> None:
    other = store.put(Model, tiny.tiny_model(tmp_path / "classifier"))
    with pytest.raises(InputError, match="tiny answers another question than tagger"):
        Score().run(make_work(store, tmp_path / "a"), [tagger["model"], other], tagger["test"], None)
    with pytest.raises(InputError, match="its card does not say what it is asked"):
        Score().run(make_work(store, tmp_path / "b"), [tagger["base"]], tagger["test"], None)


def test_rows_that_were_trained_on_are_not_scored(store: LocalStore, tagger: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="48 of the examples to score are among the training rows"):
        Score().run(make_work(store, tmp_path / "work"), [tagger["model"]], tagger["train"], tagger["train"])


def test_a_classifier_and_a_number_are_scored_too(store: LocalStore, tmp_path: Path) -> None:
    classifier = store.put(Model, tiny.tiny_model(tmp_path / "classifier"))
    train, test = (put(store, tmp_path / name, tiny.tiny_examples()[part]) for name, part in (("a", slice(0, 48)), ("b", slice(48, 72))))
    scored = report.read(store.open(Score().run(make_work(store, tmp_path / "w"), [classifier], test, train)))["data"]
    assert scored["scores"]["tfidf-logreg"]["macro_f1"]["value"] > 0.9
    numbers = [{**row, "label": str(len(row["text"]))} for row in tiny.tiny_examples()]
    train, test = put(store, tmp_path / "c", numbers[:48]), put(store, tmp_path / "d", numbers[48:])
    base = store.put(Model, tiny.tiny_model(tmp_path / "base", labels=()))
    made = Finetune(task=Regression(), epochs=1).run(make_work(store, tmp_path / "tune"), base, train, None)
    scored = report.read(store.open(Score().run(make_work(store, tmp_path / "x"), [made.model], test, train)))["data"]
    assert (scored["main"], scored["lower_is_better"]) == ("mse", True)
    assert scored["scores"]["tfidf-ridge"]["mse"]["value"] < scored["scores"]["mean"]["mse"]["value"]
    assert {one["slice"]["language"] for one in scored["slices"]} == set()  # 12 rows of either language are too few to show
