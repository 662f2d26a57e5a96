"""Architectures are Hugging Face configurations: made here from a few numbers, opened and saved so that
`AutoModelForPreTraining` and `AutoModelForSequenceClassification` read every folder without Sapwood."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from sapwood.errors import InputError
from sapwood.models import additions, committee
from sapwood.models.card import Card, write_card

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja")


def bert(vocab: int, layers: int, width: int, heads: int, max_tokens: int, dropout: float = 0.1, pad: int = 0) -> Any:
    """A `BertConfig`. The inner width is 4 x `width`, as in the original."""
    from transformers import BertConfig

    if width % heads:
        raise InputError(f"width {width} is not a multiple of heads {heads}", f"set width to {heads * max(1, round(width / heads))}")
    return BertConfig(
        vocab_size=vocab,
        num_hidden_layers=layers,
        hidden_size=width,
        num_attention_heads=heads,
        intermediate_size=4 * width,
        max_position_embeddings=max_tokens,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
        pad_token_id=pad,
    )


def attention(precision: str) -> str:
    """The attention code to train with. torch 2.13's fused bf16 backward on CPU took 140 ms where plain products took 20
    (32 rows x 12 heads x 48 tokens x 32), so fused attention is for fp32 and for inference."""
    return "eager" if precision == "bf16" else "sdpa"


def pretraining_model(config: Any, seed: int, precision: str = "fp32") -> Any:
    """A fresh `BertForPreTraining` (masked-LM and next-sentence heads); its weights are f(config, seed)."""
    from transformers import BertForPreTraining

    config._attn_implementation = attention(precision)
    with seeded(seed):
        return BertForPreTraining(config)


def classifier(folder: Path, labels: Sequence[str], seed: int, precision: str = "fp32", dropout: float | None = None) -> Any:
    """The model of a folder with a classification head for `labels`; a new head is f(seed). Weights in fp32.

    Where the stored model already classifies into this many labels its head continues. Of an ensemble, all members.
    """
    return committee.opened(folder, lambda one: _classifier(one, labels, seed, precision, dropout))


def _classifier(folder: Path, labels: Sequence[str], seed: int, precision: str, dropout: float | None) -> Any:
    from transformers import AutoConfig, AutoModelForSequenceClassification

    config = AutoConfig.from_pretrained(folder)
    config.num_labels = len(labels)
    config.id2label = dict(enumerate(labels))
    config.label2id = {label: i for i, label in enumerate(labels)}
    config.problem_type = "single_label_classification"
    if dropout is not None:
        config.hidden_dropout_prob = config.attention_probs_dropout_prob = dropout
    options = {"config": config, "dtype": torch.float32, "attn_implementation": attention(precision)}
    with seeded(seed), quiet():
        return additions.opened(folder, AutoModelForSequenceClassification.from_pretrained(folder, **options))


def model_type(folder: Path) -> str:
    """transformers' name of the architecture of a model that is to be trained; `InputError` where it is none that can be."""
    from transformers import AutoConfig

    committee.refuse_training(folder)
    additions.refuse_training(folder)
    return str(AutoConfig.from_pretrained(folder).model_type)


def save_model(folder: Path, model: Any, tokenizer_folder: Path, card: Card) -> None:
    """Write the Hugging Face files, the tokenizer's files and the card, and what hangs on the model beside them. Weights are stored in
    fp32. The model loses its addition."""
    model.config.name_or_path = ""
    beside = additions.detach(model)
    with quiet():
        model.float().save_pretrained(folder)
    if beside is not None:
        additions.save(folder, beside)
    for name in TOKENIZER_FILES:
        if folder != tokenizer_folder and (tokenizer_folder / name).is_file():
            shutil.copyfile(tokenizer_folder / name, folder / name)
    write_card(folder, card)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Torch's generator starts from `seed` inside and is put back after."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers' notices about new heads and its bars off the screen: Sapwood says it in its report."""
    from transformers.utils import logging as hf

    level, bars = hf.get_verbosity(), hf.is_progress_bar_enabled()
    hf.set_verbosity(logging.ERROR)
    hf.disable_progress_bar()
    try:
        yield
    finally:
        hf.set_verbosity(level)
        if bars:
            hf.enable_progress_bar()
