"""Objectives over one answer a text."""

from __future__ import annotations

from typing import Any

from torch.nn import functional as F

from sapwood.models.objectives.terms import Batch, Objective, Terms, right


def classification(smoothing: float = 0.0) -> Objective:
    """Cross-entropy over the classes; `smoothing` spreads that share of the target over all classes. targets: `label` (rows,)."""

    def objective(model: Any, batch: Batch) -> Terms:
        logits = model(**batch.inputs).logits.float()
        truth = batch.targets["label"]
        loss = F.cross_entropy(logits, truth, reduction="sum", label_smoothing=smoothing)
        return Terms({"class": loss}, {"class": len(truth)}, {"accuracy": right(logits, truth)})

    return objective
