"""Read a small Llama out of a GGUF file (llama.cpp's format) into a plain Hugging Face folder, weights in fp32.

The file holds sizes, a byte-level BPE vocabulary with merges, a chat template, and tensors in blocks of few bits; the package `gguf` reads
and widens them. Two things are told differently there: queries and keys have their rows in the order of llama.cpp's rotation, and the way
that text is cut before BPE is only named (`smollm`), so its rule is here.
It does not read other architectures or other tokenizers, and does not undo what 4 bits lost.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sapwood.errors import InputError, MissingExtra

FILE = "smollm2.gguf"
NAME = "SmolLM2-135M-Instruct"
LICENCE = "Apache-2.0"
PARTS = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
}
SINGLE = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight"}
CONTROL = 3
"""Type of a token that stands for itself in text, such as <|im_start|>."""

Tensors = dict[str, NDArray[np.float32]]


class Shape(NamedTuple):
    """Sizes of the decoder."""

    vocabulary: int
    width: int
    layers: int
    heads: int
    pairs: int
    inner: int
    positions: int


def convert(source: Path, folder: Path) -> Shape:
    """Write config, weights and tokenizer of the GGUF file `source` into `folder`; plain transformers opens it.

    Raises `InputError` (damaged, or another architecture) and `MissingExtra`.
    """
    from safetensors.numpy import save_file

    try:
        from gguf import GGUFReader
    except ImportError:
        raise MissingExtra("gguf", "gguf", "reading SmolLM2's 4-bit file") from None
    try:
        reader = GGUFReader(source)
        told = {name: field.contents() for name, field in reader.fields.items()}
        shape = _shape(told)
        weights = _weights(reader.tensors, shape)
        words = _tokenizer(told)
    except OSError as fault:
        raise InputError(f"{source}: cannot be read ({fault.strerror})", "sapwood samples fetch smollm2") from None
    except (ValueError, KeyError, IndexError, TypeError, struct.error, OverflowError) as fault:
        raise InputError(f"{source}: not a whole GGUF file of SmolLM2: {fault}", "fetch it again: sapwood samples fetch smollm2") from None
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    words.save(str(folder / "tokenizer.json"), pretty=False)
    for name, body in (("config.json", _config(told, shape)), ("tokenizer_config.json", _described(told, shape))):
        (folder / name).write_text(json.dumps(body, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
    return shape


def _shape(told: dict[str, Any]) -> Shape:
    if told["general.architecture"] != "llama" or told["tokenizer.ggml.model"] != "gpt2" or told["tokenizer.ggml.pre"] != "smollm":
        raise ValueError(f"it holds {told['general.architecture']} with tokenizer {told['tokenizer.ggml.pre']}")
    names = ("vocab_size", "embedding_length", "block_count", "attention.head_count", "attention.head_count_kv")
    return Shape(*(int(told[f"llama.{name}"]) for name in (*names, "feed_forward_length", "context_length")))


def _weights(tensors: Any, shape: Shape) -> Tensors:
    """Every tensor under its Hugging Face name."""
    from gguf import quants

    found: Tensors = {}
    for tensor in tensors:
        values = np.ascontiguousarray(quants.dequantize(tensor.data, tensor.tensor_type), dtype=np.float32)
        if not np.isfinite(values).all():
            raise ValueError(f"tensor {tensor.name} holds numbers that are not finite")
        values = values.reshape([int(size) for size in reversed(tensor.shape)])
        if tensor.name in SINGLE:
            found[SINGLE[tensor.name]] = values
            continue
        _, layer, part, _ = tensor.name.split(".")
        heads = {"attn_q": shape.heads, "attn_k": shape.pairs}.get(part)
        found[f"model.layers.{int(layer)}.{PARTS[part]}.weight"] = values if heads is None else _halves(values, heads)
    if len(found) != (expected := 2 + 9 * shape.layers):
        raise ValueError(f"{len(found)} tensors instead of {expected}")
    return found


def _halves(rows: NDArray[np.float32], heads: int) -> NDArray[np.float32]:
    """Rows of a head that llama.cpp keeps in pairs (0, h/2, 1, h/2 + 1, ...) in the order that rotating halves wants (0, 1, ...)."""
    paired = rows.reshape(heads, -1, 2, rows.shape[1])
    return np.ascontiguousarray(paired.swapaxes(1, 2).reshape(rows.shape))


def _tokenizer(told: dict[str, Any]) -> Any:
    """A `tokenizers.Tokenizer`: digits one by one, then byte-level BPE."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    words, kinds = told["tokenizer.ggml.tokens"], told["tokenizer.ggml.token_type"]
    merges = [tuple(merge.split(" ")) for merge in told["tokenizer.ggml.merges"]]
    made = Tokenizer(models.BPE({word: i for i, word in enumerate(words)}, merges))
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)]
    )
    made.decoder = decoders.ByteLevel()
    special = [AddedToken(word, normalized=False, special=True) for word, kind in zip(words, kinds, strict=True) if kind == CONTROL]
    made.add_special_tokens(special)
    return made


def _config(told: dict[str, Any], shape: Shape) -> dict[str, Any]:
    """`config.json` of a plain `LlamaForCausalLM` whose head is its embedding."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": shape.vocabulary,
        "hidden_size": shape.width,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.pairs,
        "intermediate_size": shape.inner,
        "max_position_embeddings": shape.positions,
        "rms_norm_eps": round(float(told["llama.attention.layer_norm_rms_epsilon"]), 8),
        "rope_theta": float(told["llama.rope.freq_base"]),
        "hidden_act": "silu",
        "tie_word_embeddings": True,
        "bos_token_id": int(told["tokenizer.ggml.bos_token_id"]),
        "eos_token_id": int(told["tokenizer.ggml.eos_token_id"]),
        "pad_token_id": int(told["tokenizer.ggml.padding_token_id"]),
        "dtype": "float32",
    }


def _described(told: dict[str, Any], shape: Shape) -> dict[str, Any]:
    """`tokenizer_config.json`, with the chat template."""
    words = told["tokenizer.ggml.tokens"]
    ids = {"bos_token": "bos", "eos_token": "eos", "unk_token": "unknown", "pad_token": "padding"}
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": shape.positions,
        "clean_up_tokenization_spaces": False,
        "chat_template": told["tokenizer.chat_template"],
        "model_input_names": ["input_ids", "attention_mask"],
        **{name: words[int(told[f"tokenizer.ggml.{key}_token_id"])] for name, key in ids.items()},
    }
