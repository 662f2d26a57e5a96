"""Next-sentence and sentence-order examples from documents, in English and Chinese.

A document is split into sentences, its sentences are packed into windows of at most `max_tokens`, and each epoch cuts
every window somewhere into A and B; in half of the examples B comes from another document instead (Devlin et al. 2019), or,
for sentence order, A and B are exchanged (Lan et al. 2020).
Each example is f(seed, epoch, index). Only whole sentences are used, so that a cut is no give-away for the wrong B.
What it does NOT do: use documents in which no second sentence can be found; `Corpus.left_out` counts them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import NamedTuple

import numpy as np
from tokenizers import Tokenizer

from sapwood.errors import InputError
from sapwood.models.texts import Ids, whole
from sapwood.text.tokens import joins as whole_words

CLOSING = "”’」』）)\"'"
SENTENCE_END = re.compile(rf"([。！？!?…]+[{CLOSING}]*|\.+[{CLOSING}]*(?=\s|$))")
CLAUSE_END = re.compile(r"([，；;：]|,(?=\s))")


def sentences(text: str) -> list[str]:
    """Split after 。！？!?… , after a full stop before a space, and at newlines. A text of one sentence is split at its commas."""
    found = _split(SENTENCE_END, text)
    return found if len(found) > 1 else _split(CLAUSE_END, text)


def _split(end: re.Pattern[str], text: str) -> list[str]:
    return [line.strip() for line in end.sub(r"\1\n", text).splitlines() if line.strip()]


@dataclass(frozen=True)
class Corpus:
    """Tokenised sentences of documents in one flat array.

    `ids` (tokens,) int32; sentence i is `ids[starts[i]:starts[i+1]]`; document d has the sentences `documents[d]` to
    `documents[d+1]`; `windows` (n, 3) rows of (document, first sentence, one past the last). `joins` (tokens,) is True where
    a token belongs to the word of the token before it; None where nobody asked.
    """

    ids: np.ndarray
    starts: Ids
    documents: Ids
    windows: Ids
    left_out: int
    joins: whole_words.Flags | None = None

    def tokens(self, first: int, stop: int) -> Ids:
        return np.asarray(self.ids[self.starts[first] : self.starts[stop]], dtype=np.int64)

    def joined(self, first: int, stop: int) -> whole_words.Flags:
        """`joins` of the tokens of these sentences; all False where nobody asked."""
        start, end = int(self.starts[first]), int(self.starts[stop])
        return np.zeros(end - start, dtype=bool) if self.joins is None else self.joins[start:end]


SHORTEST_HALF = 4
"""Tokens of half a sentence that are worth a guess."""


class Pair(NamedTuple):
    """`a` and `b` without special tokens; `follows` says whether b truly comes after a; `joins` are the corpus' for a and then b."""

    a: Ids
    b: Ids
    follows: bool
    joins: whole_words.Flags


