"""Held-out scores of language models, and of the counts that stand beside them.

Each example is a row of sums (nats, tokens, bytes, how many were right); loss, perplexity and bits per byte are functions of them. A
token's bytes are those of the text that it spells, special tokens having none, so bits per byte compares models with different
tokenizers; with WordPiece, which drops spaces, it is bits per byte of the text without them. Examples of one document are taken as
independent, so intervals are somewhat narrow.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import decoders

from sapwood.metrics.measured import Measured, Score
from sapwood.models.objectives.terms import Batch
from sapwood.models.objectives.vocabulary import ROOM
from sapwood.models.pretraining.pretraining import HELD_OUT_TOKENS
from sapwood.models.sources.source import Source
from sapwood.text.ngrams import Ngrams

Floats = NDArray[np.float64]
Ids = NDArray[np.int64]
LOSSES = frozenset({"loss", "mlm", "nsp", "sop", "perplexity", "bits_per_byte"})


def batches(source: Source) -> Iterator[Batch]:
    """The batches that are measured: the first steps of epoch 0 under seed 0, as many as hold about `HELD_OUT_TOKENS`."""
    seen = 0
    for index in range(source.steps(0, 0)):
        for batch in source.at(0, 0, index):
            seen += batch.inputs["input_ids"].numel()
            yield batch
        if seen >= HELD_OUT_TOKENS:
            return


def answers(states: Any, weight: Any, bias: Any, truth: Any) -> tuple[Floats, NDArray[np.bool_]]:
    """(-ln p, whether it is the likeliest) of each truth (m,), a chunk of logits at a time."""
    nats, likeliest = [np.zeros(0)], [np.zeros(0, dtype=bool)]
    low: list[Any] = [None if part is None else part.detach().to(states.dtype) for part in (weight, bias)]
    for start in range(0, len(truth), size := max(1, ROOM // len(weight))):
        part = slice(start, start + size)
        logits = torch.nn.functional.linear(states[part].detach(), *low).float()
        nats.append(torch.nn.functional.cross_entropy(logits, truth[part], reduction="none").double().cpu().numpy())
        likeliest.append((logits.argmax(-1) == truth[part]).cpu().numpy())
    return np.concatenate(nats), np.concatenate(likeliest)


def spelled(tokenizer: Any, vocab: int) -> Ids:
    """Bytes that each id spells, (vocab,)."""
    special = {number for number, token in tokenizer.get_added_tokens_decoder().items() if token.special}
    every = tokenizer.get_vocab(with_added_tokens=True)
    whole = isinstance(tokenizer.decoder, decoders.ByteLevel)
    found = np.zeros(vocab, dtype=np.int64)
    for token, number in every.items():
        if number not in special:
            found[number] = len(token) if whole else len(token.removeprefix("##").replace("▁", " ").encode())
    return found


def summed(owner: Ids, nats: Floats, size: Ids, right: NDArray[np.bool_]) -> Floats:
    """(examples, 4): sums of nats, tokens, bytes and right ones by the `owner` (m,) of each token; examples without tokens are left out."""
    _, number = np.unique(owner, return_inverse=True)
    columns = (nats, np.ones(len(nats)), size, right)
    return np.stack([np.bincount(number, weights=column) for column in columns], axis=1)


def _share(of: int, by: int) -> Score:
    return lambda sums: sums[..., of] / sums[..., by]


def _perplexity(sums: Floats) -> Floats:
    """exp of the loss; infinite for a model that has gone wrong, without a word of numpy's."""
    with np.errstate(over="ignore"):
        found: Floats = np.exp(sums[..., 0] / sums[..., 1])
    return found


def language(counts: Floats, guessed: bool = True) -> Measured:
    """Scores of (nats, tokens, bytes, right) rows. Without `guessed` nobody looked for the likeliest token, so there is no accuracy."""
    scores: dict[str, Score] = {
        "loss": _share(0, 1),
        "perplexity": _perplexity,
        "bits_per_byte": lambda sums: sums[..., 0] / np.log(2) / np.maximum(sums[..., 2], 1),
    }
    return Measured(counts, {**scores, "accuracy": _share(3, 1)} if guessed else scores, LOSSES)


def masked(counts: Floats, second: str = "") -> Measured:
    """Scores of (nats, tokens, bytes, right) rows of masked words, and with `second` (nats, 1, right) of two sentences behind them."""
    scores: dict[str, Score] = {
        "loss": (lambda sums: sums[..., 0] / sums[..., 1] + sums[..., 4] / sums[..., 5]) if second else _share(0, 1),
        "mlm": _share(0, 1),
        "mlm_accuracy": _share(3, 1),
        "perplexity": _perplexity,
        "bits_per_byte": lambda sums: sums[..., 0] / np.log(2) / np.maximum(sums[..., 2], 1),
    }
    if second:
        scores |= {second: _share(4, 5), f"{second}_accuracy": _share(6, 5)}
    return Measured(counts, scores, LOSSES)


class Asked(NamedTuple):
    """Tokens (m,) that were asked for, whose example each belongs to, and the two tokens before each (m, 2); `vocab` for none."""

    truth: Ids
    owner: Ids
    before: Ids


class Counted:
    """The baselines' counts: `alone` is a token's frequency in the taught text, `near` looks at its neighbours. The first `first`
    tokens of a row are never asked for, and so no guess: one begins each document, which among short texts is the commonest token."""

    def __init__(self, rows: list[Ids], vocab: int, order: int, first: int = 0) -> None:
        counts = np.bincount(np.concatenate([row[first:] for row in rows]), minlength=vocab) + 1
        self.vocab, self.common = vocab, int(counts.argmax())
        self.alone: Floats = -np.log(counts / counts.sum())
        self.near = Ngrams(rows, vocab, order)


def within(rows: Iterator[Ids], most: int) -> list[Ids]:
    """The first rows that hold about that many tokens."""
    found: list[Ids] = []
    seen = 0
    for row in rows:
        found.append(row)
        seen += len(row)
        if seen >= most:
            break
    return found


def beside(asked: Iterable[Asked], rows: list[Ids], size: Ids, first: int = 0) -> dict[str, Measured]:
    """What counting the taught `rows` gets on the tokens that were asked for, by their frequencies and by the two tokens before them."""
    counted = Counted(rows, len(size), 3, first)
    alone, near = [], []
    for truth, owner, before in asked:
        alone.append(summed(owner, counted.alone[truth], size[truth], truth == counted.common))
        near.append(summed(owner, counted.near.nats(before, truth), size[truth], np.zeros(len(truth), dtype=bool)))
    return {"unigram": language(np.concatenate(alone)), "trigram": language(np.concatenate(near), guessed=False)}
