"""Objectives over tokens and stretches of a text."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional as F

from sapwood.models.objectives.terms import Batch, Objective, Terms, right


def tagging(smoothing: float = 0.0) -> Objective:
    """Cross-entropy over the tags of chosen tokens. targets: `positions` (m,) flat indices into (rows x width), `tags` (m,)."""

    def objective(model: Any, batch: Batch) -> Terms:
        logits = model(**batch.inputs).logits.flatten(0, 1)[batch.targets["positions"]].float()
        truth = batch.targets["tags"]
        loss = F.cross_entropy(logits, truth, reduction="sum", label_smoothing=smoothing)
        return Terms({"tag": loss}, {"tag": len(truth)}, {"tag_accuracy": right(logits, truth)})

    return objective


def span(model: Any, batch: Batch) -> Terms:
    """Mean of the cross-entropies of first and last token (Devlin et al. 2019). targets: `open` (rows, width) bool, where an answer may
    lie, `ends` (rows, 2). No smoothing: a token beside the right one is not as wrong as any other."""
    answered = model(**batch.inputs)
    shut, truth = ~batch.targets["open"], batch.targets["ends"]
    logits = [one.float().masked_fill(shut, torch.finfo(torch.float32).min) for one in (answered.start_logits, answered.end_logits)]
    loss = sum(F.cross_entropy(one, truth[:, end], reduction="sum") for end, one in enumerate(logits)) / 2
    with torch.no_grad():
        exact = float(((logits[0].argmax(-1) == truth[:, 0]) & (logits[1].argmax(-1) == truth[:, 1])).sum())
    return Terms({"span": torch.as_tensor(loss)}, {"span": len(truth)}, {"exact": (exact, len(truth))})
