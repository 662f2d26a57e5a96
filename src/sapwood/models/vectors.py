"""Vectors of texts: how a model's states become one vector, which its `config.json` says, and batches of them.

The folder stays a plain Hugging Face model. `sapwood_embedding` in its configuration names the pooling and what is put before a text that
answers (what is put before a query stands in the card). `describe` says the same in the files that sentence-transformers reads.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from sapwood.models import placing, texts
from sapwood.models.texts import Ids

if TYPE_CHECKING:
    from sapwood.models.tasks.task import Setting

NOTE = "sapwood_embedding"
TOKENS_PER_BATCH = 8192


def encoder(folder: Path, pooling: str, passage_prefix: str, setting: Setting) -> Any:
    """The model of a folder without a head, in fp32. Empty `pooling` keeps what the folder says, else takes the mean."""
    from transformers import AutoConfig, AutoModel

    from sapwood.models import additions
    from sapwood.models.architectures import attention, quiet, seeded

    config = AutoConfig.from_pretrained(folder)
    stated = getattr(config, NOTE, {})
    setattr(config, NOTE, {"pooling": pooling or stated.get("pooling", "mean"), "passage_prefix": passage_prefix})
    if setting.dropout is not None:
        config.hidden_dropout_prob = config.attention_probs_dropout_prob = setting.dropout
    with seeded(setting.seed), quiet():
        options = {"config": config, "dtype": torch.float32, "attn_implementation": attention(setting.precision)}
        return additions.opened(folder, AutoModel.from_pretrained(folder, **options))


def pooled(states: Tensor, mask: Tensor, how: str) -> Tensor:
    """One vector of length 1 a text: `mean` over its tokens, the first one (`cls`), or the `last`. (rows, tokens, width) -> (rows, width) fp32."""
    if how == "mean":
        weights = mask[..., None].float()
        found = (states.float() * weights).sum(1) / weights.sum(1)
    elif how == "cls":
        found = states[:, 0].float()
    else:
        found = states[torch.arange(len(states), device=states.device), mask.sum(1) - 1].float()
    return F.normalize(found, dim=-1)


def encoded(model: Any, ids: Tensor, mask: Tensor) -> Tensor:
    """The vectors of texts padded on the right, (rows, width)."""
    states = model(input_ids=ids, attention_mask=mask).last_hidden_state
    return pooled(states, mask, getattr(model.config, NOTE)["pooling"])


def of(model: Any, ids: Sequence[Ids], fill: int, precision: str) -> np.ndarray:
    """The vectors of encoded texts in their order, (n, width) fp32, whatever the batches."""
    parts = texts.batches([len(row) for row in ids], TOKENS_PER_BATCH)
    found: list[Tensor] = []
    model.eval()
    with torch.inference_mode(), placing.arithmetic(model, precision):
        for part in parts:
            tokens, mask = texts.pad([ids[i] for i in part], fill, multiple=8)
            found.append(encoded(model, *placing.given(model, tokens, mask)).cpu())
    vectors = np.empty((len(ids), found[0].shape[1]), dtype=np.float32)
    for part, rows in zip(parts, found, strict=True):
        vectors[part] = rows.numpy()
    return vectors


def describe(folder: Path) -> None:
    """Write the files by which sentence-transformers opens the folder: its modules, the pooling, and the prefixes as prompts."""
    from sapwood.models.card import read_card

    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    note, card = config[NOTE], read_card(folder)
    names = (("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize"))
    modules = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"} for i, (path, kind) in enumerate(names)
    ]
    modes = {"cls_token": "cls", "mean_tokens": "mean", "lasttoken": "last"}
    pooling = {f"pooling_mode_{name}": note["pooling"] == how for name, how in modes.items()}
    (folder / "1_Pooling").mkdir()
    for path, body in (
        ("modules.json", modules),
        ("1_Pooling/config.json", {"word_embedding_dimension": config.get("hidden_size") or config["n_embd"], **pooling}),
        ("sentence_bert_config.json", {"max_seq_length": card.max_tokens, "do_lower_case": False}),
        ("config_sentence_transformers.json", {"prompts": {"query": card.prefix, "document": note["passage_prefix"]}}),
    ):
        (folder / path).write_text(json.dumps(body, indent=1, sort_keys=True) + "\n", encoding="utf-8")
