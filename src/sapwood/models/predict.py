"""Class probabilities from a model folder. Results come in the order of the input and do not depend on how it was batched
(up to 1e-5 in fp32). `measure_precision` says which arithmetic this CPU is fast in."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer

from sapwood.errors import InputError
from sapwood.models import additions, committee, placing, texts
from sapwood.models.card import Card, read_card

Advance = Callable[[float], None] | None
Probabilities = NDArray[np.float32]
TOKENS_PER_BATCH = 4096


@dataclass(frozen=True)
class Classifier:
    """A model ready to answer, with its tokenizer and card."""

    model: Any
    tokenizer: Tokenizer
    card: Card
    precision: str

    @property
    def labels(self) -> tuple[str, ...]:
        return self.card.labels

    def predict(self, inputs: Sequence[str], advance: Advance = None) -> Probabilities:
        """(n, labels) float32 probabilities; `advance(rows)` is called as batches end."""
        ids = texts.encode(self.tokenizer, inputs, self.card.prefix, self.card.max_tokens)
        return probabilities(self.model, ids, texts.pad_id(self.tokenizer), autocast=False, advance=advance)


def load_classifier(folder: Path, precision: str = "fp32", threads: int = 0) -> Classifier:
    """Open a classification model for inference. `precision` fp32 or bf16 (weights too); `threads` 0 takes every core."""
    from transformers import AutoModelForSequenceClassification

    from sapwood.models.architectures import quiet

    card = read_card(folder)
    if card.task != "classification":
        raise InputError(f"{card.name} is a model for {card.task}, not for classification", "fine-tune it first: stage finetune")
    use_threads(threads)
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    with quiet():
        model = committee.opened(
            folder, lambda one: additions.opened(one, AutoModelForSequenceClassification.from_pretrained(one, dtype=dtype))
        ).eval()
    return Classifier(model, texts.load_tokenizer(folder), card, precision)


@torch.inference_mode()
def probabilities(model: Any, ids: Sequence[texts.Ids], fill: int, autocast: bool, advance: Advance = None) -> Probabilities:
    """(n, labels) float32. Rows of like length are batched together. The model is used in the mode it is in."""
    found: list[tuple[texts.Ids, NDArray[np.float32]]] = []
    for part in texts.batches([len(row) for row in ids], TOKENS_PER_BATCH):
        tokens, mask = texts.pad([ids[i] for i in part], fill, multiple=8)
        read, seen = placing.given(model, tokens, mask)
        with placing.arithmetic(model, "bf16" if autocast else "fp32"):
            logits = model(input_ids=read, attention_mask=seen).logits
        found.append((part, logits.float().softmax(-1).cpu().numpy()))
        if advance:
            advance(len(part))
    answer = np.zeros((len(ids), model.config.num_labels), dtype=np.float32)
    for part, rows in found:
        answer[part] = rows
    return answer


def use_threads(threads: int) -> None:
    """Let torch use that many threads; 0 every core that this process may run on."""
    import os

    torch.set_num_threads(threads or len(os.sched_getaffinity(0)))


def resolve(precision: str) -> Literal["bf16", "fp32"]:
    """`auto` is measured; anything else was resolved in `plan` and is taken as it is."""
    return measure_precision() if precision == "auto" else "bf16" if precision == "bf16" else "fp32"


@cache
def measure_precision() -> Literal["bf16", "fp32"]:
    """bf16 where a 512 x 1024 x 1024 product is at least 1.5 times as fast in it; about 0.1 s, measured once a process."""
    return "bf16" if product_seconds(torch.float32) >= 1.5 * product_seconds(torch.bfloat16) else "fp32"


def product_seconds(dtype: torch.dtype) -> float:
    """Seconds of a (512 x 1024) (1024 x 1024) product: the shortest of five, after one to warm up."""
    left, right = torch.ones(512, 1024, dtype=dtype), torch.ones(1024, 1024, dtype=dtype)
    best = float("inf")
    for _ in range(6):
        start = time.perf_counter()
        torch.mm(left, right)
        best = min(best, time.perf_counter() - start)
    return best
