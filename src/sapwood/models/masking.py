"""Corruption for masked language modelling: a pure function of (seed, epoch, example), so that no batch size, number of
processes or resume changes it. Method: Devlin et al. 2019, section 3.1 (15 % chosen; of these 80 % mask, 10 % random, 10 % kept);
whole words as in Cui et al. 2021; spans as in Raffel et al. 2020, section 3.1.4 and their released code."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sapwood.models.texts import Ids


def generator(seed: int, epoch: int, example: int) -> np.random.Generator:
    """The one source of chance for one example in one epoch."""
    return np.random.default_rng([seed, epoch, example])


def mask(
    ids: Ids,
    special: NDArray[np.bool_],
    rate: float,
    mask_id: int,
    vocab: int,
    chance: np.random.Generator,
    joins: NDArray[np.bool_] | None = None,
) -> tuple[Ids, Ids]:
    """(corrupted ids, chosen positions in rising order). `special` positions are never chosen.

    `rate` of the others are, rounded, and at least one. Random replacements are drawn from the whole vocabulary. With `joins` (True
    where a token belongs to the word of the token before it) whole words are chosen, as many as come nearest to that number.
    """
    free = np.flatnonzero(~special)
    if not len(free):
        return ids, free
    wanted = max(1, round(rate * len(free)))
    drawn = chance.choice(free, size=wanted, replace=False) if joins is None else _words(free, joins, wanted, chance)
    chosen = np.sort(drawn)
    fate = chance.random(len(chosen))
    fresh = chance.integers(0, vocab, size=len(chosen))
    corrupted = ids.copy()
    corrupted[chosen] = np.where(fate < 0.8, mask_id, np.where(fate < 0.9, fresh, ids[chosen]))
    return corrupted, chosen


def _words(free: Ids, joins: NDArray[np.bool_], wanted: int, chance: np.random.Generator) -> Ids:
    """Positions of words in a drawn order, until there are about `wanted`. A word is a run of `free` positions that join."""
    follows = joins[free] & np.concatenate([[False], np.diff(free) == 1])
    number = np.cumsum(~follows) - 1
    order = chance.permutation(number[-1] + 1)
    sizes = np.bincount(number)[order]
    taken = np.cumsum(sizes) - sizes / 2 <= wanted
    taken[0] = True
    kept: Ids = free[np.isin(number, order[taken])]
    return kept


def spans(length: int, rate: float, mean: float, chance: np.random.Generator) -> NDArray[np.bool_]:
    """bool (length,): the tokens that are hidden, `rate` of them in spans of `mean` tokens on average, the first token never.

    Hidden and kept tokens are each cut into as many random pieces, which alternate; the last piece is hidden. A text of one token
    hides none.
    """
    hidden = min(max(1, round(length * rate)), length - 1)
    if hidden < 1:
        return np.zeros(length, dtype=bool)
    count = min(max(1, round(hidden / mean)), hidden, length - hidden)
    sizes = np.stack([_cut(length - hidden, count, chance), _cut(hidden, count, chance)], axis=1).ravel()
    return np.repeat(np.arange(2 * count) % 2 == 1, sizes)


def _cut(total: int, pieces: int, chance: np.random.Generator) -> Ids:
    """Lengths of `pieces` pieces of 1 or more that make `total`, every way of cutting being as likely."""
    cuts = np.sort(chance.choice(total - 1, size=pieces - 1, replace=False)) + 1 if pieces > 1 else np.zeros(0, dtype=np.int64)
    return np.diff(np.concatenate([[0], cuts, [total]]))
