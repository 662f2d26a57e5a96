"""Learning from preferences: direct preference optimisation (DPO, Rafailov et al. 2023)."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional as F

from sapwood.models import replies
from sapwood.models.objectives.terms import Batch, Objective, Terms


def preference(beta: float, keep: float = 0.0) -> Objective:
    """-log sigmoid(beta x margin) of each pair, where the margin is how much more the model has moved towards the chosen reply than towards
    the rejected one, against the model before: log-ratio(chosen) - log-ratio(rejected).

    `keep` adds that many times the chosen reply's mean loss a token (Pang et al. 2024), since the margin also grows where both
    replies become less likely. Rows of a batch: chosen, rejected, chosen, rejected; targets: `before` (pairs, 2) log-probabilities of the
    model before, and those of `replies.batch`.
    """

    def objective(model: Any, batch: Batch) -> Terms:
        before = batch.targets["before"]
        count = len(before)
        now = replies.likelihoods(model, batch.inputs, batch.targets, 2 * count).view(count, 2)
        moved = now - before
        margin = moved[:, 0] - moved[:, 1]
        loss = -F.logsigmoid(beta * margin).sum()
        if keep:
            lengths = torch.bincount(batch.targets["owner"], minlength=2 * count).view(count, 2)
            loss = loss - keep * (now[:, 0] / lengths[:, 0]).sum()
        with torch.no_grad():
            wins = float((margin > 0).sum() + 0.5 * (margin == 0).sum())
            logs = {"margin": (float(margin.sum()), count), "wins": (wins, count), "chosen_moved": (float(moved[:, 0].sum()), count)}
        return Terms({"pairs": loss}, {"pairs": count}, logs)

    return objective
