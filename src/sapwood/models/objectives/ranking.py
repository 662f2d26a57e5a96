"""Teaching a model that reads query and candidate together (a cross-encoder) to score the right candidate highest.

Every loss is one number a query, so it does not change with how queries are put into batches; all candidates of a query stand in one batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from sapwood.models import placing, texts
from sapwood.models.objectives.terms import Batch, Objective, Terms
from sapwood.models.sources.comparing import padded

FAR = -1e4
"""Score of an empty place: its share in the softmax is 0."""
TOKENS_PER_BATCH = 8192


def read(model: Any, inputs: Mapping[str, Tensor]) -> Tensor:
    """One score a pair, (pairs,) fp32. Models without segments are not given any."""
    told = getattr(model.config, "type_vocab_size", 0) > 1
    scores: Tensor = model(**{name: t for name, t in inputs.items() if told or name != "token_type_ids"}).logits.float()[:, 0]
    return scores


def scores(
    model: Any, pairs: Sequence[tuple[texts.Ids, texts.Ids]], fill: int, precision: str, advance: Callable[[float], None] | None = None
) -> np.ndarray:
    """The score of each encoded pair in their order, (n,) fp32, whatever the batches. `advance` is told shares of all pairs."""
    found = np.empty(len(pairs), dtype=np.float32)
    device = placing.of(model)
    model.eval()
    with torch.inference_mode(), placing.arithmetic(model, precision):
        for part in texts.batches([len(ids) for ids, _ in pairs], TOKENS_PER_BATCH):
            inputs = padded([pairs[i] for i in part], fill, multiple=8)
            found[part] = read(model, {name: t.to(device) for name, t in inputs.items()}).cpu().numpy()
            if advance:
                advance(len(part) / len(pairs))
    return found


def ranking(loss: str) -> Objective:
    """inputs: the q x c pairs, padded; targets: `slots` (q, c) the pair in each place, -1 for none, and `right` (q, c).

    `listwise`: cross-entropy between the right ones' even shares and the softmax over the candidates (ListNet, Cao et al. 2007);
    `pairwise`: the mean of -log sigmoid(right - wrong) (RankNet, Burges et al. 2005); `pointwise`: the mean of each candidate's
    own binary cross-entropy.
    """
    of_query = {"listwise": _listwise, "pairwise": _pairwise, "pointwise": _pointwise}[loss]

    def objective(model: Any, batch: Batch) -> Terms:
        logits = read(model, batch.inputs)
        slots, right = batch.targets["slots"], batch.targets["right"]
        real = slots >= 0
        scores = logits[slots.clamp(min=0)].masked_fill(~real, FAR)
        with torch.no_grad():
            hits = float(right.gather(1, scores.argmax(1, keepdim=True)).sum())
        return Terms({"queries": of_query(scores, right, real).sum()}, {"queries": len(slots)}, {"right_first": (hits, len(slots))})

    return objective


def _listwise(scores: Tensor, right: Tensor, real: Tensor) -> Tensor:
    shares = right.float() / right.sum(1, keepdim=True)
    return -(shares * scores.log_softmax(1)).sum(1)


def _pairwise(scores: Tensor, right: Tensor, real: Tensor) -> Tensor:
    pairs = (right[:, :, None] & (real & ~right)[:, None, :]).float()
    each = F.softplus(scores[:, None, :] - scores[:, :, None])
    return (each * pairs).sum((1, 2)) / pairs.sum((1, 2)).clamp(min=1)


def _pointwise(scores: Tensor, right: Tensor, real: Tensor) -> Tensor:
    each = F.binary_cross_entropy_with_logits(scores.masked_fill(~real, 0.0), right.float(), reduction="none")
    return (each * real).sum(1) / real.sum(1)
