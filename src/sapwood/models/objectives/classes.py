"""Objectives over one answer a text: a class, several classes, a number."""

from __future__ import annotations

from typing import Any

import torch
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


def multilabel(smoothing: float = 0.0) -> Objective:
    """Binary cross-entropy of each class, summed over classes; `smoothing` draws the targets towards 1/2. targets: `label` (rows, classes)
    of 0 and 1."""

    def objective(model: Any, batch: Batch) -> Terms:
        logits = model(**batch.inputs).logits.float()
        truth = batch.targets["label"].float()
        loss = F.binary_cross_entropy_with_logits(logits, truth * (1 - smoothing) + smoothing / 2, reduction="sum")
        with torch.no_grad():
            exact = float(((logits > 0) == (truth > 0)).all(-1).sum())
        return Terms({"class": loss}, {"class": len(truth)}, {"exact": (exact, len(truth))})

    return objective


def regression(model: Any, batch: Batch) -> Terms:
    """Squared error of one number a text. targets: `label` (rows,)."""
    said = model(**batch.inputs).logits.float().squeeze(-1)
    truth = batch.targets["label"].float()
    return Terms({"number": F.mse_loss(said, truth, reduction="sum")}, {"number": len(truth)}, {})
