"""Writing: tokens that a model gives for a prompt, through transformers' own `generate`, in batches of like length.

Greedy or by beams, so that the same weights write the same text. In fp32 the answers do not depend on how the prompts were batched, except where
two tokens are as likely as each other to the last bits. What it does NOT do: sample, stop at a text of several tokens, or stream.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from sapwood.models import placing
from sapwood.models.texts import Ids, batches, pad

Advance = Callable[[float], None] | None


@dataclass(frozen=True)
class Writing:
    """How to write: at most `most` tokens, `beams` 1 is greedy. `ends` are the ids that end an answer, `fill` pads prompts."""

    most: int
    ends: tuple[int, ...]
    fill: int
    beams: int = 1
    tokens_per_batch: int = 2048
    """Tokens of a batch: prompts and what may be written, for each beam."""


@torch.inference_mode()
def write(model: Any, prompts: Sequence[Ids], writing: Writing, autocast: bool = False, advance: Advance = None) -> list[Ids]:
    """One array of new ids a prompt, without the ids that end it, in the order of the prompts. The model is used in the mode it is in."""
    from transformers import GenerationConfig

    both = bool(model.config.is_encoder_decoder)
    settings = GenerationConfig(
        max_new_tokens=writing.most,
        num_beams=writing.beams,
        do_sample=False,
        pad_token_id=writing.fill,
        eos_token_id=list(writing.ends) or None,
        decoder_start_token_id=getattr(model.config, "decoder_start_token_id", None) if both else None,
    )
    found: dict[int, Ids] = {}
    for part in batches([(len(p) + writing.most) * writing.beams for p in prompts], writing.tokens_per_batch):
        ids, mask = (pad if both else pad_left)([prompts[i] for i in part], writing.fill)
        inputs = dict(zip(("input_ids", "attention_mask"), placing.given(model, ids, mask), strict=True))
        with placing.arithmetic(model, "bf16" if autocast else "fp32"):
            made = model.generate(**inputs, generation_config=settings).cpu().numpy()
        start = 1 if both else ids.shape[1]
        found.update({int(i): cut(row[start:], writing.ends) for i, row in zip(part, made, strict=True)})
        if advance:
            advance(len(part))
    return [found[i] for i in range(len(prompts))]


def cut(ids: Ids, ends: Sequence[int]) -> Ids:
    """What stands before the first id that ends an answer."""
    places = np.flatnonzero(np.isin(ids, ends))
    return np.asarray(ids[: places[0]] if len(places) else ids, dtype=np.int64)


def pad_left(rows: Sequence[Ids], fill: int) -> tuple[Ids, Ids]:
    """(ids, mask), both (rows, width), padded on the left: a decoder writes on after its last token."""
    width = max((len(row) for row in rows), default=0)
    ids = np.full((len(rows), width), fill, dtype=np.int64)
    mask = np.zeros((len(rows), width), dtype=np.int64)
    for i, row in enumerate(rows):
        ids[i, width - len(row) :] = row
        mask[i, width - len(row) :] = 1
    return ids, mask
