"""Words in a blank, models asked without training, and a classifier that labels for itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sapwood import report
from sapwood.artifact import Documents, Examples, Model
from sapwood.errors import InputError
from sapwood.models import texts
from sapwood.models.card import read_card
from sapwood.models.optimisers import AdamW
from sapwood.models.tasks.prompt import Prompt
from sapwood.models.tasks.task import Reader, Setting
from sapwood.stages.ask import Ask
from sapwood.stages.evaluate import Evaluate
from sapwood.stages.finetune import Finetune
from sapwood.stages.score import Score
from sapwood.stages.self_label import SelfLabel
from sapwood.store.local import LocalStore
from sapwood.testing import tiny
from sapwood.testing.stages import make_work
from sapwood.text import rows

PROMPT = Prompt(template="I am {blank}: {text}", words={"positive": "happy", "negative": "angry"})


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> LocalStore:
    return LocalStore(tmp_path_factory.mktemp("store") / "store")


@pytest.fixture(scope="module")
def masked(store: LocalStore, tmp_path_factory: pytest.TempPathFactory) -> Model:
    return store.put(Model, tiny.tiny_model(tmp_path_factory.mktemp("masked") / "model", labels=()))


@pytest.fixture(scope="module")
def classifier(store: LocalStore, tmp_path_factory: pytest.TempPathFactory) -> Model:
    return store.put(Model, tiny.tiny_model(tmp_path_factory.mktemp("classifier") / "model"))


def put(store: LocalStore, folder: Path, kind: type[Any], made: list[dict[str, Any]]) -> Any:
    folder.mkdir()
    rows.write(folder, rows.table(made, rows.EXAMPLES if kind is Examples else rows.DOCUMENTS))
    return store.put(kind, folder)


def reader(store: LocalStore, model: Model, longest: int = 64) -> Reader:
    folder = store.open(model)
    tokenizer = texts.load_tokenizer(folder)
    card = read_card(folder).model_copy(update={"labels": ("negative", "positive"), "max_tokens": longest})
    return Reader(tokenizer, texts.pad_id(tokenizer), card, folder)


def test_a_model_is_asked_without_training(store: LocalStore, masked: Model, tmp_path: Path) -> None:
    made = Ask(task=PROMPT, name="asked").run(make_work(store, tmp_path), masked)
    card = read_card(store.open(made))
    assert (card.name, card.task, card.labels, card.asks["kind"]) == ("asked", "prompt", ("negative", "positive"), "prompt")
    weights = [(store.open(one) / "model.safetensors").read_bytes() for one in (made, masked)]
    assert PROMPT.open(store.open(made), card, Setting(0, "fp32")) is not None
    assert len(weights[0]) <= len(weights[1])


def test_the_answer_is_the_share_of_the_models_own_masked_words(store: LocalStore, masked: Model) -> None:
    import torch

    read = reader(store, masked)
    model = PROMPT.open(store.open(masked), read.card, Setting(1, "fp32")).eval()
    given = [{"id": "1", "text": "the kettle works", "label": "positive"}, {"id": "2", "text": "水壶很好用，我很满意", "label": "positive"}]
    found = PROMPT.answers(model, read, given, "fp32")
    for row, answer in zip(given, found, strict=True):
        ids = read.tokenizer.encode(f"I am [MASK]: {row['text']}").ids
        logits = model(input_ids=torch.tensor([ids])).logits[0, ids.index(read.tokenizer.token_to_id("[MASK]"))]
        words = [read.tokenizer.token_to_id(PROMPT.words[label]) for label in read.card.labels]
        assert np.allclose(logits[words].softmax(-1).detach().numpy(), answer, atol=1e-5)


def test_of_a_long_text_the_blank_stays(store: LocalStore, masked: Model) -> None:
    read = reader(store, masked, 16)
    ids, places = Prompt(template="{text} {blank}.", words=PROMPT.words)._encoded(read, [{"id": "1", "text": "the kettle " * 30}])
    assert len(ids[0]) <= 16
    assert ids[0][places[0]] == read.tokenizer.token_to_id("[MASK]")


def test_examples_teach_which_word_fits_the_blank(store: LocalStore, masked: Model, tmp_path: Path) -> None:
    few = put(store, tmp_path / "few", Examples, tiny.tiny_examples())
    stage = Finetune(task=PROMPT, epochs=12, batch_size=8, optimiser=AdamW(lr=3e-3), dropout=0.0)
    made = stage.run(make_work(store, tmp_path / "work"), masked, few, few)
    assert max(score["macro_f1"] for score in report.read(store.open(made.report))["data"]["dev"]) > 0.8
    assert read_card(store.open(made.model)).task == "prompt"


def test_words_of_several_tokens_and_models_without_that_head_are_refused(store: LocalStore, masked: Model, classifier: Model) -> None:
    read = reader(store, masked)
    with pytest.raises(InputError, match="'very good' of class positive is 5 tokens"):
        Prompt(template="{text}{blank}", words={"positive": "very good", "negative": "angry"})._tokens(read)
    with pytest.raises(InputError, match="no head for masked words"):
        PROMPT.open(store.open(classifier), read.card, Setting(1, "fp32"))
    with pytest.raises(ValueError, match="template must hold"):
        Prompt(template="{text}", words=PROMPT.words)


def test_only_sure_documents_that_nothing_is_judged_on_are_labelled_and_marked(store: LocalStore, tmp_path: Path) -> None:
    every = tiny.tiny_examples()
    labelled, held = every[:48], every[48:60]
    train = put(store, tmp_path / "train", Examples, labelled)
    base = store.put(Model, tiny.tiny_model(tmp_path / "base", labels=()))
    stage = Finetune(epochs=14, optimiser=AdamW(lr=3e-3), batch_size=8, dropout=0.0)
    model = stage.run(make_work(store, tmp_path / "tune"), base, train, None).model
    bare = [{k: v for k, v in row.items() if k != "label"} for row in every]
    documents = put(store, tmp_path / "documents", Documents, [*bare, {**bare[65], "id": "copy"}])
    judged = put(store, tmp_path / "judged", Examples, held)
    found = SelfLabel(confidence=0.6, per_class=6).run(make_work(store, tmp_path / "work"), model, documents, train, [judged])
    table = rows.read(store.open(found.train)).to_pylist()
    marked = [row for row in table if "self_labelled" in rows.meta(row)]
    fates = report.read(store.open(found.report))["data"]["fates"]
    assert table[:48] == rows.read(store.open(train)).to_pylist()
    assert len(marked) == len(table) - 48 <= 12
    assert marked
    assert {row["text_digest"] for row in marked}.isdisjoint(row["text_digest"] for row in held)
    assert (fates["held out"], fates["labelled already"], fates["a copy"]) == (12, 48, 1)
    truth = {row["id"]: row["label"] for row in every}
    assert np.mean([truth[row["id"]] == row["label"] for row in marked]) > 0.8
    assert rows.count(store.open(found.left)) == 73 - len(marked)
    for judge in (Score(), Evaluate()):
        with pytest.raises(InputError, match="were labelled by a model itself"):
            judge.run(make_work(store, tmp_path / "judge"), [model], found.train, None)
