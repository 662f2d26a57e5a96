"""Masked words for encoders of any family, alone or with two sentences: whether B follows A (BERT, Devlin et al. 2019), or whether they
stand in their order (ALBERT, Lan et al. 2020). The vocabulary, the dearest layer, runs on the masked positions only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor
from torch.nn import functional as F

from sapwood.models.instead import instead
from sapwood.models.objectives import vocabulary
from sapwood.models.objectives.terms import Batch, Terms, right

HEADS = {"bert": lambda model: model.cls.predictions, "albert": lambda model: model.predictions}
"""Where a family keeps the layers before its vocabulary: they run on the masked positions only. Others run on all."""


def masked_words(model: Any, batch: Batch) -> Terms:
    """L_MLM. targets: `positions` (m,) flat indices into (rows x width), `tokens` (m,) the true ids there."""
    found = _words(model, states(model, batch.inputs, batch.targets["positions"])[0], batch)
    return Terms({"mlm": found.loss}, {"mlm": found.right[1]}, {"mlm_accuracy": found.right})


def masked_words_and_sentences(model: Any, batch: Batch) -> Terms:
    """L = L_MLM + L_NSP or L_SOP, whichever the batch trains, for the pre-training models of BERT and ALBERT. targets: those of
    `masked_words`, and `next` (rows,): 0 where B follows A, 1 where it does not, or where the two changed places."""
    chosen, pooled = states(model, batch.inputs, batch.targets["positions"])
    found, truth = _words(model, chosen, batch), batch.targets["next"]
    [name] = batch.trained.keys() - {"mlm"}
    second = model.sop_classifier if model.config.model_type == "albert" else model.cls.seq_relationship
    guessed = second(pooled).float()
    return Terms(
        sum={"mlm": found.loss, name: F.cross_entropy(guessed, truth, reduction="sum")},
        count={"mlm": found.right[1], name: len(truth)},
        logs={"mlm_accuracy": found.right, f"{name}_accuracy": right(guessed, truth)},
    )


def states(model: Any, inputs: Mapping[str, Tensor], positions: Tensor) -> tuple[Tensor, Tensor | None]:
    """(what enters the vocabulary at the flat positions (m, width), the pooled state or None)."""
    family = model.config.model_type
    if family not in HEADS:
        return vocabulary.head(model, inputs).states.flatten(0, 1)[positions], None
    encoded = getattr(model, family)(**inputs)
    last = model.get_output_embeddings()
    with instead(last, lambda hidden: hidden):
        chosen = HEADS[family](model)(vocabulary.filled(encoded.last_hidden_state.flatten(0, 1)[positions]))
    return chosen[: len(positions)], encoded.pooler_output


def _words(model: Any, chosen: Tensor, batch: Batch) -> vocabulary.Summed:
    last = model.get_output_embeddings()
    return vocabulary.cross_entropy(chosen, last.weight, batch.targets["tokens"], last.bias)
