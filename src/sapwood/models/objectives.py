"""Objectives: what one batch teaches. Each is a function (model, batch) -> Terms.

A term is given as a SUM over its trained units (tokens or examples) and their count. The loop divides by the count of the
whole step and adds the terms, so that neither micro-batches nor padding change loss or gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Batch:
    """`inputs` go to the model, `targets` to the objective. `trained` is the count that each term will have, known before the
    forward pass, because a step is normalised over all of its micro-batches."""

    inputs: Mapping[str, Tensor]
    targets: Mapping[str, Tensor]
    trained: Mapping[str, int]


@dataclass(frozen=True)
class Terms:
    """`sum` and `count` of each loss term by name; `logs` are sums over the same units (such as how many were right)."""

    sum: Mapping[str, Tensor]
    count: Mapping[str, int]
    logs: Mapping[str, tuple[float, int]]


Objective = Callable[[Any, Batch], Terms]


def masked_lm_and_next_sentence(model: Any, batch: Batch) -> Terms:
    """L = L_MLM + L_NSP (Devlin et al. 2019) for a model with the parts of `BertForPreTraining`.

    targets: `positions` (m,) flat indices into (rows x width), `tokens` (m,) the true ids there, `next` (rows,) 0 where
    B follows A and 1 where not. The vocabulary projection, the dearest layer, runs on the m masked positions only.
    """
    encoded = model.bert(**batch.inputs)
    hidden = encoded.last_hidden_state.flatten(0, 1)[batch.targets["positions"]]
    words = model.cls.predictions(hidden).float()
    follows = model.cls.seq_relationship(encoded.pooler_output).float()
    tokens, truth = batch.targets["tokens"], batch.targets["next"]
    return Terms(
        sum={"mlm": F.cross_entropy(words, tokens, reduction="sum"), "nsp": F.cross_entropy(follows, truth, reduction="sum")},
        count={"mlm": len(tokens), "nsp": len(truth)},
        logs={"mlm_accuracy": _right(words, tokens), "nsp_accuracy": _right(follows, truth)},
    )


def classification(smoothing: float = 0.0) -> Objective:
    """Cross-entropy over the classes; `smoothing` spreads that share of the target over all classes. targets: `label` (rows,)."""

    def objective(model: Any, batch: Batch) -> Terms:
        logits = model(**batch.inputs).logits.float()
        truth = batch.targets["label"]
        loss = F.cross_entropy(logits, truth, reduction="sum", label_smoothing=smoothing)
        return Terms({"class": loss}, {"class": len(truth)}, {"accuracy": _right(logits, truth)})

    return objective


def _right(logits: Tensor, truth: Tensor) -> tuple[float, int]:
    with torch.no_grad():
        return float((logits.argmax(-1) == truth).sum()), len(truth)
