"""Texts beside other texts: query and answer pairs for encoders of one text, and candidates read together with their query."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from tokenizers import Tokenizer

from sapwood.errors import InputError
from sapwood.models.objectives.terms import Batch
from sapwood.models.sources.source import by_length, shuffled
from sapwood.models.texts import Ids, batches, pad, whole


class Pair(NamedTuple):
    """A query, its own text and texts that are wrong for it, as numbers of texts."""

    query: int
    positive: int
    negatives: tuple[int, ...] = ()


@dataclass(frozen=True)
class PairsOfTexts:
    """Steps of `rows` pairs, each ONE batch: every text of a step is a negative of all other queries in it.

    `ids` are the tokens of each different text; equal numbers are equal texts. A text that is right for another query of the step
    (the same positive, or the positive of an equal query) does not count as wrong there. `hard` of a pair's own negatives, drawn for
    each epoch, join. Every step has the stated size: the rest of an epoch, drawn anew each time, is left out. Several processes encode the
    texts of a step together.
    """

    ahead: ClassVar[bool] = True
    ids: Sequence[Ids]
    pairs: Sequence[Pair]
    rows: int
    hard: int = 1
    fill: int = 0
    multiple: int = 8

    def steps(self, seed: int, epoch: int) -> int:
        return max(1, len(self.pairs) // self.rows)

    def at(self, seed: int, epoch: int, index: int) -> list[Batch]:
        chosen = shuffled(len(self.pairs), seed, epoch)[index * self.rows : (index + 1) * self.rows]
        step = [self.pairs[i] for i in chosen]
        drawn = [n for row, pair in zip(chosen, step, strict=True) for n in self._drawn(pair, seed, epoch, int(row))]
        documents = [pair.positive for pair in step] + drawn
        tokens, mask = pad([self.ids[i] for i in [pair.query for pair in step] + documents], self.fill, self.multiple)
        inputs = {"input_ids": torch.from_numpy(tokens), "attention_mask": torch.from_numpy(mask)}
        return [Batch(inputs, {"unfair": torch.from_numpy(unfair(step, documents))}, {"pairs": len(step)}, part=(0, 1))]

    def _drawn(self, pair: Pair, seed: int, epoch: int, row: int) -> list[int]:
        if len(pair.negatives) <= self.hard:
            return list(pair.negatives)
        chance = np.random.default_rng([seed, epoch, row])
        return [pair.negatives[i] for i in chance.choice(len(pair.negatives), self.hard, replace=False)]


def unfair(step: Sequence[Pair], documents: Sequence[int]) -> np.ndarray:
    """(queries, documents) bool: where a document is right for the query, but is not the one that its row names."""
    right: dict[int, set[int]] = {}
    for pair in step:
        right.setdefault(pair.query, set()).add(pair.positive)
    found = np.array([[document in right[pair.query] for document in documents] for pair in step], dtype=bool)
    found[np.arange(len(step)), np.arange(len(step))] = False
    return found


class Query(NamedTuple):
    """The encoded pairs of one query with each of its candidates, and which of them are right."""

    pairs: Sequence[tuple[Ids, Ids]]
    right: Ids


@dataclass(frozen=True)
class Candidates:
    """Steps of `rows` queries of like length, each with its right candidates and at most `wrong` others, drawn for each epoch."""

    ahead: ClassVar[bool] = True
    queries: Sequence[Query]
    rows: int
    wrong: int
    fill: int = 0
    tokens_per_batch: int = 8192
    multiple: int = 8

    def steps(self, seed: int, epoch: int) -> int:
        return -(-len(self.queries) // self.rows)

    def at(self, seed: int, epoch: int, index: int) -> list[Batch]:
        chosen = by_length(self.lengths, self.rows, seed, epoch)[index]
        return [self._batch(part, seed, epoch) for part in batches(self.lengths, self.tokens_per_batch, chosen)]

    @cached_property
    def lengths(self) -> tuple[int, ...]:
        """Tokens of all the pairs of a query that are read in an epoch, were each as long as the longest."""
        return tuple(
            max(len(ids) for ids, _ in query.pairs) * (len(query.right) + min(self.wrong, len(query.pairs) - len(query.right)))
            for query in self.queries
        )

    def drawn(self, number: int, seed: int, epoch: int) -> Ids:
        """The places of the candidates that are read: all right ones, then the wrong ones drawn."""
        query = self.queries[number]
        others = np.setdiff1d(np.arange(len(query.pairs)), query.right)
        if len(others) > self.wrong:
            others = np.sort(np.random.default_rng([seed, epoch, number]).choice(others, self.wrong, replace=False))
        return np.concatenate([query.right, others])

    def _batch(self, part: Ids, seed: int, epoch: int) -> Batch:
        read = [self.drawn(int(i), seed, epoch) for i in part]
        slots = np.full((len(part), max(len(places) for places in read)), -1, dtype=np.int64)
        right = np.zeros(slots.shape, dtype=bool)
        pairs: list[tuple[Ids, Ids]] = []
        for row, (number, places) in enumerate(zip(part, read, strict=True)):
            slots[row, : len(places)] = np.arange(len(pairs), len(pairs) + len(places))
            right[row, : len(self.queries[number].right)] = True
            pairs += [self.queries[number].pairs[place] for place in places]
        targets = {"slots": torch.from_numpy(slots), "right": torch.from_numpy(right)}
        return Batch(padded(pairs, self.fill, self.multiple), targets, {"queries": len(part)})


def padded(pairs: Sequence[tuple[Ids, Ids]], fill: int, multiple: int) -> dict[str, torch.Tensor]:
    """What a model is given for encoded pairs; segments only where the tokenizer tells them apart."""
    ids, mask = pad([one for one, _ in pairs], fill, multiple)
    segments, _ = pad([one for _, one in pairs], 0, multiple)
    inputs = {"input_ids": ids, "attention_mask": mask, **({"token_type_ids": segments} if segments.any() else {})}
    return {name: torch.from_numpy(array) for name, array in inputs.items()}


def encode_pairs(tokenizer: Tokenizer, pairs: Sequence[tuple[str, str]], max_tokens: int) -> list[tuple[Ids, Ids]]:
    """(ids, segments) of each pair, as the tokenizer joins two texts. Of a pair that is too long the candidate keeps its beginning and at
    least half of the room, and the query its end, since the last turns of a dialogue say most about the next one."""
    room = max_tokens - tokenizer.num_special_tokens_to_add(True)
    if room < 4:
        raise InputError(f"max_tokens {max_tokens} leaves no room for two texts", f"set max_tokens to {max_tokens - room + 4} or more")
    flat = whole([text for pair in pairs for text in pair])
    rows = tokenizer.encode_batch_fast(flat, add_special_tokens=False)
    found = []
    for query, candidate in zip(rows[::2], rows[1::2], strict=True):
        candidate.truncate(max(room // 2, room - len(query)))
        query.truncate(max(1, room - len(candidate)), direction="left")
        joined = tokenizer.post_process(query, candidate)
        found.append((np.asarray(joined.ids, dtype=np.int64), np.asarray(joined.type_ids, dtype=np.int64)))
    return found
