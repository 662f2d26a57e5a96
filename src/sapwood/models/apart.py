"""Causal attention for decoders that meets only the products it needs: each text of a packed row by itself, and of each the lower half.

transformers sees that rows are packed (positions begin again, no mask) and masks the product of all tokens with all tokens of the row. Here
a text's tokens meet their own text only, 256 queries at a time with the keys up to them, so the work grows with the texts' lengths squared,
not the row's. On CPU torch 2.13's fused attention in bf16 took 46 ms there and back where these plain products took 24 (512 tokens x 9
heads x 64, one core, before anything is left out).
It takes no sliding windows. Batches with a padding mask, and cached keys, get the whole product under transformers' own mask.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from sapwood.models.additions import ATTENTION as PREFIX
from sapwood.models.dropping import dropped

NAME = "sapwood-apart"
"""Its name in transformers' register of attentions."""
DECODERS = frozenset({"llama", "qwen2"})
"""`model_type`s that hand positions to their attention."""
QUERIES = 256


def install(model: Any) -> Any:
    """Have a decoder on the CPU use it; other models stay as they are."""
    config = model.config
    if (
        config._attn_implementation == PREFIX
        or config.model_type not in DECODERS
        or next(model.parameters()).device.type != "cpu"
        or getattr(config, "use_sliding_window", False)
    ):
        return model
    from transformers import AttentionInterface, AttentionMaskInterface

    AttentionInterface.register(NAME, attention)
    AttentionMaskInterface.register(NAME, _mask)
    config._attn_implementation = NAME
    return model


def attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **more: Any,
) -> tuple[Tensor, None]:
    """query (rows, heads, tokens, size); key and value may have fewer heads. Gives (rows, tokens, heads, size)."""
    query = query * (query.shape[-1] ** -0.5 if scaling is None else scaling)
    chance = dropout if module.training else 0.0
    if mask is not None:
        return _attend(query, key, value, _numbers(mask, query.dtype), chance).transpose(1, 2).contiguous(), None
    rows = []
    for row, cuts in enumerate(_texts(more["position_ids"], len(query))):
        parts = [_causal(query[row, :, a:b], key[row, :, a:b], value[row, :, a:b], chance) for a, b in cuts]
        rows.append(torch.cat(parts, 1))
    return torch.stack(rows).transpose(1, 2).contiguous(), None


def _numbers(mask: Tensor, kind: torch.dtype) -> Tensor:
    """The mask to add: 0 where a token is seen, the lowest number where not."""
    if mask.dtype != torch.bool:
        return mask.to(kind)
    return torch.zeros_like(mask, dtype=kind).masked_fill_(~mask, torch.finfo(kind).min)


def _texts(positions: Tensor, rows: int) -> list[list[tuple[int, int]]]:
    """(start, stop) of each text of each row: where a position is not the last one + 1, a text begins."""
    cuts = []
    for row in positions.expand(rows, -1):
        begins = [0, *((row.diff() != 1).nonzero()[:, 0] + 1).tolist(), len(row)]
        cuts.append(list(pairwise(begins)))
    return cuts


def _causal(query: Tensor, key: Tensor, value: Tensor, chance: float) -> Tensor:
    """One text, (heads, tokens, size): each token sees itself and those before it."""
    parts = []
    for start in range(0, query.shape[1], QUERIES):
        stop = min(start + QUERIES, query.shape[1])
        hidden = torch.full((stop - start, stop), torch.finfo(query.dtype).min, dtype=query.dtype, device=query.device).triu(start + 1)
        parts.append(_attend(query[None, :, start:stop], key[None, :, :stop], value[None, :, :stop], hidden, chance)[0])
    return torch.cat(parts, 1)


def _attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor, chance: float) -> Tensor:
    """Plain products. Heads that share keys are one longer matrix, so keys are not copied."""
    rows, heads, tokens, size = query.shape
    shared = query.reshape(rows, key.shape[1], -1, size)
    scores = (shared @ key.transpose(2, 3)).view(rows, heads, tokens, -1) + mask
    shares = scores.softmax(-1)
    if chance:
        shares = dropped(shares, chance)
    return (shares.view(rows, key.shape[1], -1, key.shape[2]) @ value).view(rows, heads, tokens, size)


def _mask(*sizes: int, attention_mask: Tensor | None = None, **more: Any) -> Tensor | None:
    """None where positions say everything; else transformers' mask in numbers."""
    from transformers.masking_utils import eager_mask

    if attention_mask is None and more.get("q_length") == more.get("kv_length"):
        return None
    return eager_mask(*sizes, attention_mask=attention_mask, **more)
