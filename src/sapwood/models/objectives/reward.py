"""Policy gradient: replies that were worth more than the others become likelier (REINFORCE, Williams 1992)."""

from __future__ import annotations

from typing import Any

from sapwood.models import replies
from sapwood.models.objectives.terms import Batch, Terms


def reinforce(model: Any, batch: Batch) -> Terms:
    """-advantage x log-probability of each reply, which was drawn from the model as it is. targets: `advantage`, `reward` and `drift` (replies,)
    of `sources.rollouts`, and those of `replies.batch`. The value of this loss says nothing; the reward does."""
    gain = batch.targets["advantage"]
    loss = -(gain * replies.likelihoods(model, batch.inputs, batch.targets, len(gain))).sum()
    logs = {name: (float(batch.targets[name].sum()), len(gain)) for name in ("reward", "drift")}
    return Terms({"replies": loss}, {"replies": len(gain)}, logs)
