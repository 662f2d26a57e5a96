"""A GGUF file of our own making goes in; a Hugging Face folder that plain transformers opens comes out."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from sapwood.errors import InputError, MissingExtra
from sapwood.models import architectures, gguf

WORDS = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    *(chr(c) for c in range(ord("a"), ord("z") + 1)),
    "Ġ",
    "1",
    "2",
    "an",
    "Ġc",
    "can",
    "ä",
    "½",
    "ł",
]
MERGES = ["a n", "Ġ c"]


def llama() -> torch.nn.Module:
    from transformers import LlamaConfig, LlamaForCausalLM

    sizes = {"vocab_size": len(WORDS), "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "max_position_embeddings": 64}
    rope = {"rope_type": "default", "rope_theta": 100000.0}
    with architectures.seeded(4):
        return LlamaForCausalLM(
            LlamaConfig(
                **sizes, num_attention_heads=4, num_key_value_heads=2, tie_word_embeddings=True, rms_norm_eps=1e-5, rope_parameters=rope
            )
        ).eval()


def pairs(rows: np.ndarray, heads: int) -> np.ndarray:
    """Rows as llama.cpp's converter puts them."""
    return rows.reshape(heads, 2, -1, rows.shape[1]).swapaxes(1, 2).reshape(rows.shape)


def written(path: Path, model: torch.nn.Module, tokenizer: str = "smollm") -> Path:
    from gguf import GGMLQuantizationType, GGUFWriter, quants

    out = GGUFWriter(path, "llama")
    out.add_vocab_size(len(WORDS))
    out.add_embedding_length(32)
    out.add_block_count(2)
    out.add_head_count(4)
    out.add_head_count_kv(2)
    out.add_feed_forward_length(64)
    out.add_context_length(64)
    out.add_layer_norm_rms_eps(1e-5)
    out.add_rope_freq_base(100000.0)
    out.add_tokenizer_model("gpt2")
    out.add_tokenizer_pre(tokenizer)
    out.add_token_list(WORDS)
    out.add_token_types([3, 3, 3, *[1] * (len(WORDS) - 3)])
    out.add_token_merges(MERGES)
    out.add_bos_token_id(1)
    out.add_eos_token_id(2)
    out.add_unk_token_id(0)
    out.add_pad_token_id(2)
    out.add_chat_template("{% for m in messages %}<|im_start|>{{ m.content }}<|im_end|>{% endfor %}")
    back = {ours: theirs for theirs, ours in gguf.PARTS.items()} | {ours: theirs for theirs, ours in gguf.SINGLE.items()}
    for name, tensor in model.state_dict().items():
        if name == "lm_head.weight":
            continue
        values = tensor.numpy()
        own = back.get(name) or f"blk.{name.split('.')[2]}.{back['.'.join(name.split('.')[3:-1])]}.weight"
        heads = {"attn_q": 4, "attn_k": 2}.get(own.split(".")[2] if own.startswith("blk") else "")
        values = values if heads is None else pairs(values, heads)
        if "ffn" in own and values.ndim == 2:
            out.add_tensor(own, quants.quantize(values, GGMLQuantizationType.Q8_0), raw_dtype=GGMLQuantizationType.Q8_0)
        else:
            out.add_tensor(own, values)
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()
    return path


def test_a_file_becomes_a_folder_whose_logits_are_the_models(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = llama()
    (tmp_path / "out").mkdir()
    shape = gguf.convert(written(tmp_path / "m.gguf", model), tmp_path / "out")
    assert (shape.vocabulary, shape.layers, shape.positions) == (len(WORDS), 2, 64)
    got = AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype=torch.float32).eval()
    ids = torch.arange(3, 23)[None]
    with torch.no_grad():
        assert torch.allclose(got(input_ids=ids).logits, model(input_ids=ids).logits, atol=3e-2)  # the inner matrices went through 8 bits
    own, theirs = got.state_dict(), model.state_dict()
    assert torch.equal(own["model.layers.1.self_attn.k_proj.weight"], theirs["model.layers.1.self_attn.k_proj.weight"])
    assert got.lm_head.weight is got.model.embed_tokens.weight
    words = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert words.convert_ids_to_tokens(words("a can 12<|im_end|>").input_ids) == ["a", "Ġc", "an", "Ġ", "1", "2", "<|im_end|>"]
    assert words.convert_ids_to_tokens(words("你").input_ids) == ["ä", "½", "ł"]
    assert words.decode(words("a can 12你").input_ids) == "a can 12你"
    assert words.apply_chat_template([{"role": "user", "content": "a"}], tokenize=False) == "<|im_start|>a<|im_end|>"


def test_damage_and_other_models_are_told(tmp_path: Path) -> None:
    whole = written(tmp_path / "m.gguf", llama()).read_bytes()
    for name, body in (("cut", whole[: len(whole) // 2]), ("text", b"not a model"), ("head", whole[:40])):
        (tmp_path / name).write_bytes(body)
        with pytest.raises(InputError, match="not a whole GGUF file"):
            gguf.convert(tmp_path / name, tmp_path)
    with pytest.raises(InputError, match="tokenizer qwen2"):
        gguf.convert(written(tmp_path / "q.gguf", llama(), "qwen2"), tmp_path)
    with pytest.raises(InputError, match="cannot be read"):
        gguf.convert(tmp_path / "nowhere.gguf", tmp_path)


def test_without_the_package_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(MissingExtra) as told:
        gguf.convert(tmp_path / "m.gguf", tmp_path)
    assert "sapwood[gguf]" in told.value.next_step


@pytest.mark.soak
def test_smollm2_from_the_sample_answers_a_question(tmp_path: Path) -> None:
    """97 MB are fetched, and greedy decoding answers in a sentence."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from sapwood.models.card import read_card
    from sapwood.stages.base import Base
    from sapwood.store.local import LocalStore
    from sapwood.testing.stages import make_work

    store = LocalStore(tmp_path / "store")
    folder = store.open(Base(sample="smollm2").run(make_work(store, tmp_path / "work")).model)
    assert read_card(folder).task == "causal-lm"
    words, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    asked = [{"role": "user", "content": "What is the capital of France?"}]
    inputs = words.apply_chat_template(asked, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    told = model.generate(**inputs, max_new_tokens=24, do_sample=False)[0, inputs["input_ids"].shape[1] :]
    assert words.decode(told, skip_special_tokens=True) == "The capital of France is Paris."
