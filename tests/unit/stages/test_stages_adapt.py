"""Adapt: a model learns a domain, keeps what is replayed, and says both with the model before as the baseline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from sapwood import report
from sapwood.artifact import Documents, Model, Tokenizer
from sapwood.errors import InputError
from sapwood.models.card import read_card
from sapwood.stages.adapt import Adapt
from sapwood.stages.pretrain import Pretrain
from sapwood.store.local import LocalStore
from sapwood.testing import tiny
from sapwood.testing.stages import make_work
from sapwood.text import rows


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> LocalStore:
    return LocalStore(tmp_path_factory.mktemp("adapt") / "store")


@pytest.fixture(scope="module")
def text(store: LocalStore, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Documents]]:
    """English is the domain, Chinese what was known."""
    made = {}
    for side, language in (("documents", "en"), ("general", "zh")):
        folder = tmp_path_factory.mktemp(side)
        rows.write(folder, rows.table([row for row in tiny.tiny_corpus() if row["language"] == language]))
        made[side] = [store.put(Documents, folder)]
    return made


@pytest.fixture(scope="module")
def known(store: LocalStore, text: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Model]:
    """Small models that read the general text, by kind."""
    folder = tmp_path_factory.mktemp("known")
    tokenizer = store.put(Tokenizer, tiny.tiny_tokenizer(folder / "tokenizer"))
    found = {}
    for kind in ("llama", "t5"):
        fields = {"architecture": {"kind": kind, "layers": 1, "width": 32, "heads": 2}, "max_tokens": 48, "steps": 60, "batch_tokens": 512,
                  "held_out": 0.2, "optimiser": {"kind": "adamw", "lr": 1e-2}}  # fmt: skip
        found[kind] = Pretrain.model_validate(fields).run(make_work(store, folder / kind), tokenizer, text["general"]).model
    return found


def run(store: LocalStore, folder: Path, model: Model, text: Any, general: bool = True, **fields: Any) -> tuple[Any, dict[str, Any]]:
    stage = Adapt.model_validate({"batch_tokens": 512, "held_out": 0.2, "steps": 40, "optimiser": {"kind": "adamw", "lr": 5e-3}, **fields})
    made = stage.run(make_work(store, folder), model, text["documents"], text["general"] if general else None)
    return made, report.read(store.open(made.report))["data"]


def test_replay_keeps_what_the_model_knew_and_elastic_weights_hold_it(store: LocalStore, text: Any, known: Any, tmp_path: Path) -> None:
    made, replayed = run(store, tmp_path / "replay", known["llama"], text, replay=0.5)
    _, alone = run(store, tmp_path / "alone", known["llama"], text, replay=0.0)
    _, held = run(store, tmp_path / "held", known["llama"], text, replay=0.0, elastic=1000.0)
    for data in (replayed, alone):
        assert data["differences"]["domain"]["loss"]["high"] < 0, "the domain was not learned"
    assert alone["before"] == replayed["before"], "the model before is measured on the same text"
    lost = {
        name: data["differences"]["general"]["loss"]["value"] for name, data in (("replay", replayed), ("alone", alone), ("held", held))
    }
    assert lost["replay"] < lost["alone"]
    assert lost["held"] < lost["alone"]
    card = read_card(store.open(made.model))
    assert (card.task, card.base, card.method) == ("causal-lm", known["llama"].digest, "adapt:full")


def test_an_encoder_decoder_adapts_by_lora_and_without_general_text_says_so(
    store: LocalStore, text: Any, known: Any, tmp_path: Path
) -> None:
    fields = {"method": {"kind": "lora", "targets": "all"}, "optimiser": {"kind": "adamw", "lr": 3e-2}}
    made, data = run(store, tmp_path, known["t5"], text, general=False, **fields)
    assert data["differences"]["domain"]["loss"]["value"] < 0
    assert set(data["before"]) == {"domain"}
    assert "forgetting was not measured" in report.read(store.open(made.report))["blocks"][0]["body"]


def test_an_encoder_without_a_head_for_words_gets_one_and_the_report_says_so(store: LocalStore, text: Any, tmp_path: Path) -> None:
    from transformers import BertModel

    from sapwood.models import architectures
    from sapwood.models.card import Card

    words = tiny.tiny_tokenizer(tmp_path / "encoder")
    config = architectures.bert(301, layers=1, width=32, heads=2, max_tokens=64)
    with architectures.seeded(1):
        architectures.save_model(words, BertModel(config), words, Card(name="plain", task="encoder", max_tokens=64))
    made, data = run(store, tmp_path / "work", store.put(Model, words), text, steps=4)
    assert data["new_head"]
    assert read_card(store.open(made.model)).task == "masked-lm"


def test_what_cannot_be_adapted_is_refused(store: LocalStore, text: Any, tmp_path: Path) -> None:
    classifier = store.put(Model, tiny.tiny_model(tmp_path / "model"))
    with pytest.raises(InputError, match="answers classification; only a language model"):
        run(store, tmp_path / "work", classifier, text)
    with pytest.raises(ValidationError, match="lora does not train"):
        Adapt.model_validate({"elastic": 1.0, "method": {"kind": "lora"}})
