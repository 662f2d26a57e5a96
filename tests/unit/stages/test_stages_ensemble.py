"""Several classifiers answer as one, wherever a classifier is opened; and a student learns from them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sapwood import report
from sapwood.artifact import Documents, Examples, Model
from sapwood.errors import InputError
from sapwood.models.card import Card
from sapwood.models.predict import load_classifier
from sapwood.stages.compress import Compress
from sapwood.stages.distil import ALONE, Distil
from sapwood.stages.ensemble import Ensemble
from sapwood.stages.finetune import Finetune
from sapwood.store.local import LocalStore
from sapwood.testing import tiny
from sapwood.testing.stages import make_work
from sapwood.text import rows

TEXTS = ["The kettle works very well.", "这盏灯一用就坏了，我很生气。", "fine"]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> LocalStore:
    return LocalStore(tmp_path_factory.mktemp("store") / "store")


@pytest.fixture(scope="module")
def examples(store: LocalStore, tmp_path_factory: pytest.TempPathFactory) -> Examples:
    folder = tmp_path_factory.mktemp("examples")
    rows.write(folder, rows.table(tiny.tiny_examples(), rows.EXAMPLES))
    return store.put(Examples, folder)


@pytest.fixture(scope="module")
def members(store: LocalStore, tmp_path_factory: pytest.TempPathFactory) -> list[Model]:
    folder = tmp_path_factory.mktemp("members")
    return [store.put(Model, tiny.tiny_model(folder / str(seed), seed=seed)) for seed in (1, 2, 3)]


@pytest.fixture(scope="module")
def whole(store: LocalStore, members: list[Model], examples: Examples, tmp_path_factory: pytest.TempPathFactory) -> Model:
    return Ensemble(name="three").run(make_work(store, tmp_path_factory.mktemp("e")), members, examples).model


def mean_of(store: LocalStore, members: list[Model]) -> np.ndarray:
    logs = np.mean([np.log(load_classifier(store.open(one)).predict(TEXTS)) for one in members], axis=0)
    raised = np.exp(logs)
    return raised / raised.sum(1, keepdims=True)


def test_the_ensemble_averages_the_logits_of_its_members(store: LocalStore, members: list[Model], whole: Model) -> None:
    np.testing.assert_allclose(load_classifier(store.open(whole)).predict(TEXTS), mean_of(store, members), atol=1e-5)


def test_an_ensemble_of_an_ensemble_counts_each_member_once(store: LocalStore, members: list[Model], tmp_path: Path) -> None:
    two = Ensemble().run(make_work(store, tmp_path / "a"), members[:2], None).model
    made = Ensemble().run(make_work(store, tmp_path / "b"), [two, members[2]], None)
    np.testing.assert_allclose(load_classifier(store.open(made.model)).predict(TEXTS), mean_of(store, members), atol=1e-5)
    assert report.read(store.open(made.report))["data"]["members"] == 3


def test_each_member_opens_with_plain_transformers(store: LocalStore, whole: Model) -> None:
    from transformers import AutoModel

    for number in range(3):
        assert AutoModel.from_pretrained(store.open(whole) / "members" / str(number)).config.model_type == "bert"


@pytest.mark.parametrize(
    "fields", [pytest.param({}, id="int8", marks=pytest.mark.soak), pytest.param({"engine": "torch", "quantise": "none"}, id="torch")]
)
def test_an_ensemble_is_packed_and_served_as_one_classifier(
    store: LocalStore, members: list[Model], whole: Model, tmp_path: Path, fields: dict[str, str]
) -> None:
    from sapwood.serving.engines import open_engine

    made = Compress.model_validate(fields).run(make_work(store, tmp_path), whole)
    answers = open_engine(store.open(made.bundle)).predict(TEXTS)
    np.testing.assert_allclose(answers, mean_of(store, members), atol=1e-4 if fields else 0.05)
    assert report.read(store.open(made.report))["data"]["parameters"] > 0


def test_members_that_do_not_fit_together_are_told(store: LocalStore, members: list[Model], tmp_path: Path) -> None:
    other = store.put(Model, tiny.tiny_model(tmp_path / "other", ("bad", "good", "mixed")))
    encoder = store.put(Model, tiny.tiny_model(tmp_path / "encoder", ()))
    work = make_work(store, tmp_path / "s")
    with pytest.raises(InputError, match="different labels"):
        Ensemble().run(work, [members[0], other], None)
    with pytest.raises(InputError, match="masked-lm"):
        Ensemble().run(work, [members[0], encoder], None)
    with pytest.raises(InputError, match="two models or more"):
        Ensemble().run(work, members[:1], None)


def test_an_ensemble_is_not_trained_further(store: LocalStore, whole: Model, examples: Examples, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be trained further"):
        Finetune().run(make_work(store, tmp_path), whole, examples, None)


@pytest.mark.parametrize(
    "kind", ["prompt", pytest.param("prefix", marks=pytest.mark.soak), pytest.param("adapters", marks=pytest.mark.soak)]
)
def test_what_hangs_on_a_model_is_exported_and_served_with_it(store: LocalStore, tmp_path: Path, kind: str) -> None:
    import shutil

    import torch

    from sapwood.models import additions, architectures
    from sapwood.models.methods.catalogue import AnyMethod
    from sapwood.models.support import kinds
    from sapwood.serving.engines import open_engine

    base = tiny.tiny_model(tmp_path / "base")
    net = kinds(AnyMethod)[kind]().apply(architectures.classifier(base, tiny.LABELS, 1), "fp32", 1)
    with torch.no_grad():
        net.classifier.weight.mul_(50)
        for p in additions.of(net).parameters():
            p.add_(0.3 * torch.randn(p.shape, generator=torch.Generator().manual_seed(2)))
    folder = tmp_path / "model"
    folder.mkdir()
    architectures.save_model(folder, net, base, Card(name="x", task="classification", labels=tiny.LABELS, max_tokens=64))
    model = store.put(Model, folder)
    said = load_classifier(store.open(model)).predict(TEXTS)
    bare = shutil.copytree(store.open(model), tmp_path / "bare", ignore=shutil.ignore_patterns("adapter"))
    assert np.abs(said - load_classifier(bare).predict(TEXTS)).max() > 2e-4
    for fields in ({"quantise": "none"}, {"engine": "torch", "quantise": "none"})[: 2 if kind == "prompt" else 1]:
        made = Compress.model_validate(fields).run(make_work(store, tmp_path / fields.get("engine", "onnx")), model)
        np.testing.assert_allclose(open_engine(store.open(made.bundle)).predict(TEXTS), said, atol=1e-4)


def test_a_student_is_shown_beside_its_teachers_and_beside_itself_alone(
    store: LocalStore, whole: Model, examples: Examples, tmp_path: Path
) -> None:
    student = store.put(Model, tiny.tiny_model(tmp_path / "student", ()))
    folder = tmp_path / "more"
    folder.mkdir()
    rows.write(folder, rows.table(tiny.tiny_corpus()))
    stage = Distil(share=1.0, epochs=4, optimiser={"kind": "adamw", "lr": 3e-3})
    made = stage.run(make_work(store, tmp_path / "d"), [whole], student, examples, examples, store.put(Documents, folder))
    data = report.read(store.open(made.report))["data"]
    assert set(data["scores"]) == {"teachers", ALONE, "student"}
    assert data["labelled"] == data["unlabelled"] == 72
    assert data["parameters"]["teachers"] > 2.5 * data["parameters"]["student"]
    said, wanted = (load_classifier(store.open(one)).predict(TEXTS) for one in (made.model, whole))
    before = load_classifier(store.open(store.put(Model, tiny.tiny_model(tmp_path / "fresh", seed=8)))).predict(TEXTS)
    assert np.abs(said - wanted).mean() < max(0.05, np.abs(before - wanted).mean())


def test_old_examples_are_replayed_and_what_is_missing_for_remembering_is_told(
    store: LocalStore, members: list[Model], examples: Examples, tmp_path: Path
) -> None:
    stage = Finetune.model_validate({"epochs": 1, "remember": {"replay": 0.25, "elastic": 2.0, "estimated_on": 4, "distil": 0.5}})
    assert stage.check(tmp_path) == []
    made = stage.run(make_work(store, tmp_path / "a"), members[0], examples, examples, examples)
    points = report.read(store.open(made.report))["data"]["train"]
    assert all({"elastic", "distilled"} <= set(point) for point in points)
    assert points[0]["elastic"] == pytest.approx(0.0, abs=1e-9)
    work = make_work(store, tmp_path / "b")
    with pytest.raises(InputError, match="take old examples"):
        stage.run(work, members[0], examples, None)
    with pytest.raises(InputError, match="takes nothing from them"):
        Finetune(epochs=1).run(work, members[0], examples, None, examples)
    fresh = store.put(Model, tiny.tiny_model(tmp_path / "encoder", ()))
    with pytest.raises(InputError, match="never did it"):
        stage.run(work, fresh, examples, None, examples)


def test_regularised_training_logs_each_part_and_keeps_the_average(store: LocalStore, examples: Examples, tmp_path: Path) -> None:
    fresh = store.put(Model, tiny.tiny_model(tmp_path / "encoder", ()))
    block = {
        "adversary": {"kind": "fgm", "size": 0.5},
        "r_drop": 1.0,
        "average": {"kind": "ema"},
        "even": {"swaps": [["kettle", "lamp"], ["灯", "水壶"]]},
    }
    made = Finetune.model_validate({"epochs": 1, "regularise": block}).run(make_work(store, tmp_path / "a"), fresh, examples, examples)
    points = report.read(store.open(made.report))["data"]["train"]
    assert all({"adversarial", "r_drop", "counterfactual"} <= set(point) for point in points)
    assert any(point["counterfactual"] > 0 for point in points)
