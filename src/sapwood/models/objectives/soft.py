"""What a student learns from a teacher's answers and, where there are any, from labels."""

from __future__ import annotations

from typing import Any

from torch.nn import functional as F

from sapwood.models.objectives.terms import Batch, Objective, Terms, right
from sapwood.models.objectives.wrapping import apart

NO_LABEL = -1


def soft(share: float, temperature: float) -> Objective:
    """share x T^2 KL(teacher || student) + (1 - share) x cross-entropy, the second on labelled texts only (Hinton et al. 2015).

    targets: `label` (rows, classes + 1): the teacher's log-probabilities, and the true class or `NO_LABEL`.
    """

    def objective(model: Any, batch: Batch) -> Terms:
        logits = model(**batch.inputs).logits.float()
        told = batch.targets["label"]
        wanted, truth = told[:, :-1].float(), told[:, -1].long()
        known = truth != NO_LABEL
        loss = share * apart("classes", logits, wanted, temperature)
        loss = loss + (1 - share) * F.cross_entropy(logits[known], truth[known], reduction="sum")
        return Terms({"class": loss}, {"class": len(truth)}, {"like_teacher": right(logits, wanted.argmax(-1))})

    return objective
