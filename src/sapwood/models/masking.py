"""Corruption for masked language modelling: a pure function of (seed, epoch, example), so that no batch size, number of
processes or resume changes it. Method: Devlin et al. 2019, section 3.1 (15 % chosen; of these 80 % mask, 10 % random, 10 % kept)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sapwood.models.texts import Ids


def generator(seed: int, epoch: int, example: int) -> np.random.Generator:
    """The one source of chance for one example in one epoch."""
    return np.random.default_rng([seed, epoch, example])


def mask(ids: Ids, special: NDArray[np.bool_], rate: float, mask_id: int, vocab: int, chance: np.random.Generator) -> tuple[Ids, Ids]:
    """(corrupted ids, chosen positions in rising order). `special` positions are never chosen.

    `rate` of the others are, rounded, and at least one. Random replacements are drawn from the whole vocabulary.
    """
    free = np.flatnonzero(~special)
    if not len(free):
        return ids, free
    chosen = np.sort(chance.choice(free, size=max(1, round(rate * len(free))), replace=False))
    fate = chance.random(len(chosen))
    fresh = chance.integers(0, vocab, size=len(chosen))
    corrupted = ids.copy()
    corrupted[chosen] = np.where(fate < 0.8, mask_id, np.where(fate < 0.9, fresh, ids[chosen]))
    return corrupted, chosen
