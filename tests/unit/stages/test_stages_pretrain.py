"""Pretrain: every architecture and objective on the tiny corpus, end to end; folders that open without Sapwood."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from sapwood import report
from sapwood.artifact import Documents, Tokenizer, Tokens
from sapwood.errors import InputError
from sapwood.models.card import read_card
from sapwood.stages.pack import Pack
from sapwood.stages.pretrain import Pretrain
from sapwood.store.local import LocalStore
from sapwood.testing import tiny
from sapwood.testing.stages import make_work
from sapwood.text import rows

SHAPE = {"layers": 1, "width": 32, "heads": 2}
KINDS: dict[str, dict[str, Any]] = {
    "bert, words alone": {
        "architecture": {"kind": "bert", **SHAPE},
        "objective": {"kind": "masked_lm", "second": "none", "whole_words": True},
    },
    "bert, sentence order": {"architecture": {"kind": "bert", **SHAPE}, "objective": {"kind": "masked_lm", "second": "sentence_order"}},
    "albert": {"architecture": {"kind": "albert", "embedding": 32, **SHAPE}, "optimiser": {"kind": "adamw", "lr": 1e-2}},
    "llama": {"architecture": {"kind": "llama", "key_heads": 1, **SHAPE}},
    "gpt2": {"architecture": {"kind": "gpt2", **SHAPE}},
    "t5": {
        "architecture": {"kind": "t5", **SHAPE},
        "objective": {"kind": "span_corruption", "rate": 0.3, "mean": 2},
        "optimiser": {"kind": "adamw", "lr": 2e-2},
    },
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> LocalStore:
    return LocalStore(tmp_path_factory.mktemp("pretrain") / "store")


@pytest.fixture(scope="module")
def given(store: LocalStore, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("given")
    (folder / "documents").mkdir()
    rows.write(folder / "documents", rows.table(tiny.tiny_corpus()))
    tokenizer = store.put(Tokenizer, tiny.tiny_tokenizer(folder / "tokenizer"))
    return {"tokenizer": tokenizer, "documents": [store.put(Documents, folder / "documents")]}


@pytest.mark.parametrize("kind", KINDS)
def test_every_architecture_learns_and_its_folder_opens_without_sapwood(store: LocalStore, given: Any, tmp_path: Path, kind: str) -> None:
    import torch
    import transformers as t

    fields = {
        "max_tokens": 48,
        "steps": 60,
        "batch_tokens": 512,
        "held_out": 0.2,
        "optimiser": {"kind": "adamw", "lr": 5e-3},
        **KINDS[kind],
    }
    made = Pretrain.model_validate(fields).run(make_work(store, tmp_path), **given)
    data = report.read(store.open(made.report))["data"]
    first, last = data["held_out"][0], data["held_out"][-1]
    assert last["loss"] < first["loss"]
    assert last["perplexity"] < data["baseline"].get("perplexity", 1e9), "no better than word frequencies"
    assert data["intervals"]["loss"]["low"] <= last["loss"] <= data["intervals"]["loss"]["high"]
    folder = store.open(made.model)
    tokenizer = t.AutoTokenizer.from_pretrained(folder)
    task = read_card(folder).task
    opener = {"masked-lm": t.AutoModelForMaskedLM, "causal-lm": t.AutoModelForCausalLM, "span-corruption": t.AutoModelForSeq2SeqLM}[task]
    model = opener.from_pretrained(folder)
    read = tokenizer("I looked at the kettle last week.", return_tensors="pt")
    assert len(tokenizer) == model.config.vocab_size
    assert tokenizer.model_max_length == 48
    if task == "masked-lm":
        assert torch.isfinite(model(**read).logits).all()
        return
    assert task == "span-corruption" or read["input_ids"][0, -1] != tokenizer.eos_token_id, "a prompt must not end with the end token"
    model.generation_config.max_new_tokens = 4
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id
    assert model.generate(**read).shape[1] > 1


def test_packed_tokens_teach_a_decoder_and_other_tokens_are_refused(store: LocalStore, given: Any, tmp_path: Path) -> None:
    packed = Pack(length=64, start="[CLS]").run(make_work(store, tmp_path / "pack"), **given).tokens
    assert isinstance(packed, Tokens)
    stage = Pretrain.model_validate({"architecture": {"kind": "llama", **SHAPE}, "max_tokens": 64, "steps": 30, "batch_tokens": 256, "held_out": 0.2,
                                     "optimiser": {"kind": "adamw", "lr": 5e-3}})  # fmt: skip
    made = stage.run(make_work(store, tmp_path / "work"), given["tokenizer"], None, packed)
    data = report.read(store.open(made.report))["data"]
    assert data["held_out"][-1]["bits_per_byte"] < data["baseline"]["bits_per_byte"]
    other = store.put(Tokenizer, _other(tmp_path / "other"))
    with pytest.raises(InputError, match="another tokenizer"):
        stage.run(make_work(store, tmp_path / "again"), other, None, packed)
    with pytest.raises(InputError, match="packed to 64, max_tokens is 32"):
        stage.model_copy(update={"max_tokens": 32}).run(make_work(store, tmp_path / "short"), given["tokenizer"], None, packed)
    with pytest.raises(InputError, match="got neither"):
        stage.run(make_work(store, tmp_path / "none"), given["tokenizer"])


def _other(folder: Path) -> Path:
    tiny.tiny_tokenizer(folder)
    file = folder / "tokenizer.json"
    file.write_text(file.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    return folder


def test_what_cannot_be_learned_or_built_is_told_before_anything_runs() -> None:
    for fields, told in (
        ({"architecture": {"kind": "llama"}, "objective": {"kind": "masked_lm"}}, "masked_lm is not for llama"),
        ({"architecture": {"kind": "albert"}, "objective": {"kind": "masked_lm"}}, "no head for next sentences"),
        ({"architecture": {"kind": "bert", "layers": 2, "width": 30, "heads": 4}}, "not a multiple of heads 4; set width to 32"),
        ({"size": "12 million"}, "is no size"),
    ):
        with pytest.raises(ValidationError, match=told):
            Pretrain.model_validate(fields)


def test_the_size_dial_explains_each_value_that_it_derives_and_nothing_that_was_given() -> None:
    open_ = Pretrain.model_validate({"size": "12M", "architecture": {"kind": "llama"}})
    assert [note.split(":")[0].split()[0] for note in open_.notes()[:3]] == ["size", "horizon", "learning"]
    assert open_.notes()[3].endswith("(Li et al. 2025)")
    assert "tokens a step" in open_.notes()[3]
    assert "steps: the horizon" in open_.notes()[4]
    said = {"layers": 2, "width": 64, "heads": 2}
    fixed = Pretrain.model_validate(
        {"architecture": {"kind": "bert", **said}, "steps": 5, "batch_tokens": 512, "optimiser": {"kind": "adamw", "lr": 1e-3}}
    )
    assert fixed.notes() == []
    longer = Pretrain.model_validate({"size": "12M", "architecture": {"kind": "llama"}, "minutes": 200})
    assert longer._derived().steps * longer._derived().batch_tokens > 9 * open_._derived().steps * open_._derived().batch_tokens
