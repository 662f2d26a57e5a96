"""Models with a head: opened for training, and asked in batches.

The head is the one that transformers has for the architecture, so the stored folder opens with its own Auto class. Encoders and
decoders alike: a decoder's text is judged by its last token, its tokens and spans by what stands before them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import torch

from sapwood.errors import InputError
from sapwood.models import additions, placing, texts
from sapwood.models.architectures import attention, quiet, seeded
from sapwood.models.tasks.task import Advance, Setting
from sapwood.models.texts import Ids

Head = Literal["text", "tokens", "span"]
AUTO = {
    "text": "AutoModelForSequenceClassification",
    "tokens": "AutoModelForTokenClassification",
    "span": "AutoModelForQuestionAnswering",
}
TOKENS_PER_BATCH = 4096


def opened(folder: Path, head: Head, labels: Sequence[str], setting: Setting, problem: str = "") -> Any:
    """The model of a folder with that head for `labels`; a new head is f(seed), one that fits continues. Weights in fp32.

    `problem` is transformers' own name of what a text head answers. `InputError` for an architecture without such a head.
    """
    import transformers

    config = transformers.AutoConfig.from_pretrained(folder)
    if labels:
        config.num_labels = len(labels)
        config.id2label = dict(enumerate(labels))
        config.label2id = {label: i for i, label in enumerate(labels)}
    if problem:
        config.problem_type = problem
    if getattr(config, "pad_token_id", None) is None:
        config.pad_token_id = texts.pad_id(texts.load_tokenizer(folder))
    if setting.dropout is not None:
        for name in ("hidden_dropout_prob", "attention_probs_dropout_prob"):
            if hasattr(config, name):
                setattr(config, name, setting.dropout)
    options = {"config": config, "dtype": torch.float32, "attn_implementation": attention(setting.precision)}
    try:
        with seeded(setting.seed), quiet():
            return additions.opened(folder, getattr(transformers, AUTO[head]).from_pretrained(folder, **options))
    except ValueError as fault:
        if "Unrecognized configuration class" not in str(fault):
            raise
        raise InputError(
            f"transformers has no {AUTO[head].removeprefix('AutoModelFor')} head for {config.model_type}",
            "start from a model of another architecture, such as bert or llama",
        ) from None


@torch.inference_mode()
def asked(model: Any, ids: Sequence[Ids], fill: int, precision: str, advance: Advance = None) -> Iterator[tuple[Ids, Any]]:
    """(rows, the model's output on them), rows of like length together. The model is used in the mode it is in."""
    for part in texts.batches([len(row) for row in ids], TOKENS_PER_BATCH):
        tokens, mask = texts.pad([ids[i] for i in part], fill, multiple=8)
        read, seen = placing.given(model, tokens, mask)
        with placing.arithmetic(model, precision):
            answered = model(input_ids=read, attention_mask=seen)
        yield part, answered
        if advance:
            advance(len(part))


def text_logits(model: Any, ids: Sequence[Ids], fill: int, precision: str, advance: Advance = None) -> Any:
    """(n, labels) float32 logits of a text head, in order."""
    import numpy as np

    found = np.zeros((len(ids), model.config.num_labels), dtype=np.float32)
    for part, answered in asked(model, ids, fill, precision, advance):
        found[part] = answered.logits.float().cpu().numpy()
    return found
