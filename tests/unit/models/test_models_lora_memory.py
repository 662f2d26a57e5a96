"""LoRA keeps one copy of what stays frozen, and merges, exports and reloads with equal logits; packed attention equals the plain one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from sapwood.errors import InputError
from sapwood.models import apart, architectures
from sapwood.models.card import Card
from sapwood.models.methods.full import Full
from sapwood.models.methods.lora import Lora
from sapwood.testing import tiny

settings.register_profile("lora", deadline=None, max_examples=10)
settings.load_profile("lora")
IDS = torch.arange(5, 37).reshape(2, 16)


def llama() -> torch.nn.Module:
    from transformers import LlamaConfig, LlamaForCausalLM

    sizes = {"vocab_size": 90, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
    config = LlamaConfig(**sizes, num_attention_heads=4, num_key_value_heads=2, tie_word_embeddings=True)
    config._attn_implementation = "eager"
    with architectures.seeded(1):
        return LlamaForCausalLM(config)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A decoder in a folder with a tokenizer."""
    tiny.tiny_tokenizer(tmp_path / "base")
    architectures.save_model(tmp_path / "base", llama(), tmp_path / "base", Card(name="base", task="causal-lm"))
    return tmp_path / "base"


def opened(folder: Path) -> torch.nn.Module:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")


def adapted(folder: Path, precision: str = "bf16") -> torch.nn.Module:
    """With additions that are not nothing."""
    model = Lora(r=4, targets="all").apply(opened(folder), precision, 3)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "lora_B" in name:
                p.fill_(0.02)
    return model


def test_merged_exported_and_reloaded_it_answers_as_it_was_trained(folder: Path, tmp_path: Path) -> None:
    model = adapted(folder, "fp32").eval()
    before = model(input_ids=IDS).logits
    assert not torch.allclose(before, opened(folder)(input_ids=IDS).logits, atol=1e-3)
    architectures.save_model(tmp_path / "out", Lora().finish(model), folder, Card(name="tuned", task="chat"))
    assert torch.allclose(opened(tmp_path / "out")(input_ids=IDS).logits, before, atol=1e-5)


def test_frozen_weights_are_in_memory_once_and_come_back_from_the_folder_exactly(folder: Path) -> None:
    model = adapted(folder)
    frozen = [p for p in model.parameters() if not p.requires_grad]
    assert {p.dtype for p in frozen} == {torch.bfloat16}
    aside = [kept for module in model.modules() for kept in module.__dict__.get("sapwood_fp32", {}).values()]
    assert len(aside) == len(frozen)
    assert all(isinstance(kept, str) for kept in aside)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "lora_B" in name:
                p.zero_()
    back, stored = Lora().finish(model).state_dict(), load_file(folder / "model.safetensors")
    assert all(torch.equal(back[name], tensor) for name, tensor in stored.items())


def test_weights_that_no_folder_holds_are_kept_aside() -> None:
    start = llama()
    wanted = {name: tensor.clone() for name, tensor in start.state_dict().items()}
    model = Lora(r=4).apply(start, "bf16", 3)
    back = Lora().finish(model).state_dict()
    assert all(torch.equal(back[name], tensor) for name, tensor in wanted.items())


def test_a_base_model_that_changed_meanwhile_is_said(folder: Path) -> None:
    model = adapted(folder)
    stored = load_file(folder / "model.safetensors")
    save_file({name: tensor + 1 for name, tensor in stored.items()}, folder / "model.safetensors")
    with pytest.raises(InputError, match="have changed since training began"):
        Lora().finish(model)


@given(st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=5), min_size=1, max_size=3), st.integers(2, 300), st.integers(0, 9))
def test_packed_rows_are_answered_text_by_text(rows: list[list[int]], queries: int, seed: int) -> None:
    width = max(sum(row) for row in rows)
    rows = [[*row, *([width - sum(row)] if sum(row) < width else [])] for row in rows]
    ids = torch.randint(5, 90, (len(rows), width), generator=torch.Generator().manual_seed(seed))
    places = torch.stack([torch.cat([torch.arange(length) for length in row]) for row in rows])
    plain, ours = llama(), apart.install(llama())
    assert ours.config._attn_implementation == apart.NAME
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(apart, "QUERIES", queries % 7 + 1)
        got = ours(input_ids=ids, position_ids=places, use_cache=False).logits
    assert torch.allclose(got, plain(input_ids=ids, position_ids=places, use_cache=False).logits, atol=1e-5)
    alone = [torch.cat([plain(input_ids=part[None]).logits[0] for part in line.split(row)]) for line, row in zip(ids, rows, strict=True)]
    assert torch.allclose(got, torch.stack(alone), atol=1e-5)


@pytest.mark.parametrize("method", [Lora(r=4, dropout=0.3, recompute=True), Full(recompute=True)], ids=["lora", "full"])
def test_layers_made_again_on_the_way_back_give_the_same_gradient(method: Lora | Full) -> None:
    places = torch.cat([torch.arange(7), torch.arange(9)]).expand(2, -1)
    found = []
    for one in (method, method.model_copy(update={"recompute": False})):
        model = one.apply(llama(), "fp32", 3).train()
        with architectures.seeded(8):
            model(input_ids=IDS, position_ids=places, use_cache=False).logits.square().mean().backward()
        inner = [module for module in model.modules() if hasattr(module, "gradient_checkpointing")]
        assert any(module.gradient_checkpointing for module in inner) == one.recompute
        found.append({name: p.grad for name, p in model.named_parameters() if p.grad is not None})
        assert not any(getattr(module, "gradient_checkpointing", False) for module in one.finish(model).modules())
    assert found[0].keys() == found[1].keys()
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])


def test_padding_masks_and_caches_are_read_as_transformers_reads_them() -> None:
    plain, ours = llama().eval(), apart.install(llama().eval())
    mask = torch.ones_like(IDS)
    mask[0, :5] = 0
    assert torch.allclose(
        ours(input_ids=IDS, attention_mask=mask).logits[mask.bool()],
        plain(input_ids=IDS, attention_mask=mask).logits[mask.bool()],
        atol=1e-5,
    )
    seen = torch.ones(2, 1, 16, 16, dtype=torch.bool).tril()
    assert torch.allclose(ours(input_ids=IDS, attention_mask=seen).logits, plain(input_ids=IDS).logits, atol=1e-5)
    settings_ = {"max_new_tokens": 6, "do_sample": False, "pad_token_id": 0, "eos_token_id": None}
    assert torch.equal(ours.generate(input_ids=IDS, **settings_), plain.generate(input_ids=IDS, **settings_))
