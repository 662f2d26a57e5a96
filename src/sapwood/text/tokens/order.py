"""The order in which packed sequences are read: f(seed, epoch), so that a place in training is three integers.

Block shuffle: sequences that lie side by side make blocks of `BLOCK`; the blocks are shuffled, `MIX` of them at a time make a pool, and
the pool is shuffled. So disk and page cache see whole blocks, while a batch is drawn from 16,384 sequences of 64 places of the text.
Which sequence stands at a place is found without reading what comes before it: memory and time do not grow with the place, and with
the number of sequences only by one integer a block.

A batch is cut out of this one global order, and workers take shares of the batch; so their number changes who reads a sequence, never
which is read when. After an epoch's last sequence the batch goes on with the next epoch's first: none is dropped.

Numbers come from splitmix64, not from numpy's generators, whose streams may change between versions.
It does not weigh sources: what is there twice as often is read twice as often.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sapwood.errors import InputError
from sapwood.text.tokens.shards import Packed, Stored

Array = NDArray[np.int64]
BLOCK, MIX = 256, 64
GOLDEN = 0x9E3779B97F4A7C15


class Cursor(NamedTuple):
    """Everything before that `place` of the `epoch` was read. A checkpoint keeps these three integers."""

    seed: int
    epoch: int
    place: int


class Batch(NamedTuple):
    """One worker's share of a batch, and where the next batch begins (the same for every worker)."""

    sequences: list[Stored]
    next: Cursor


def read(packed: Packed, at: Cursor, batch: int, worker: int = 0, workers: int = 1) -> Iterator[Batch]:
    """Batches without end from the cursor on. All workers' shares, in the order of the workers, are the global batch.

    Raises `InputError` for shards without a sequence and for a worker that is not one of `workers`.
    """
    if not 0 <= worker < workers:
        raise InputError(f"worker {worker} is not one of {workers}", f"number them from 0 to {workers - 1}")
    while True:
        numbers, at = take(len(packed), at, batch)
        yield Batch([packed.sequence(int(number)) for number in share(numbers, worker, workers)], at)


def take(count: int, at: Cursor, size: int) -> tuple[Array, Cursor]:
    """The numbers of the `size` sequences from the cursor on, and the cursor after them."""
    if count < 1:
        raise InputError("there is no sequence to read", "pack documents that are not empty")
    seed, epoch, place = at
    epoch, place = epoch + place // count, place % count
    parts: list[Array] = []
    while size > 0:
        end = min(count, place + size)
        parts.append(places(count, seed, epoch, place, end))
        size -= end - place
        epoch, place = (epoch + 1, 0) if end == count else (epoch, end)
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64), Cursor(seed, epoch, place)


def share(numbers: Array, worker: int, workers: int) -> Array:
    """The part of a batch that one worker reads: one after the other, as equal as can be."""
    return numbers[len(numbers) * worker // workers : len(numbers) * (worker + 1) // workers]


def at_step(count: int, seed: int, batch: int, step: int, epoch: int | None = None) -> Cursor:
    """Where a step begins. `step` counts from 0 over the whole training, or within `epoch` where one is given.

    Raises `InputError` for shards without a sequence and for a step past the epoch's end.
    """
    if count < 1:
        raise InputError("there is no sequence to read", "pack documents that are not empty")
    if epoch is None:
        return Cursor(seed, *divmod(step * batch, count))
    if step * batch >= count:
        raise InputError(f"an epoch has no step {step}: its {count} sequences are {-(-count // batch)} steps", "count steps from 0")
    return Cursor(seed, epoch, step * batch)


def places(count: int, seed: int, epoch: int, start: int, end: int) -> Array:
    """The numbers of the sequences at the places `start` to `end` (excluded) of an epoch with `count` sequences."""
    pool = BLOCK * MIX
    short = -count % BLOCK  # what the last block lacks
    holder = int(np.flatnonzero(_blocks(count, seed, epoch) == -(-count // BLOCK) - 1)[0]) // MIX  # the pool with the last block
    parts, at = [], start
    while at < end:
        number = at // pool if at < holder * pool + pool - short else (at + short) // pool
        first = number * pool - (short if number > holder else 0)
        order = _pool(count, seed, epoch, number)
        parts.append(order[at - first : end - first])
        at = first + len(order)
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)


@lru_cache(maxsize=8)
def _blocks(count: int, seed: int, epoch: int) -> Array:
    """The blocks in the order of the epoch."""
    return shuffled(np.arange(-(-count // BLOCK)), seed, epoch, 0)


@lru_cache(maxsize=8)
def _pool(count: int, seed: int, epoch: int, number: int) -> Array:
    """The sequences of one pool in their order."""
    blocks = np.sort(_blocks(count, seed, epoch)[number * MIX : number * MIX + MIX])
    inside = (blocks[:, None] * BLOCK + np.arange(BLOCK)).ravel()
    return shuffled(inside[inside < count], seed, epoch, number + 1)


def shuffled(values: Array, *key: int) -> Array:
    """The values in an order that depends on them and the key only."""
    state = 0
    for part in key:
        state = (int(_mixed(np.array([(state + part) % 2**64], dtype=np.uint64))[0]) + GOLDEN) % 2**64
    ranks = _mixed(values.astype(np.uint64) * np.uint64(GOLDEN) + np.uint64(state))
    ordered: Array = values[np.argsort(ranks, kind="stable")]
    return ordered


def _mixed(values: NDArray[Any]) -> NDArray[Any]:
    """The finaliser of splitmix64 (Steele, Lea, Flood 2014)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: NDArray[Any] = values ^ (values >> np.uint64(31))
    return mixed
