"""Give a model rows for a tokenizer's new pieces: each starts as the mean of the rows of the pieces it is made of.

Input embeddings, and the output head with its bias where it is not tied to them. Every old row stays as it is, bit for bit, so a text
without new pieces gets the numbers it got before. A piece made of nothing known (a new letter) starts as the mean of all old rows.
It does not train: the mean is a place to start from (Hewitt 2021), and scores on new pieces mean little before further training.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from sapwood.errors import InputError
from sapwood.models.architectures import model_type, quiet, save_model
from sapwood.models.card import Card


def extend(source: Path, tokenizer: Path, folder: Path, ids: Sequence[int], parts: Sequence[Sequence[int]], card: Card) -> None:
    """Write the model of `source` with rows `ids` into `folder`, with the tokenizer of the folder `tokenizer`.

    `parts[i]` are the old ids that `ids[i]` is made of. Raises `InputError` for a model without word embeddings.
    """
    model = opened(source)
    table = model.get_input_embeddings()
    if table is None:
        raise InputError(f"{card.name}: this model has no word embeddings to extend", "give a text model")
    rows = max(len(table.weight), max(ids, default=-1) + 1)
    known = min(ids, default=len(table.weight))
    head = model.get_output_embeddings()
    tied = head is None or head.weight.data_ptr() == table.weight.data_ptr()
    with quiet():
        model.resize_token_embeddings(rows, mean_resizing=False)
    head = model.get_output_embeddings()
    fill(model.get_input_embeddings().weight, ids, parts, known)
    if head is not None and not tied:
        fill(head.weight, ids, parts, known)
    if head is not None and head.bias is not None:
        fill(head.bias, ids, parts, known)
    save_model(folder, model, tokenizer, card)


@torch.no_grad()
def fill(rows: Any, ids: Sequence[int], parts: Sequence[Sequence[int]], known: int) -> None:
    """Set `rows[ids[i]]` to the mean of `rows[parts[i]]`, or of the first `known` rows where there are no parts."""
    everything = rows[:known].mean(dim=0)
    for number, part in zip(ids, parts, strict=True):
        rows[number] = rows[list(part)].mean(dim=0) if part else everything


def opened(folder: Path) -> Any:
    """The model with its heads, of the class that its configuration names; only classes of transformers, in fp32."""
    import transformers

    model_type(folder)  # refuses what cannot be trained further
    config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    name = (getattr(config, "architectures", None) or [""])[0]
    kind = getattr(transformers, name, None) if name else transformers.AutoModel
    if kind is None or (name and not issubclass(kind, transformers.PreTrainedModel)):
        raise InputError(f"{folder.name}: transformers has no model class {name!r}", "choose another base")
    with quiet():
        return kind.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
