"""Sentence pairs with masked words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
import torch

from sapwood.models import masking, pairs
from sapwood.models.objectives.terms import Batch
from sapwood.models.sources.source import PADDING, mingled
from sapwood.models.texts import Ids, batches, pad


@dataclass(frozen=True)
class SpecialTokens:
    """Ids of the special tokens that pretraining places itself, and the size of the vocabulary."""

    cls: int
    sep: int
    mask: int
    pad: int
    vocab: int


@dataclass(frozen=True)
class MaskedPairs:
    """Next-sentence pairs of a corpus with masked tokens. A step has `rows` pairs."""

    ahead: ClassVar[bool] = True
    corpus: pairs.Corpus
    special: SpecialTokens
    rows: int
    rate: float = 0.15
    tokens_per_batch: int = 8192
    multiple: int = 8
    order: bool = False
    """Sentence order: B changes places with A, not with another document's; the term is then `sop`, not `nsp`."""

    def steps(self, seed: int, epoch: int) -> int:
        return -(-len(self.corpus.windows) // self.rows)

    def at(self, seed: int, epoch: int, index: int) -> list[Batch]:
        chosen = mingled(self.lengths, self.rows, seed, epoch)[index]
        made = [self.example(seed, epoch, int(i)) for i in chosen]
        return [self._batch([made[i] for i in part]) for part in batches([len(m[0]) for m in made], self.tokens_per_batch, padding=PADDING)]

    @cached_property
    def lengths(self) -> tuple[int, ...]:
        """Tokens of each window; a pair made of it has at most three more."""
        starts, windows = self.corpus.starts, self.corpus.windows
        return tuple(int(n) for n in starts[windows[:, 2]] - starts[windows[:, 1]])

    def example(self, seed: int, epoch: int, number: int) -> tuple[Ids, Ids, Ids, Ids, int]:
        """(corrupted ids, segments, masked positions, true ids there, 0 if B follows A else 1) of [CLS] A [SEP] B [SEP]."""
        chance = masking.generator(seed, epoch, number)
        a, b, follows, joins = pairs.pair(self.corpus, number, chance, self.order)
        s = self.special
        ids = np.concatenate([[s.cls], a, [s.sep], b, [s.sep]])
        segments = np.repeat([0, 1], [len(a) + 2, len(b) + 1])
        joined = None if self.corpus.joins is None else np.insert(joins, [0, len(a), len(joins)], False)
        corrupted, chosen = masking.mask(ids, np.isin(ids, (s.cls, s.sep)), self.rate, s.mask, s.vocab, chance, joined)
        return corrupted, segments, chosen, ids[chosen], int(not follows)

    def _batch(self, made: Sequence[tuple[Ids, Ids, Ids, Ids, int]]) -> Batch:
        ids, mask = pad([m[0] for m in made], self.special.pad, self.multiple)
        segments, _ = pad([m[1] for m in made], 0, self.multiple)
        positions = np.concatenate([m[2] + row * ids.shape[1] for row, m in enumerate(made)])
        tokens, follows = np.concatenate([m[3] for m in made]), np.asarray([m[4] for m in made], dtype=np.int64)
        inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": segments}
        targets = {"positions": positions, "tokens": tokens, "next": follows}
        return Batch(
            {k: torch.from_numpy(v) for k, v in inputs.items()},
            {k: torch.from_numpy(v) for k, v in targets.items()},
            {"mlm": len(tokens), "sop" if self.order else "nsp": len(follows)},
        )
