"""An n-gram language model of token ids: the baseline beside which a neural one has to prove itself.

Interpolated Kneser-Ney (Kneser and Ney 1995; Chen and Goodman 1999, section 2.8) with one discount an order, n1 / (n1 + 2 n2). The highest
order is counted as it is, lower ones by how many different tokens stand before them, and the last backs off to all words alike, so that
probabilities add up to one over the vocabulary. Memory: about 40 bytes a different n-gram. It does not prune and does not forget.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sapwood.errors import InputError

Ids = NDArray[np.int64]
Floats = NDArray[np.float64]
AT_ONCE = 4_000_000
"""Numbers of one piece of work in `between`."""


class Level(NamedTuple):
    """One order. `keys` (sorted) are n-grams as numbers, `counts` how often; `contexts` (sorted), `totals` and `kinds` how many n-grams,
    and how many different ones, begin with each."""

    keys: Ids
    counts: Ids
    contexts: Ids
    totals: Ids
    kinds: Ids
    discount: float


class Ngrams:
    """A model of `order` 1, 2 or 3 of sequences of ids below `vocab`. Each begins as if nothing stood before it.

    `InputError` where `vocab` to the power of the order does not fit a number, and without any token.
    """

    def __init__(self, sequences: Iterable[Ids], vocab: int, order: int = 3) -> None:
        self.order, self.vocab, self.base = order, vocab, vocab + 1
        if self.base**order >= 2**63:
            raise InputError(f"{order}-grams of a vocabulary of {vocab} cannot be numbered", "use a lower order")
        begin = np.full(order - 1, vocab, dtype=np.int64)
        flat = np.concatenate([part for ids in sequences for part in (begin, np.asarray(ids, dtype=np.int64))] or [begin])
        keys = np.zeros(max(0, len(flat) - order + 1), dtype=np.int64)
        for back in range(order):
            keys = keys * self.base + flat[back : len(flat) - order + 1 + back]
        keys = keys[keys % self.base != vocab]
        if not len(keys):
            raise InputError("there is no token to count", "give text")
        self.tokens = len(keys)
        self.levels = [_level(*np.unique(keys, return_counts=True), self.base)]
        for shorter in range(order - 1, 0, -1):
            self.levels.insert(0, _level(*np.unique(self.levels[0].keys % self.base**shorter, return_counts=True), self.base))
        first = self.levels[0]
        self.alone = np.zeros(vocab)
        self.alone[first.keys] = np.maximum(first.counts - first.discount, 0)
        self.alone = (self.alone + first.discount * len(first.keys) / vocab) / first.counts.sum()

    def nats(self, before: Ids, truth: Ids) -> Floats:
        """-ln p of each `truth` (m,) after the tokens `before` (m, order - 1), of which the last stands next to it; `vocab` for none."""
        chance = self.alone[truth]
        for level, seen in zip(self.levels[1:], range(1, self.order), strict=True):
            context = np.zeros(len(truth), dtype=np.int64)
            for column in range(self.order - 1 - seen, self.order - 1):
                context = context * self.base + before[:, column]
            count = _found(level.keys, level.counts, context * self.base + truth)
            total = _found(level.contexts, level.totals, context)
            kinds = _found(level.contexts, level.kinds, context)
            held = (np.maximum(count - level.discount, 0) + level.discount * kinds * chance) / np.maximum(total, 1)
            chance = np.where(total > 0, held, chance)
        return -np.log(chance)

    def between(self, left: Ids, right: Ids, truth: Ids) -> tuple[Floats, NDArray[np.bool_]]:
        """(-ln p, whether it is the likeliest) of each `truth` with its neighbours on both sides known, `vocab` where one is not:
        p(w) is p(w after left) x p(right after w), over its sum. For order 2."""
        level = self.levels[1]
        total, kinds = np.zeros(self.base), np.zeros(self.base)
        total[level.contexts], kinds[level.contexts] = level.totals, level.kinds
        rest = np.where(total > 0, level.discount * kinds / np.maximum(total, 1), 1.0)
        kept = np.maximum(level.counts - level.discount, 0) / total[level.keys // self.base]
        firsts, seconds = level.keys // self.base, level.keys % self.base
        turned = np.argsort(seconds, kind="stable")
        found, likeliest = np.zeros(len(truth)), np.zeros(len(truth), dtype=bool)
        size = max(1, AT_ONCE // self.vocab)
        for start in range(0, len(truth), size):
            part = slice(start, start + size)
            known = right[part] != self.vocab
            chances = np.where((left[part] != self.vocab)[:, None], rest[left[part]][:, None], 1.0) * self.alone[None, :]
            _add(chances, firsts, seconds, kept, np.where(left[part] == self.vocab, -1, left[part]), self.vocab)
            after = rest[None, : self.vocab] * np.append(self.alone, 1.0)[right[part]][:, None]
            _add(after, seconds[turned], firsts[turned], kept[turned], right[part], self.vocab)
            chances *= np.where(known[:, None], after, 1.0)
            own = chances[np.arange(len(chances)), truth[part]]
            found[part] = np.log(chances.sum(1)) - np.log(own)
            likeliest[part] = chances.argmax(1) == truth[part]
        return found, likeliest


def _level(keys: Ids, counts: Ids, base: int) -> Level:
    contexts, where = np.unique(keys // base, return_index=True)
    once, twice = int((counts == 1).sum()), int((counts == 2).sum())
    discount = once / (once + 2 * twice) if once and twice else 0.5
    kinds = np.diff(np.append(where, len(keys)))
    return Level(keys, counts, contexts, np.add.reduceat(counts, where), kinds, discount)


def _found(keys: Ids, values: Ids, wanted: Ids) -> Ids:
    """The value of each wanted key; 0 where there is none."""
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    found: Ids = np.where(keys[place] == wanted, values[place], 0)
    return found


def _add(rows: Floats, keys: Any, columns: Any, values: Any, wanted: Ids, vocab: int) -> None:
    """Add to row i the `values` of the entries whose (sorted) key is `wanted[i]`, each at its column."""
    starts, ends = np.searchsorted(keys, wanted), np.searchsorted(keys, wanted, side="right")
    for row, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
        here = columns[start:end]
        rows[row, here[here < vocab]] += values[start:end][here < vocab]
