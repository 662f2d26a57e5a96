"""Batches made one step ahead in another thread, so that training does not wait for them."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

from sapwood.models.objectives.terms import Batch
from sapwood.models.sources.source import Source

Place = tuple[int, int]


class Ahead:
    """A context around a source. `take(epoch, index)` gives a step's micro-batches and starts on the next step's.

    `waited` counts the seconds that training stood still for data. What it gives does not depend on time: `at` is a pure function.
    """

    def __init__(self, source: Source, seed: int) -> None:
        self.source, self.seed, self.waited = source, seed, 0.0
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="batches")
        self._next: tuple[Place, Future[list[Batch]]] | None = None

    def __enter__(self) -> Ahead:
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def take(self, epoch: int, index: int) -> list[Batch]:
        started = time.perf_counter()
        if not self.source.ahead:
            return self.source.at(self.seed, epoch, index)
        if self._next is not None and self._next[0] == (epoch, index):
            micro = self._next[1].result()
        else:
            micro = self.source.at(self.seed, epoch, index)
        self.waited += time.perf_counter() - started
        place = (epoch, index + 1) if index + 1 < self.source.steps(self.seed, epoch) else (epoch + 1, 0)
        self._next = (place, self._pool.submit(self.source.at, self.seed, *place))
        return micro
