"""From a shape to a Hugging Face model with random weights, and to the tokenizer that goes with its family.

Folders open with plain `AutoModelForMaskedLM`, `AutoModelForCausalLM` and `AutoModelForSeq2SeqLM`, and their tokenizers with
`AutoTokenizer`. A decoder's tokenizer puts no end token after a prompt, and a model without token types gives none.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from tokenizers import Tokenizer, processors

from sapwood.errors import InputError
from sapwood.models.architectures import attention, seeded
from sapwood.models.architectures import bert as bert_config
from sapwood.models.fresh.shapes import T5, Albert, Bert, Gpt2, Llama, Shape
from sapwood.models.texts import PAD_NAMES

STARTS = ("[CLS]", "<s>", "<bos>", "<|startoftext|>")
ENDS = ("<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>", "[SEP]")
MASKS = ("[MASK]", "<mask>")
SENTINELS = 100
DROPOUTS = (
    "hidden_dropout_prob", "attention_probs_dropout_prob", "attention_dropout", "resid_pdrop", "embd_pdrop", "attn_pdrop", "dropout_rate",
)  # fmt: skip
"""Names that configurations have for dropout."""
HEADED = ("ForPreTraining", "ForMaskedLM", "ForCausalLM", "LMHeadModel", "ForConditionalGeneration")
"""Ends of the names of classes that have a head for words."""


class Marks(NamedTuple):
    """Ids of special tokens, None where the tokenizer has none of that kind, and the size of the vocabulary."""

    start: int | None
    end: int | None
    mask: int | None
    pad: int
    vocab: int


def marks(tokenizer: Tokenizer) -> Marks:
    """The special tokens of a tokenizer, by the usual names."""

    def number(names: tuple[str, ...]) -> int | None:
        return next((found for name in names if (found := tokenizer.token_to_id(name)) is not None), None)

    end = number(("[SEP]", "</s>")) if number(("[CLS]", "<s>")) is not None else number(ENDS)
    vocab = max(tokenizer.get_vocab(with_added_tokens=True).values()) + 1
    return Marks(number(STARTS), end, number(MASKS), number(PAD_NAMES) or 0, vocab)


def config(shape: Shape, found: Marks, max_tokens: int, dropout: float) -> Any:
    """The configuration. `InputError` where the shape cannot be built or the tokenizer lacks an end."""
    from transformers import AlbertConfig, GPT2Config, LlamaConfig, T5Config

    if found.end is None:
        raise InputError("the tokenizer has no end token ([SEP], </s> or <|endoftext|>)", "make one with the tokenize stage")
    n, w, h = shape.layers, shape.width, shape.heads
    ends = {"bos_token_id": found.start, "eos_token_id": found.end, "pad_token_id": found.pad, "vocab_size": found.vocab}
    match shape:
        case Bert():
            return bert_config(found.vocab, n, w, h, max_tokens, dropout, found.pad)
        case Albert():
            return AlbertConfig(
                **ends, embedding_size=shape.embedding, hidden_size=w, num_hidden_layers=n, num_attention_heads=h, intermediate_size=4 * w,
                max_position_embeddings=max_tokens, hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout,
                classifier_dropout_prob=dropout,
            )  # fmt: skip
        case Llama():
            return LlamaConfig(
                **ends, hidden_size=w, num_hidden_layers=n, num_attention_heads=h, num_key_value_heads=shape.key_heads or h,
                intermediate_size=32 * round(8 * w / 96) or 32, max_position_embeddings=max_tokens, attention_dropout=dropout,
                tie_word_embeddings=True,
            )  # fmt: skip
        case Gpt2():
            return GPT2Config(
                **ends, n_embd=w, n_layer=n, n_head=h, n_positions=max_tokens, resid_pdrop=dropout, embd_pdrop=dropout, attn_pdrop=dropout
            )
        case T5():
            return T5Config(
                **ends, d_model=w, d_kv=w // h, d_ff=4 * w, num_layers=n, num_heads=h, dropout_rate=dropout, n_positions=max_tokens,
                decoder_start_token_id=found.pad,
            )  # fmt: skip


def model(made: Any, pair: bool, seed: int, precision: str) -> Any:
    """A fresh model; its weights are f(config, seed). `pair` gives encoders the head for two sentences beside that for words."""
    import transformers as t

    classes = {
        "bert": t.BertForPreTraining if pair else t.BertForMaskedLM,
        "albert": t.AlbertForPreTraining if pair else t.AlbertForMaskedLM,
        "llama": t.LlamaForCausalLM, "gpt2": t.GPT2LMHeadModel, "t5": t.T5ForConditionalGeneration,
    }  # fmt: skip
    made._attn_implementation, made.use_cache = attention(precision), False
    with seeded(seed):
        return classes[made.model_type](made)


def opened(folder: Path, task: str, precision: str, seed: int, dropout: float | None) -> tuple[Any, bool]:
    """(the model of a folder with its head for words, whether that head is new). A new head is f(seed). `dropout` None leaves its own.

    Models with a second pre-training head keep it. `InputError` for an architecture without a class for the task.
    """
    import torch
    import transformers as t

    from sapwood.models.architectures import model_type, quiet

    model_type(folder)  # refuses what cannot be trained further
    auto = {"causal-lm": t.AutoModelForCausalLM, "span-corruption": t.AutoModelForSeq2SeqLM}.get(task, t.AutoModelForMaskedLM)
    made = t.AutoConfig.from_pretrained(folder, local_files_only=True)
    stored = (getattr(made, "architectures", None) or [""])[0]
    if dropout is not None:
        for name in DROPOUTS:
            if hasattr(made, name):
                setattr(made, name, dropout)
    made.use_cache = False
    options = {"config": made, "dtype": torch.float32, "attn_implementation": attention(precision), "local_files_only": True}
    chosen = getattr(t, stored) if stored.endswith("ForPreTraining") else auto
    try:
        with seeded(seed), quiet():
            return chosen.from_pretrained(folder, **options), not stored.endswith(HEADED)
    except ValueError as fault:
        raise InputError(f"{made.model_type} has no form for {task} ({str(fault).splitlines()[0]})", "choose another base") from None


def tokenizer(source: Path, folder: Path, family: str, max_tokens: int, begins: bool = True) -> Path:
    """Write the tokenizer of `source` into `folder` as that family reads: longest input, special tokens, and for encoder-decoders the
    sentinels `<extra_id_0>` and on, which are added after the last id where there are none. `begins`: a decoder's texts begin with the
    start token. Returns `folder`."""
    words = Tokenizer.from_file(str(source / "tokenizer.json"))
    stated = source / "tokenizer_config.json"
    body = json.loads(stated.read_text(encoding="utf-8")) if stated.is_file() else {"tokenizer_class": "PreTrainedTokenizerFast"}
    if family == "t5" and words.token_to_id("<extra_id_0>") is None:
        words.add_special_tokens([f"<extra_id_{number}>" for number in range(SENTINELS)])
    found = marks(words)
    if family not in ("bert", "albert"):
        ends = {"bos_token": found.start, "eos_token": found.end, "pad_token": found.pad}
        body |= {name: words.id_to_token(number) for name, number in ends.items() if number is not None}
        body["model_input_names"] = ["input_ids", "attention_mask"]
    if family in ("llama", "gpt2"):
        first = words.id_to_token(found.start) if begins and found.start is not None else None
        one, two = ("$A", "$A $B") if first is None else (f"{first} $A", f"{first} $A $B")
        words.post_processor = processors.TemplateProcessing(one, two, [] if first is None else [(first, found.start)])
        body["padding_side"] = "left"
    body["model_max_length"] = max_tokens
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").write_text(words.to_str(pretty=True) + "\n", encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps(body, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return folder
