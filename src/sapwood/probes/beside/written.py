"""Beside models that write: systems that need no training of weights, each answering with a text.

For a text in other words than its answer (translation): the text itself, a dictionary learned from the training pairs, and the answer of the
nearest training text (a translation memory). For an answer in the text's own words (summaries, titles): the text's beginning, as long as
answers are, and one of its sentences at random. For conversations: the answer of the training conversation with the nearest question.
English is taken in words, Chinese in characters. What they do NOT know: grammar, word order, and words that no training row has.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from statistics import median
from typing import Any

from sapwood.errors import InputError
from sapwood.metrics.written import words
from sapwood.models.tasks.chat import Chat
from sapwood.models.tasks.task import Row

PIECE = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]|[^\W_]+(?:['’][^\W_]+)?|[^\w\s]")
HAN = re.compile(r"[\u3400-\u9fff\uf900-\ufaff\u3000-\u303f\uff00-\uffef]")
SENTENCE = re.compile(r"(?<=[。！？!?])|(?<=[.])\s+|\n+")
LONGEST = 4
"""Words or characters of an entry of the dictionary, on either side."""
LEAST = 0.2
"""Dice coefficient below which an entry is not believed; what has none is copied."""
OWN_WORDS = 0.5
"""Share of an answer's words that its text has, on average, from which answers are taken to be in the text's own words."""


def beside(task: Any, train: Sequence[Row], rows: Sequence[Row]) -> dict[str, list[str]]:
    """The answers of each system on `rows`."""
    if isinstance(task, Chat):
        known, asked = ([_question(task, row) for row in some] for some in (train, rows))
        return {"nearest question": nearest(known, [_answer(task, row) for row in train], asked)}
    texts, targets, asked = [row["text"] for row in train], [row[task.target] for row in train], [row["text"] for row in rows]
    if own_words(texts, targets) >= OWN_WORDS:
        length = int(median(len(PIECE.findall(target)) for target in targets))
        return {"lead": [lead(text, length) for text in asked], "random sentence": random_sentences(asked)}
    return {"copy": list(asked), "dictionary": Dictionary(texts, targets).translated(asked), "nearest": nearest(texts, targets, asked)}


def own_words(texts: Sequence[str], targets: Sequence[str]) -> float:
    """Mean share of the targets' words that stand in their texts."""
    shares = [len(set(words(b)) & set(words(a))) / len(set(words(b))) for a, b in zip(texts, targets, strict=True) if words(b)]
    return sum(shares) / len(shares) if shares else 0.0


def lead(text: str, length: int) -> str:
    """The text's first sentence, or its first `length` words where that is longer."""
    first = next((part for part in SENTENCE.split(text) if part.strip()), "")
    return joined(PIECE.findall(first)[:length])


def random_sentences(texts: Sequence[str]) -> list[str]:
    """One sentence of each text, always the same for the same texts."""
    draw = random.Random(0)
    return [draw.choice([part.strip() for part in SENTENCE.split(text) if part.strip()] or [""]) for text in texts]


def nearest(known: Sequence[str], answers: Sequence[str], asked: Sequence[str]) -> list[str]:
    """The answer of the training text with the highest cosine of TF-IDF vectors over words, characters and pairs of them."""
    import numpy as np
    from sklearn.feature_extraction.text import TfidfVectorizer

    made = TfidfVectorizer(analyzer=lambda text: _grams([one.lower() for one in PIECE.findall(text)], 2), sublinear_tf=True)
    held = made.fit_transform(known)
    found: list[str] = []
    for start in range(0, len(asked), 256):
        near = made.transform(asked[start : start + 256]) @ held.T
        found += [answers[i] for i in np.asarray(near.argmax(axis=1)).ravel()]
    return found


class Dictionary:
    """For runs of up to `LONGEST` words of a text the run of the answer with the highest Dice coefficient over training pairs (Dice 1945;
    used so for translation by Smadja et al. 1996). Of equals the longer one."""

    def __init__(self, texts: Sequence[str], targets: Sequence[str]) -> None:
        import numpy as np
        from sklearn.feature_extraction.text import CountVectorizer

        sides = [CountVectorizer(analyzer=_runs, binary=True, min_df=2) for _ in range(2)]
        try:
            a, b = (side.fit_transform(given) for side, given in zip(sides, (texts, targets), strict=True))
        except ValueError:
            raise InputError("no words come twice in the training pairs, so there is no dictionary", "give more training rows") from None
        ours, theirs = (side.get_feature_names_out() for side in sides)
        both, often = (a.T @ b).tocsr(), np.asarray(b.sum(0)).ravel()
        lengths = np.asarray([len(run) for run in theirs])
        self.entries: dict[str, str] = {}
        for i, count in enumerate(np.asarray(a.sum(0)).ravel()):
            row = slice(both.indptr[i], both.indptr[i + 1])
            columns, together = both.indices[row], both.data[row]
            dice = np.round(2 * together / (count + often[columns]), 9)
            best = np.lexsort((columns, -lengths[columns], -dice))[:1]
            if len(best) and together[best[0]] > 1 and dice[best[0]] >= LEAST:
                self.entries[str(ours[i])] = str(theirs[columns[best[0]]])

    def translated(self, texts: Sequence[str]) -> list[str]:
        """Each text by its longest known runs from left to right; a word that is in none is copied."""
        return [joined(self._pieces(PIECE.findall(text))) for text in texts]

    def _pieces(self, given: list[str]) -> list[str]:
        found: list[str] = []
        while given:
            size = next((n for n in range(min(LONGEST, len(given)), 0, -1) if joined(given[:n]) in self.entries), 0)
            found.append(self.entries[joined(given[:size])] if size else given[0])
            given = given[size or 1 :]
        return found


def joined(pieces: Sequence[str]) -> str:
    """Pieces as a text: a space between words, none beside Chinese characters or before a mark."""
    text = ""
    for piece in pieces:
        tight = not text or HAN.match(text[-1]) or HAN.match(piece[0]) or not piece[0].isalnum()
        text += piece if tight else f" {piece}"
    return text


def _runs(text: str) -> list[str]:
    return _grams(PIECE.findall(text), LONGEST)


def _grams(pieces: Sequence[str], longest: int) -> list[str]:
    return [joined(pieces[i : i + n]) for n in range(1, longest + 1) for i in range(len(pieces) - n + 1)]


def _question(task: Chat, row: Row) -> str:
    """What was said last before the last answer."""
    from sapwood.models.conversation import messages

    told = messages(row[task.messages], row["id"])
    last = max(i for i, one in enumerate(told) if one["role"] == "assistant")
    return " ".join(one["content"] for one in told[:last] if one["role"] == "user") or " "


def _answer(task: Chat, row: Row) -> str:
    from sapwood.models.conversation import last_answer, messages

    return last_answer(messages(row[task.messages], row["id"]))
