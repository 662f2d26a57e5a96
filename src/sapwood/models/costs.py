"""What training will take, said before the first step. An estimate: it knows weights, tokens and the speed of one matrix
product, and does NOT know what else runs on the machine."""

from __future__ import annotations

from typing import Any

import torch

from sapwood.models.predict import product_seconds

EFFICIENCY = 0.4
"""Share of a large product's speed that whole training steps of small encoders reached."""
PRODUCT = 2 * 512 * 1024 * 1024


def forecast(model: Any, tokens: float, batch_tokens: int, precision: str) -> str:
    """One line: weights, trained weights, memory while training, bytes of a checkpoint, and time for `tokens` trained tokens."""
    every = sum(p.numel() for p in model.parameters())
    free = sum(p.numel() for p in model.parameters() if p.requires_grad)
    looked_up = model.get_input_embeddings().weight.numel()  # a look-up costs no product
    products = 4 * (every - looked_up) + 2 * max(0, free - looked_up)
    speed = PRODUCT / product_seconds(torch.bfloat16 if precision == "bf16" else torch.float32)
    seconds = products * tokens / (EFFICIENCY * speed)
    config = model.config
    activations = 60 * batch_tokens * config.hidden_size * config.num_hidden_layers
    memory = 4 * every + 12 * free + activations
    return (
        f"{every:,} weights, {free:,} trained in {precision}; about {memory / 1e6:,.0f} MB while training, "
        f"{12 * free / 1e6:,.0f} MB a checkpoint, {seconds / 60:.1f} minutes for {tokens / 1e6:.2f} million tokens"
    )