def corpus(tokenizer: Tokenizer, texts: Iterable[str], max_tokens: int, words: bool = False) -> Corpus:
    """Tokenise documents and pack windows that leave room for [CLS] and two [SEP]. `InputError` under two usable documents.

    `words` fills `joins`, which takes offsets and, for Chinese, jieba.
    """
    room = max_tokens - 3
    if room < 8:
        raise InputError(f"max_tokens {max_tokens} is too short for pairs of sentences", "set max_tokens to 16 or more")
    pieces: list[Ids] = []
    bounds, left_out = [0], 0
    for found in _cut(tokenizer, texts, room // 2, words):
        if len(found) < 2:
            left_out += 1
            continue
        pieces.extend(found)
        bounds.append(len(pieces))
    if len(bounds) < 3:
        raise InputError(f"next-sentence pairs need two documents of {2 * SHORTEST_HALF} tokens or more", "give more documents")
    starts = np.concatenate([[0], np.cumsum([len(piece) for piece in pieces])])
    documents = np.asarray(bounds, dtype=np.int64)
    flat = np.concatenate(pieces)
    joins = (flat & 1).astype(bool) if words else None
    return Corpus((flat >> 1).astype(np.int32), starts, documents, _windows(starts, documents, room), left_out, joins)


def _halved(pieces: list[Ids]) -> list[Ids]:
    """A document of one sentence is cut in the middle, so that tickets and messages of one sentence teach too."""
    if len(pieces) != 1 or len(pieces[0]) < 2 * SHORTEST_HALF:
        return pieces
    middle = len(pieces[0]) // 2
    return [pieces[0][:middle], pieces[0][middle:]]


def _cut(tokenizer: Tokenizer, texts: Iterable[str], longest: int, words: bool) -> Iterator[list[Ids]]:
    """The sentences of each text as 2 x id, + 1 where the token joins; a sentence over `longest` tokens becomes several.

    Encoded 512 texts at a time: one call a text took 37 s for 57,000 short texts, most of it in starting the call.
    """
    waiting = iter(texts)
    while some := list(islice(waiting, 512)):
        lines = [sentences(text) for text in some]
        encoded = iter(coded(tokenizer, [one for many in lines for one in many], words))
        for many in lines:
            rows = [next(encoded) for _ in many]
            yield _halved([row[i : i + longest] for row in rows for i in range(0, len(row), longest)])


def coded(tokenizer: Tokenizer, texts: list[str], words: bool) -> Iterator[Ids]:
    """Each text's tokens as 2 x id, + 1 where the token joins the word before it, so that one cut cuts both. No special tokens."""
    written = whole(texts)
    if not words:
        yield from (np.asarray(row.ids, dtype=np.int64) * 2 for row in tokenizer.encode_batch_fast(written, add_special_tokens=False))
        return
    for text, row in zip(written, tokenizer.encode_batch(written, add_special_tokens=False), strict=True):
        yield np.asarray(row.ids, dtype=np.int64) * 2 + whole_words.joins(text, row.offsets)


def _windows(starts: Ids, documents: Ids, room: int) -> Ids:
    """Greedy runs of two or more sentences of one document in at most `room` tokens. Each sentence is in one window;
    a lone last sentence joins a window with the one before it."""
    rows: list[tuple[int, int, int]] = []
    for number, (first, last) in enumerate(pairwise(documents)):
        at = int(first)
        while at < last:
            stop = max(int(np.searchsorted(starts, starts[at] + room, side="right")) - 1, at + 1)
            stop = min(stop, int(last))
            rows.append((number, at, stop) if stop - at > 1 else (number, at - 1, stop))
            at = stop
    return np.asarray(rows, dtype=np.int64)


def pair(corpus: Corpus, index: int, chance: np.random.Generator, order: bool = False) -> Pair:
    """The example of window `index`: cut at random; with probability 1/2 the second part is exchanged for a run of
    sentences of about the same length from another document or, with `order`, the two parts change places."""
    document, first, stop = (int(x) for x in corpus.windows[index])
    cut = int(chance.integers(first + 1, stop))
    a, b = (first, cut), (cut, stop)
    follows = bool(chance.random() < 0.5)
    if order and not follows:
        a, b = b, a
    joins = [corpus.joined(*a), corpus.joined(*b)]
    if order or follows:
        return Pair(corpus.tokens(*a), corpus.tokens(*b), follows, np.concatenate(joins))
    wanted = int(corpus.starts[stop] - corpus.starts[cut])
    b = _elsewhere(corpus, document, wanted, chance)
    return Pair(corpus.tokens(*a), corpus.tokens(*b)[:wanted], False, np.concatenate([joins[0], corpus.joined(*b)[:wanted]]))


def _elsewhere(corpus: Corpus, document: int, wanted: int, chance: np.random.Generator) -> tuple[int, int]:
    """Whole sentences of another document: at most `wanted` tokens, or one long sentence."""
    other = int(chance.integers(0, len(corpus.documents) - 2))
    other += other >= document
    begin, end = int(corpus.documents[other]), int(corpus.documents[other + 1])
    first = int(chance.integers(begin, end))
    stop = int(np.searchsorted(corpus.starts, corpus.starts[first] + wanted, side="right")) - 1
    return first, min(max(stop, first + 1), end)
