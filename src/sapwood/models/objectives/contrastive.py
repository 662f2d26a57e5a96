"""Contrastive learning: a query must be nearer to its own text than to the other texts of the step (InfoNCE, van den Oord et al. 2018).

The negatives are the texts of the whole step, so the number of pairs of a step is part of what is taught. Where a step does not fit
into memory, texts are encoded in parts, without keeping what their gradients need, and encoded again on the way back
(gradient caching, Gao et al. 2021): the same loss and gradient for one more forward pass. Several processes encode a share each and
send one another the vectors.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from sapwood.models import texts, vectors
from sapwood.models.objectives.terms import Batch, Objective, Terms, right
from sapwood.models.processes import present

TOGETHER = 2048
"""Padded tokens of texts of like length that are encoded at once."""
FAR = -1e4
"""Score of a text that is no fair negative: its share in the softmax is 0."""


def in_parts(model: Any, ids: Tensor, mask: Tensor, tokens: int, part: tuple[int, int] = (0, 1)) -> Tensor:
    """The vectors of texts padded on the right, texts of like length together, so that short ones are not padded to the longest. Where all
    of them are more than `tokens` padded tokens, of each part only the vectors are kept until the way back.

    With `part` (rank, processes) this process encodes its share and is sent the rest, which has no gradient here.
    """
    lengths = mask.sum(1).cpu().numpy()
    rank, size = part
    own = np.argsort(lengths, kind="stable")[rank::size]
    parts = texts.batches(lengths, min(tokens, TOGETHER), own)
    whole = sum(len(rows) * int(lengths[rows[-1]]) for rows in parts) <= tokens
    found = []
    for numbers in parts:
        rows, width = torch.from_numpy(numbers).to(ids.device), int(lengths[numbers[-1]])
        given = (model, ids[rows, :width], mask[rows, :width])
        found.append(vectors.encoded(*given) if whole else checkpoint(vectors.encoded, *given, use_reentrant=False))
    made = torch.cat(found)
    rows = torch.from_numpy(np.concatenate(parts)).to(ids.device)
    mine = made.new_zeros(len(ids), made.shape[1]).index_copy(0, rows, made)
    return mine if size == 1 else present().together(mine) + (mine - mine.detach())


def in_batch(temperature: float, tokens: int) -> Objective:
    """How vectors are pooled stands in the model's configuration. Texts of more than `tokens` padded tokens are encoded in parts.

    inputs: `input_ids` and `attention_mask` of q queries, then of d >= q texts, the first q being the queries' own. targets: `unfair`
    (q, d), true where a text must not count as wrong, because it is right as well.
    """

    def objective(model: Any, batch: Batch) -> Terms:
        unfair, part = batch.targets["unfair"], batch.part or (0, 1)
        found = in_parts(model, batch.inputs["input_ids"], batch.inputs["attention_mask"], tokens, part)
        queries, documents = found[: len(unfair)], found[len(unfair) :]
        with torch.autocast(found.device.type, enabled=False):
            scores = (queries @ documents.T / temperature).masked_fill(unfair, FAR)
        truth = torch.arange(len(queries), device=scores.device)
        losses = F.cross_entropy(scores, truth, reduction="none")
        # Its queries' share of the loss, with the gradient that the WHOLE loss has in the texts that this process encoded: a document is
        # wrong for queries of other processes too. Both add up over processes.
        own = slice(part[0], None, part[1])
        loss = losses[own].sum().detach() + (losses.sum() - losses.sum().detach())
        return Terms({"pairs": loss}, {"pairs": len(losses[own])}, {"in_batch_accuracy": right(scores[own], truth[own])})

    return objective
