"""Objectives of encoders from nothing: masked words, and which text follows."""

from __future__ import annotations

from typing import Any

from torch.nn import functional as F

from sapwood.models.objectives.terms import Batch, Terms, right


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
        logs={"mlm_accuracy": right(words, tokens), "nsp_accuracy": right(follows, truth)},
    )
