"""What decoders and encoder-decoders learn to write."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sapwood.models.objectives import vocabulary
from sapwood.models.objectives.terms import Batch, Objective, Terms

CHUNK = 256
"""Tokens whose logits are held at once where no gradient is asked for."""


def written(smoothing: float = 0.0) -> Objective:
    """Cross-entropy of the tokens that the model is to write.

    targets: `positions` (m,) flat indices into (rows x width) of the states that foretell, `tokens` (m,) the true ids. The width is that
    of `decoder_input_ids`, or of `input_ids` for decoders. The vocabulary projection runs on these m states only.
    """

    def objective(model: Any, batch: Batch) -> Terms:
        tokens = batch.targets["tokens"]
        summed = _summed(model, batch, tokens, smoothing)
        return Terms({"token": summed.loss}, {"token": len(tokens)}, {"token_accuracy": summed.right})

    return objective


def _summed(model: Any, batch: Batch, tokens: Any, smoothing: float) -> vocabulary.Summed:
    found = _states(model, batch)
    return vocabulary.cross_entropy(found.states, found.weight, tokens, found.bias, smoothing)


def _states(model: Any, batch: Batch) -> vocabulary.Head:
    """The states that foretell the trained tokens. A cache would keep transformers from seeing that rows are packed."""
    found = vocabulary.head(model, {**batch.inputs, "use_cache": False})  # type: ignore[dict-item]
    width = batch.inputs["decoder_input_ids" if "decoder_input_ids" in batch.inputs else "input_ids"].shape[1]
    own = found.states[:, -width:].flatten(0, 1)  # prompt methods put states of their own in front
    return found._replace(states=own[batch.targets["positions"]])


def token_losses(model: Any, batch: Batch) -> tuple[Tensor, Tensor]:
    """(loss, whether the likeliest token was the true one) of each trained token, (m,) fp32 and bool, without gradient."""
    losses: list[Tensor] = []
    hits: list[Tensor] = []
    with torch.no_grad():
        found = _states(model, batch)
        for states, truth in zip(found.states.split(CHUNK), batch.targets["tokens"].split(CHUNK), strict=True):
            logits = torch.nn.functional.linear(states.to(found.weight.dtype), found.weight, found.bias).float()
            losses.append(torch.nn.functional.cross_entropy(logits, truth, reduction="none"))
            hits.append(logits.argmax(-1) == truth)
    return torch.cat(losses), torch.cat(hits)
