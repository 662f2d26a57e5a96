"""Batches by token budget, in front of one engine: a bounded queue and one inference thread.

The thread takes what waits the moment it is free (no waiting for a batch to fill), as many texts as fit the budget when
padded to the longest. A job whose client left is skipped, whole or from the next batch on.

Not done here: no priorities and no fairness between clients; texts are answered in the order they came.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sapwood.errors import ResourceError
from sapwood.serving.deployment import Engine

Probs = NDArray[np.float32]
logger = logging.getLogger(__name__)


class Overloaded(ResourceError):
    """The queue is full. `retry_after_s` is when the texts now waiting should be done."""

    def __init__(self, waiting: int, retry_after_s: int) -> None:
        super().__init__(f"{waiting} texts are waiting already", f"try again in {retry_after_s} s")
        self.retry_after_s = retry_after_s


class Closed(Exception):
    """This batcher takes nothing more: its engine was replaced. Ask the one that replaced it."""


@dataclass(frozen=True)
class Limits:
    """`batch_tokens`: padded tokens of one batch. `waiting`: most texts in the queue."""

    batch_tokens: int = 4096
    waiting: int = 512


@dataclass(frozen=True)
class Done:
    """`probs` is (texts, labels); times in seconds: in the queue until the first batch, and in the engine."""

    probs: Probs
    queue_s: float
    inference_s: float


@dataclass(eq=False)
class Job:
    """The texts of one request. Its future is cancelled when the client leaves."""

    texts: Sequence[str]
    tokens: Sequence[int]
    future: Future[Done] = field(default_factory=Future)
    submitted: float = field(default_factory=time.monotonic)
    rows: list[Probs] = field(default_factory=list)
    queue_s: float = -1.0
    inference_s: float = 0.0


Watch = Callable[[int, int], None]
"""Told of each batch: how many texts, how many padded tokens."""


class Batcher:
    """Queue and inference thread of one engine. `submit` may be called from any thread."""

    def __init__(self, engine: Engine, limits: Limits = Limits(), watch: Watch = lambda texts, tokens: None) -> None:
        self.engine = engine
        self.limits = limits
        self._watch = watch
        self._changed = threading.Condition()
        self._queue: deque[tuple[Job, int]] = deque()
        self._closing = False
        self._tokens_per_s = 10_000.0  # a guess until the first batch has been measured
        self.running = 0
        self._thread = threading.Thread(target=self._work, name="inference", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Texts in the queue."""
        return len(self._queue)

    def submit(self, texts: Sequence[str], tokens: Sequence[int]) -> Job:
        """Queue the texts (`tokens`: their counts). Raises `Overloaded` or `Closed`."""
        job = Job(texts, tokens)
        with self._changed:
            if self._closing:
                raise Closed
            self._forget_left()
            if len(self._queue) + len(texts) > self.limits.waiting:
                raise Overloaded(len(self._queue), self._retry_after())
            self._queue.extend((job, i) for i in range(len(texts)))
            self._changed.notify()
        return job

    def close(self, wait_s: float = 5.0) -> bool:
        """Take nothing more, answer what waits, stop the thread. False when that took longer than `wait_s`."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(wait_s)
        return not self._thread.is_alive()

    def _work(self) -> None:
        while batch := self._next():
            self._answer(batch)

    def _next(self) -> list[tuple[Job, int]]:
        """The next batch; empty only when closing with nothing left."""
        with self._changed:
            batch: list[tuple[Job, int]] = []
            while not batch:
                self._changed.wait_for(lambda: self._queue or self._closing)
                if not self._queue:
                    return []
                longest = 0
                while self._queue:
                    job, i = self._queue[0]
                    longest = max(longest, job.tokens[i])
                    if batch and longest * (len(batch) + 1) > self.limits.batch_tokens:
                        break
                    self._queue.popleft()
                    if not job.future.cancelled():
                        batch.append((job, i))
            self.running = len(batch)
            return batch

    def _answer(self, batch: list[tuple[Job, int]]) -> None:
        began = time.monotonic()
        padded = len(batch) * max(job.tokens[i] for job, i in batch)
        try:
            probs = self.engine.predict([job.texts[i] for job, i in batch])
            if len(probs) != len(batch) or not np.isfinite(probs).all():
                raise ValueError(f"the engine answered {probs.shape} for {len(batch)} texts, or not with finite numbers")
        except Exception as fault:  # whatever an engine raises belongs to these jobs; the thread goes on
            logger.exception("inference failed on a batch of %d", len(batch))
            for job in {id(job): job for job, _ in batch}.values():
                _finish(job, fault)
            return
        finally:
            self.running = 0
        took = time.monotonic() - began
        self._tokens_per_s = 0.8 * self._tokens_per_s + 0.2 * padded / max(took, 1e-6)
        self._watch(len(batch), padded)
        for job in {id(job): job for job, _ in batch}.values():
            job.queue_s = job.queue_s if job.queue_s >= 0 else began - job.submitted
            job.inference_s += took
        for (job, _), row in zip(batch, probs, strict=True):
            job.rows.append(row)
            if len(job.rows) == len(job.texts):
                _finish(job, Done(np.stack(job.rows), job.queue_s, job.inference_s))

    def _forget_left(self) -> None:
        """Free the places of clients that left. Only when it matters: half full or more."""
        if len(self._queue) * 2 >= self.limits.waiting:
            self._queue = deque(item for item in self._queue if not item[0].future.cancelled())

    def _retry_after(self) -> int:
        tokens = sum(job.tokens[i] for job, i in self._queue)
        return min(60, max(1, math.ceil(tokens / self._tokens_per_s)))


def _finish(job: Job, outcome: Done | Exception) -> None:
    """Give the job its outcome, unless its client left or it already has one."""
    if job.future.done() or not job.future.set_running_or_notify_cancel():
        return
    if isinstance(outcome, Done):
        job.future.set_result(outcome)
    else:
        job.future.set_exception(outcome)
