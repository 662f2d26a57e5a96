"""Folders from outside come in as data; whatever could run code is refused by name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from sapwood.errors import InputError
from sapwood.models import foreign
from sapwood.testing import tiny


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return tiny.tiny_model(tmp_path / "source")


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "target").mkdir()
    return tmp_path / "target"


def test_a_classifier_comes_in_with_its_labels(source: Path, target: Path) -> None:
    from transformers import AutoModelForSequenceClassification

    taken = foreign.take_in(source, target)
    assert (taken.task, taken.labels, taken.max_tokens) == ("classification", ("negative", "positive"), 64)
    assert sorted(p.name for p in target.iterdir()) == ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]
    model = AutoModelForSequenceClassification.from_pretrained(target)
    assert foreign.parameters(target) == sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "modeling_evil.py", "weights.pkl"])
def test_code_and_pickles_are_refused_by_name(source: Path, target: Path, name: str) -> None:
    (source / name).write_bytes(b"")
    with pytest.raises(InputError, match=name):
        foreign.take_in(source, target)
    assert not list(target.iterdir())


def test_auto_map_is_refused(source: Path, target: Path) -> None:
    config = json.loads((source / "config.json").read_text())
    (source / "config.json").write_text(json.dumps(config | {"auto_map": {"AutoModel": "evil.Model"}}))
    with pytest.raises(InputError, match="auto_map"):
        foreign.take_in(source, target)


def test_half_precision_and_shards_become_one_fp32_file(source: Path, target: Path) -> None:
    whole = load_file(source / "model.safetensors")
    (source / "model.safetensors").unlink()
    names = sorted(whole)
    for i, part in enumerate((names[::2], names[1::2])):
        save_file({n: whole[n].bfloat16() for n in part}, source / f"model-{i + 1:05}-of-00002.safetensors", metadata={"format": "pt"})
    foreign.take_in(source, target)
    joined = load_file(target / "model.safetensors")
    assert sorted(joined) == names
    assert {t.dtype for t in joined.values()} == {torch.float32}
    assert all(torch.equal(joined[n], whole[n].bfloat16().float()) for n in names)


@pytest.mark.parametrize("file", ["config.json", "model.safetensors"])
def test_damaged_files_are_input_errors(source: Path, target: Path, file: str) -> None:
    (source / file).write_bytes(b"\x00\x01 not it")
    with pytest.raises(InputError):
        foreign.take_in(source, target)


def test_an_unknown_architecture_is_an_input_error(source: Path, target: Path) -> None:
    (source / "config.json").write_text('{"model_type": "unheard-of"}')
    with pytest.raises(InputError, match="does not know this architecture"):
        foreign.take_in(source, target)


def test_a_folder_that_is_not_there_is_told_before_running(tmp_path: Path) -> None:
    assert foreign.refusals(tmp_path / "nowhere") == [f"{tmp_path / 'nowhere'}: there is no such folder"]


@pytest.mark.parametrize(
    ("name", "task"),
    [
        ("LlamaForCausalLM", "causal-lm"),
        ("GPT2LMHeadModel", "causal-lm"),
        ("T5ForConditionalGeneration", "span-corruption"),
        ("BertForPreTraining", "masked-lm"),
        ("BertModel", "encoder"),
    ],
)
def test_what_a_folder_answers_is_told_by_the_name_of_its_class(name: str, task: str) -> None:
    from transformers import BertConfig

    assert foreign._task(BertConfig(architectures=[name])) == task
