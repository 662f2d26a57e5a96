"""How an encoder's states travel in bf16 training on a CPU: in bf16 from the embeddings on, and through attention of plain products.

Under autocast the embeddings come out in fp32, so every addition, norm and mask after them is made in fp32, and each product begins
by casting its input down: half of the time outside of the products of a 6x512 BERT. Here the embeddings' output is cast once; what
follows stays in bf16, with sums inside norms, softmax and products in fp32 as ever, and weights and their gradients in fp32.
The attention below scales, adds the mask and multiplies in one call, and is made of products whose way back is fast too (see
`architectures.attention`). What it does NOT do: decoders, whose fp32 norms would widen the stream again at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from sapwood.models.dropping import dropped
from sapwood.models.products import together

PLAIN = "plain"


@contextmanager
def narrow(model: Any, precision: str) -> Iterator[None]:
    """Inside, an encoder that trains in bf16 with eager attention keeps its states in bf16 and adds each bias within its product.
    Other models are as they were."""
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model  # PEFT wraps the model that it trains
    embeddings = getattr(getattr(inner, "base_model", inner), "embeddings", None)
    config = getattr(model, "config", None)
    suits = isinstance(embeddings, torch.nn.Module) and getattr(config, "_attn_implementation", "") == "eager"
    if precision != "bf16" or not suits or getattr(config, "is_decoder", False):
        yield
        return
    _register()
    handle = embeddings.register_forward_hook(_cast)  # type: ignore[union-attr]
    config._attn_implementation = PLAIN  # type: ignore[union-attr]
    try:
        with together(model):
            yield
    finally:
        handle.remove()
        config._attn_implementation = "eager"  # type: ignore[union-attr]


def _cast(module: Any, given: Any, states: Tensor) -> Tensor:
    return states.to(torch.bfloat16) if torch.is_autocast_enabled(states.device.type) else states


def _register() -> None:
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    ALL_ATTENTION_FUNCTIONS.register(PLAIN, attend)
    ALL_MASK_ATTENTION_FUNCTIONS.register(PLAIN, ALL_MASK_ATTENTION_FUNCTIONS["eager"])


def attend(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **_: Any,
) -> tuple[Tensor, None]:
    """transformers' attention interface. `query`, `key`, `value` (rows, heads, tokens, width of a head); the mask is (rows, 1 or heads,
    1 or tokens, tokens), added, or true where a token is seen. Returns (rows, tokens, heads, width of a head)."""
    rows, heads, tokens, width = query.shape
    q, k, v = (states.reshape(rows * heads, -1, width) for states in (query, key, value))
    scale = width**-0.5 if scaling is None else scaling
    if attention_mask is None:
        scores = torch.bmm(q * scale, k.transpose(1, 2))
    else:
        if attention_mask.dtype == torch.bool:
            attention_mask = torch.zeros_like(attention_mask, dtype=q.dtype).masked_fill_(~attention_mask, torch.finfo(q.dtype).min)
        added = attention_mask.to(q.dtype).expand(rows, heads, *attention_mask.shape[2:]).reshape(rows * heads, -1, k.shape[1])
        scores = torch.baddbmm(added, q, k.transpose(1, 2), alpha=scale)
    shares = scores.softmax(-1)
    if dropout and module.training:
        shares = dropped(shares, dropout)
    return torch.bmm(shares, v).view(rows, heads, tokens, width).transpose(1, 2).contiguous(), None
