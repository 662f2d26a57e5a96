"""Facts between named things, from WordNet's nouns: which place lies in which, who belonged to what.

A row's text is a name, `meta.tail` another, and `meta.relation` what joins them. Only synsets that are instances (Paris, not city) count,
with every spelling that begins with a capital.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

from pydantic import Field

from sapwood.errors import InputError
from sapwood.text import decode
from sapwood.text.sources.source import Encoded, Reading, Row, changed_at, locate

INSTANCE = "@i"


class Synset(NamedTuple):
    """The names of one thing, and its pointers (symbol, offset of another synset)."""

    names: tuple[str, ...]
    pointers: tuple[tuple[str, str], ...]


class Wordnet(Encoded):
    """Relations between named things, from WordNet's data.noun."""

    kind: Literal["wordnet"] = Field("wordnet", description="Facts of WordNet's nouns.")
    relations: dict[str, str] = Field(
        {"#p": "part of"}, min_length=1, description="Names of pointers: #p is part of, #m member of; see WordNet's wninput(5)."
    )

    def rows(self, reading: Reading) -> Iterator[Row]:
        path = locate(self, reading)
        time = changed_at(self, path)
        known: dict[str, Synset] = {}
        for number, line in decode.lines(path, decode.encoding_of(path, forced=self.encoding)):
            if line.strip() and not line.startswith("  "):  # the licence stands indented at the top
                offset, synset = _synset(path.name, number, line)
                if any(symbol == INSTANCE for symbol, _ in synset.pointers):
                    known[offset] = synset
        for offset, synset in known.items():
            for symbol, other in synset.pointers:
                if symbol not in self.relations or other not in known:
                    continue
                for head in synset.names:
                    for tail in known[other].names:
                        meta = {"relation": self.relations[symbol], "tail": tail}
                        yield Row(f"{offset} {symbol} {other} {head} {tail}", head, meta, collected_at=time)


def _synset(file: str, number: int, line: str) -> tuple[str, Synset]:
    """`08929922 15 n 02 Paris 0 City_of_Light 0 011 @i 08524735 n 0000 #p 08932568 n 0000 ... | the capital ...`."""
    parts = line.partition(" | ")[0].split()
    try:
        count = int(parts[3], 16)
        names = tuple(parts[4 + 2 * i].replace("_", " ") for i in range(count))
        at = 5 + 2 * count
        pointers = tuple((parts[at + 4 * i], parts[at + 4 * i + 1]) for i in range(int(parts[at - 1])))
    except (ValueError, IndexError):
        raise InputError(f"{file}: line {number} is no synset of WordNet", "name the file dict/data.noun") from None
    return parts[0], Synset(tuple(name for name in names if name[0].isupper()), pointers)
