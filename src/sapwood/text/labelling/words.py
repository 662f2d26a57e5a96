"""Words of a list found in a text: any script, by one automaton, whatever the case or width.

A word that begins or ends with a letter of a spaced script stands for itself and not inside a longer word (`good` is not in
`goodbye`); Chinese words are found wherever their characters stand. A hit right behind a negation (不好, not good) can be left out.
It knows nothing of grammar: "not that I say it is good" is a negation to it only if `not` is one of the two words before.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

from sapwood.text.units import SCRIPTS, UNSPACED, normal_form

if TYPE_CHECKING:
    import ahocorasick

CHARACTERS = "".join(f"{chr(first)}-{chr(last)}" for name in UNSPACED for first, last in SCRIPTS[name])
JOINED = re.compile(rf"[^\W_{CHARACTERS}]{{2}}\Z")
UNSPACED_WORD = re.compile(f"[{CHARACTERS}]")
NEAR_CHARACTERS, NEAR_WORDS, LOOK_BACK = 3, 2, 40
"""How far before a hit a negation may stand: 不是很好, not very good."""

CACHED_TEXTS, CACHED_CHARACTERS = 2048, 4096
"""Normal forms of short texts are kept while the functions of a batch look at them, one after the other: at most 30 MB."""


class Words:
    """The words of a list, and the negations that undo any of them."""

    def __init__(self, words: Iterable[str], negations: Iterable[str] = ()) -> None:
        import ahocorasick

        self._known: ahocorasick.Automaton = ahocorasick.Automaton()
        for word in sorted(words):
            if spelt := normal_form(word).strip():
                self._known.add_word(spelt, (len(spelt), word))
        self._known.make_automaton()
        folded = [normal_form(word).strip() for word in negations]
        self._inside = tuple(word for word in folded if UNSPACED_WORD.search(word))
        self._whole = frozenset(folded) - frozenset(self._inside)

    def found(self, text: str, longest: bool = False) -> Iterator[str]:
        """Words in the order in which they end, once for each place. `longest`: the longest at a place, none overlapping another."""
        if not len(self._known):
            return
        folded = _folded(text)
        for last, (length, word) in self._known.iter_long(folded) if longest else self._known.iter(folded):
            start, end = last + 1 - length, last + 1
            alone = not (JOINED.match(folded[start - 1 : start + 1]) or JOINED.match(folded[end - 1 : end + 1]))
            if alone and not self._negated(folded, start):
                yield word

    def _negated(self, folded: str, start: int) -> bool:
        near = folded[max(0, start - NEAR_CHARACTERS) : start]
        if any(word in near for word in self._inside):
            return True
        return bool(self._whole) and not self._whole.isdisjoint(folded[max(0, start - LOOK_BACK) : start].split()[-NEAR_WORDS:])


def _folded(text: str) -> str:
    return _cached(text) if len(text) <= CACHED_CHARACTERS else normal_form(text)


@lru_cache(CACHED_TEXTS)
def _cached(text: str) -> str:
    return normal_form(text)
