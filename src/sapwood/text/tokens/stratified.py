"""A sample of text that no language and no source fills alone: one pass, bounded memory, the same whatever the order of rows.

Languages share the budget of characters equally, and the sources of a language share its part; what a small one leaves goes to the
others (Chinese that is 1 % of the rows gets as much as English, or all that there is of it). Inside a stratum texts are taken by the
hash of their digest, the last one cut where the share ends.

Memory: at most twice the budget in characters (1 to 4 bytes each), and one document. It can forget early because the level to which
strata are filled only sinks as more text is seen, so what lies above it now is not in the final sample either.

It does not drop copies: text that is there twice counts twice. Of one document it takes the first `DOCUMENT` characters.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, TypeVar

import xxhash

from sapwood.errors import Interrupted
from sapwood.text import rows

DOCUMENT = 1 << 16
SLACK = 2
Key = TypeVar("Key", bound=Hashable)


MEASURED = 2_000_000
"""Characters that tokenizers are measured on, shared by the languages and their sources."""
HELD_OUT = 0.05
"""Share of the texts that are not trained on, so that they can be measured on."""


class Taken(NamedTuple):
    language: str
    source: str
    text: str


class Drawn(NamedTuple):
    """`texts` to train on and (language, text) pairs to measure on. By language, `seen` characters were offered and `taken` for training.
    `note` says what was measured on."""

    texts: list[str]
    measured: list[tuple[str, str]]
    seen: dict[str, int]
    taken: dict[str, int]
    note: str


class Sample:
    """Give it every text with `add`, then ask for `texts`. `max_chars` is the budget, `seed` another draw."""

    def __init__(self, max_chars: int, seed: int = 0) -> None:
        self.max_chars, self.seed = max_chars, seed
        self._seen: dict[tuple[str, str], int] = {}
        self._held: dict[tuple[str, str], list[tuple[int, str]]] = {}
        self._size = 0

    def add(self, language: str, source: str, digest: str, text: str) -> None:
        kept, stratum = text[:DOCUMENT], (language, source)
        self._seen[stratum] = self._seen.get(stratum, 0) + len(kept)
        self._held.setdefault(stratum, []).append((rank(digest, self.seed), kept))
        self._size += len(kept)
        if self._size > SLACK * self.max_chars:
            self._trim()

    def texts(self) -> list[Taken]:
        """The sample, sorted by language, source and hash."""
        self._trim()
        return [Taken(*stratum, text) for stratum in sorted(self._held) for _, text in self._held[stratum]]

    def seen(self) -> dict[str, int]:
        """Characters that were offered, by language."""
        found: dict[str, int] = {}
        for (language, _), size in sorted(self._seen.items()):
            found[language] = found.get(language, 0) + size
        return found

    def _trim(self) -> None:
        self._size = 0
        for stratum, room in strata(self._seen, self.max_chars).items():
            left, kept = room, []
            for place, text in sorted(self._held[stratum], key=lambda item: item[0]):
                if left <= 0:
                    break
                kept.append((place, text[:left]))
                left -= len(text)
            self._held[stratum] = kept
            self._size += sum(len(text) for _, text in kept)


def draw(folders: Iterable[Path], max_chars: int, seed: int, stopping: Callable[[], bool]) -> Drawn:
    """One pass over payloads of rows. A language without a held-out text is measured on its training text, and the note says so."""
    train, aside = Sample(max_chars, seed), Sample(MEASURED)
    for language, source, digest, text in _offered(folders, stopping):
        (aside if held_out(digest, HELD_OUT) else train).add(language, source, digest, text)
    taught, measured = train.texts(), aside.texts()
    bare = sorted(set(train.seen()) - set(aside.seen()))
    if bare:
        again = Sample(MEASURED)
        for number, (language, source, text) in enumerate(taught):
            if language in bare:
                again.add(language, source, f"{number:x}", text)
        measured += again.texts()
    note = f"On {sum(len(one.text) for one in measured):,} characters that were not trained on"
    note += f", but for {', '.join(bare)}: too few texts to hold any out." if bare else "."
    used = taught or measured
    taken = {language: sum(len(one.text) for one in used if one.language == language) for language in train.seen() | aside.seen()}
    seen = {language: train.seen().get(language, 0) + aside.seen().get(language, 0) for language in sorted(taken)}
    return Drawn([one.text for one in used], [(one.language, one.text) for one in measured], seen, taken, note)


def _offered(folders: Iterable[Path], stopping: Callable[[], bool]) -> Iterator[tuple[str, str, str, str]]:
    for folder in folders:
        for batch in rows.batches(folder, ["language", "source", "text_digest", "text"]):
            if stopping():
                raise Interrupted("stopped while reading for the tokenizer", "run the same command again")
            for row in batch.to_pylist():
                text = row["text"] or ""
                yield language_of(row["language"] or "", text), row["source"] or "", row["text_digest"] or "", text


def rank(digest: str, seed: int) -> int:
    """A text's place in the draw: 64 bits of a hash of its digest."""
    return xxhash.xxh3_64_intdigest(digest.encode(), seed)


def held_out(digest: str, share: float) -> bool:
    """Whether a text is set aside to measure on: by its digest alone, so copies stay on one side and no seed moves them."""
    return xxhash.xxh3_64_intdigest(digest.encode(), 0x5EED) < share * 2**64


def strata(sizes: Mapping[tuple[str, str], int], budget: int) -> dict[tuple[str, str], int]:
    """How many characters of each (language, source) to take."""
    languages: dict[str, int] = {}
    for (language, _), size in sizes.items():
        languages[language] = languages.get(language, 0) + size
    taken: dict[tuple[str, str], int] = {}
    for language, room in allot(languages, budget).items():
        taken |= allot({stratum: size for stratum, size in sizes.items() if stratum[0] == language}, room)
    return taken


def allot(sizes: Mapping[Key, int], budget: int) -> dict[Key, int]:
    """min(size, level) of each, with the highest whole level at which they do not pass the budget. Whole numbers: a level that sinks
    must never rise again by rounding. What the rounding leaves, less than one character each, is not used."""
    left, level = budget, None
    for waiting, size in zip(range(len(sizes), 0, -1), sorted(sizes.values()), strict=True):
        if size * waiting > left:
            level = left // waiting
            break
        left -= size
    return {name: size if level is None else min(size, level) for name, size in sizes.items()}


def language_of(stated: str, text: str) -> str:
    """The stated language; where there is none, `zh` for text with 30 % or more Han characters and `other` for the rest."""
    if stated:
        return stated
    head = text[:1000]
    return "zh" if sum("\u4e00" <= c <= "\u9fff" for c in head) > 0.3 * len(head) else "other"
