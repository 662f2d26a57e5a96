"""Which of a few words a masked language model would put into a blank."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from sapwood.errors import InputError
from sapwood.models import placing
from sapwood.models.objectives import vocabulary
from sapwood.models.objectives.terms import Batch, Objective, Terms, right
from sapwood.models.sources.blanks import Blanks
from sapwood.models.tasks.task import Advance, Setting


def opened(folder: Path, setting: Setting) -> Any:
    """The masked language model of a folder, in fp32. `InputError` where it has no head for masked words: a new one would guess at random."""
    from transformers import AutoConfig, AutoModelForMaskedLM

    from sapwood.models import additions, architectures

    config = AutoConfig.from_pretrained(folder)
    if setting.dropout is not None:
        config.hidden_dropout_prob = config.attention_probs_dropout_prob = setting.dropout
    options = {"config": config, "dtype": torch.float32, "attn_implementation": architectures.attention(setting.precision)}
    with architectures.seeded(setting.seed), architectures.quiet():
        model, found = AutoModelForMaskedLM.from_pretrained(folder, output_loading_info=True, **options)
    if lost := sorted(name for name in found["missing_keys"] if not name.endswith("decoder.bias")):
        raise InputError(f"the model has no head for masked words ({', '.join(lost[:3])})", "start from a masked language model: pretrain")
    return additions.opened(folder, model)


def logits(model: Any, batch: Batch) -> Tensor:
    """(rows, classes) fp32: the logits of the classes' words only, at the blanks."""
    found = vocabulary.head(model, batch.inputs)
    words = batch.targets["words"]
    states = found.states.flatten(0, 1)[batch.targets["places"]]
    return F.linear(states, found.weight[words], None if found.bias is None else found.bias[words]).float()


def blanks(smoothing: float = 0.0) -> Objective:
    """Cross-entropy over the classes' words. targets: `places` (rows,) flat, `words` (classes,), `label` (rows,)."""

    def objective(model: Any, batch: Batch) -> Terms:
        found, truth = logits(model, batch), batch.targets["label"]
        loss = F.cross_entropy(found, truth, reduction="sum", label_smoothing=smoothing)
        return Terms({"class": loss}, {"class": len(truth)}, {"accuracy": right(found, truth)})

    return objective


def probabilities(model: Any, source: Blanks, precision: str, advance: Advance = None) -> np.ndarray:
    """(n, classes) fp32, in the order of the source's texts, whatever the batches."""
    found = np.empty((len(source.ids), len(source.words)), dtype=np.float32)
    with torch.inference_mode(), placing.arithmetic(model, precision):
        for part in source.cut():
            found[part] = logits(model, source.batch(part).to(placing.of(model))).softmax(-1).cpu().numpy()
            if advance:
                advance(len(part))
    return found
