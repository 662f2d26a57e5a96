"""Span corruption: an encoder-decoder writes the spans that were hidden from its input (Raffel et al. 2020)."""

from __future__ import annotations

from typing import Any

from sapwood.models.objectives import vocabulary
from sapwood.models.objectives.terms import Batch, Terms


def span_corruption(model: Any, batch: Batch) -> Terms:
    """Cross-entropy of `tokens` (m,) at the flat `positions` (m,) of the decoder; see `sources.documents.HiddenSpans` for the batch."""
    states, weight, bias = vocabulary.head(model, batch.inputs)
    chosen = states.flatten(0, 1)[batch.targets["positions"]]
    found = vocabulary.cross_entropy(chosen, weight, batch.targets["tokens"], bias)
    return Terms({"tokens": found.loss}, {"tokens": found.right[1]}, {"accuracy": found.right})
