"""Causal language models: each token from those before it in its own document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from sapwood.models.objectives import vocabulary
from sapwood.models.objectives.terms import Batch, Terms


def causal_lm(model: Any, batch: Batch) -> Terms:
    """Cross-entropy of `tokens` (m,) at the flat `positions` (m,); see `sources.streams.Streams` for the batch."""
    states, weight, bias = vocabulary.head(model, apart(model, batch))
    chosen = states.flatten(0, 1)[batch.targets["positions"]]
    found = vocabulary.cross_entropy(chosen, weight, batch.targets["tokens"], bias)
    return Terms({"tokens": found.loss}, {"tokens": found.right[1]}, {"accuracy": found.right})


def apart(model: Any, batch: Batch) -> Mapping[str, Tensor]:
    """The inputs with a mask (rows, 1, width, width) by which a token sees itself and what comes before it in its block.

    As booleans, which fused attention takes in any arithmetic; others add their mask, so they get numbers.
    """
    blocks = batch.targets["blocks"]
    width = blocks.shape[1]
    seen = (blocks[:, None, :, None] == blocks[:, None, None, :]) & torch.ones(width, width, dtype=torch.bool, device=blocks.device).tril()
    if model.config._attn_implementation != "sdpa":
        seen = torch.zeros_like(seen, dtype=torch.float32).masked_fill_(~seen, torch.finfo(torch.float32).min)
    return {**batch.inputs, "attention_mask": seen}
