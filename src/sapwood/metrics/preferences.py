"""What a model makes of pairs of replies of which one is preferred."""

from __future__ import annotations

import numpy as np

from sapwood.metrics.classification import Floats
from sapwood.metrics.measured import Measured


def preferred(now: Floats, before: Floats, tokens: Floats) -> Measured:
    """Scores of n pairs (chosen, rejected). `now` and `before` (n, 2) are log-probabilities under the model and the one that it grew from,
    `tokens` (n, 2) the lengths.

    accuracy: the chosen reply is likelier (half where equal); accuracy_per_token: likelier by token, so that length does not count;
    moved_right: the model moved more towards the chosen one; margin: how much more, in nats; chosen_loss and rejected_loss: nats a token.
    """
    moved = now - before
    each = [_wins(now), _wins(now / tokens), _wins(moved), moved[:, 0] - moved[:, 1], -now[:, 0], -now[:, 1], tokens[:, 0], tokens[:, 1]]
    counts = np.stack([*each, np.ones(len(now))], axis=1).astype(np.float64)
    scores = {
        "accuracy": lambda sums: sums[..., 0] / sums[..., -1],
        "accuracy_per_token": lambda sums: sums[..., 1] / sums[..., -1],
        "moved_right": lambda sums: sums[..., 2] / sums[..., -1],
        "margin": lambda sums: sums[..., 3] / sums[..., -1],
        "chosen_loss": lambda sums: sums[..., 4] / sums[..., 6],
        "rejected_loss": lambda sums: sums[..., 5] / sums[..., 7],
    }
    return Measured(counts, scores, frozenset({"chosen_loss", "rejected_loss"}))


def _wins(pairs: Floats) -> Floats:
    won: Floats = (pairs[:, 0] > pairs[:, 1]) + 0.5 * (pairs[:, 0] == pairs[:, 1])
    return won
