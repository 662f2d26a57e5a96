"""Unlikelihood: what a model that writes must not write (Welleck et al. 2020)."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from sapwood.models.objectives import vocabulary
from sapwood.models.objectives.terms import Batch, Objective, Terms
from sapwood.models.objectives.wrapping import charged
from sapwood.models.texts import Ids, pad

NEAREST = 1e-6
"""1 - p is taken to be that at least, so that a phrase that is sure has a finite loss."""


class Place(NamedTuple):
    """Where an example of a batch begins to write: what stands before, and how many tokens it learns."""

    row: int
    context: Ids
    learned: int


def unlikely(inner: Objective, phrases: Sequence[Ids], weight: float) -> Objective:
    """Loss + weight x the mean of -log(1 - p(token)) over the tokens of a phrase, put where the example's own answer begins.

    Each example meets one of the phrases, chosen by what stands before. The first token of a phrase of several is left alone: harmless
    answers begin with it. For the objective `written`; an example weighs as many tokens as it learns.
    """
    assert phrases, "there are no phrases"

    def objective(model: Any, batch: Batch) -> Terms:
        terms, found = inner(model, batch), places(batch)
        chosen = [phrases[zlib.crc32(place.context.tobytes()) % len(phrases)] for place in found]
        losses = _losses(model, batch, found, chosen)
        learned = losses.new_tensor([place.learned for place in found])
        return charged(terms, "unlikely", weight * (losses * learned).sum(), sum(place.learned for place in found))

    return objective


def places(batch: Batch) -> list[Place]:
    """The examples of a batch, packed or one a row; of encoder-decoders the context is what was read."""
    ids = batch.inputs["input_ids"].cpu().numpy()
    both = "decoder_input_ids" in batch.inputs
    width = (batch.inputs["decoder_input_ids"] if both else batch.inputs["input_ids"]).shape[1]
    flat = batch.targets["positions"].cpu().numpy()
    if both:
        mask = batch.inputs["attention_mask"].cpu().numpy().astype(bool)
        rows, counts = np.unique(flat // width, return_counts=True)
        return [Place(int(row), ids[row][mask[row]], int(count)) for row, count in zip(rows, counts, strict=True)]
    told = batch.inputs.get("position_ids")
    first = np.zeros(ids.shape, dtype=bool) if told is None else told.cpu().numpy() == 0
    first[:, 0] = True
    starts = np.flatnonzero(first.ravel())
    owner = np.searchsorted(starts, flat, side="right") - 1
    found = []
    for one in np.unique(owner):
        own = flat[owner == one]
        found.append(Place(int(own[0] // width), ids.ravel()[starts[one] : own.min() + 1], len(own)))
    return found


def _losses(model: Any, batch: Batch, found: Sequence[Place], chosen: Sequence[Ids]) -> Tensor:
    """Mean unlikelihood of each example's phrase, (examples,)."""
    device = batch.inputs["input_ids"].device
    if "decoder_input_ids" in batch.inputs:
        begin = batch.inputs["decoder_input_ids"][:, :1].cpu().numpy()
        written = [np.concatenate([begin[place.row], phrase]) for place, phrase in zip(found, chosen, strict=True)]
        rows = torch.as_tensor([place.row for place in found], device=device)
        inputs = {name: batch.inputs[name][rows] for name in ("input_ids", "attention_mask")}
        inputs["decoder_input_ids"] = torch.from_numpy(pad(written)[0]).to(device)
        befores = [1] * len(found)
    else:
        written = [np.concatenate([place.context, phrase]) for place, phrase in zip(found, chosen, strict=True)]
        ids, mask = pad(written)
        inputs = {"input_ids": torch.from_numpy(ids).to(device), "attention_mask": torch.from_numpy(mask).to(device)}
        befores = [len(place.context) for place in found]
    width = max(len(one) for one in written)
    skipped = [int(len(phrase) > 1) for phrase in chosen]
    spots = [before + s for before, s in zip(befores, skipped, strict=True)]
    flat = np.concatenate(
        [np.arange(spot - 1, len(one) - 1) + row * width for row, (spot, one) in enumerate(zip(spots, written, strict=True))]
    )
    wrong = np.concatenate([one[spot:] for spot, one in zip(spots, written, strict=True)])
    head = vocabulary.head(model, inputs)
    states = head.states.flatten(0, 1)[torch.from_numpy(flat).to(device)]
    logs = vocabulary.token_log_probs(states, head.weight, torch.from_numpy(wrong).to(device), head.bias)
    each = -(1 - logs.exp()).clamp(min=NEAREST).log()
    sizes = torch.as_tensor([len(one) - spot for spot, one in zip(spots, written, strict=True)], device=device)
    owner = torch.repeat_interleave(torch.arange(len(found), device=device), sizes)
    return each.new_zeros(len(found)).index_add(0, owner, each) / sizes
