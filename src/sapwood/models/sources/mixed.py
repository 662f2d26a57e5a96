"""New examples with old ones in each step, and examples with their twins. Pure functions of (seed, epoch, index), as their inner ones are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch

from sapwood.models.objectives.terms import Batch
from sapwood.models.sources.source import Source
from sapwood.models.texts import Ids, pad


@dataclass(frozen=True)
class Mixed:
    """Every step of `new` with one of `old`, which begins again when it is through. The share is that of the two sources' rows a step."""

    new: Source
    old: Source

    @property
    def ahead(self) -> bool:
        return self.new.ahead and self.old.ahead

    def steps(self, seed: int, epoch: int) -> int:
        return self.new.steps(seed, epoch)

    def at(self, seed: int, epoch: int, index: int) -> list[Batch]:
        turn, place = 0, index + sum(self.new.steps(seed, before) for before in range(epoch))
        while place >= (length := self.old.steps(seed, turn)):
            turn, place = turn + 1, place - length
        return [*self.new.at(seed, epoch, index), *self.old.at(seed, turn, place)]


@dataclass(frozen=True)
class Twinned:
    """Batches with the twins of their rows, where the twin differs. `twins`: bytes of a row's ids (int64, no padding) to the twin's ids."""

    ahead: ClassVar[bool] = True
    inner: Source
    twins: Mapping[bytes, Ids]
    fill: int = 0

    def steps(self, seed: int, epoch: int) -> int:
        return self.inner.steps(seed, epoch)

    def at(self, seed: int, epoch: int, index: int) -> list[Batch]:
        return [self._with(batch) for batch in self.inner.at(seed, epoch, index)]

    def _with(self, batch: Batch) -> Batch:
        ids, mask = batch.inputs["input_ids"].numpy(), batch.inputs["attention_mask"].numpy().astype(bool)
        found = {row: twin for row in range(len(ids)) if (twin := self.twins.get(ids[row][mask[row]].tobytes())) is not None}
        twin_ids, twin_mask = pad(list(found.values()), self.fill, 8)
        arrays = {"twin_rows": np.asarray(list(found), dtype=np.int64), "twin_ids": twin_ids, "twin_mask": twin_mask}
        return replace(batch, targets={**batch.targets, **{name: torch.from_numpy(array) for name, array in arrays.items()}})
