"""The contract of a finder that comes from elsewhere, as for names by a model: entry-point group `sapwood.maskers`.

A masker is a frozen pydantic class with a `kind`, so that a recipe can name it with its parameters. Built in are `patterns` (which
every masking has) and `words`. Presidio fits as one more; a distribution registers `presidio = "their_package:Presidio"`:

    class Presidio(Masker):
        kind: Literal["presidio"] = "presidio"
        model: str = Field("xx_ent_wiki_sm", description="A spaCy model that is installed.")

        def types(self) -> tuple[str, ...]:
            return ("PERSON",)

        def ready(self, workspace: Path) -> Find:
            analyzer = ...  # build the engine once
            return lambda text: [Finding(r.entity_type, r.start, r.end, r.score, "presidio") for r in analyzer.analyze(text, "en")]

It must be a pure function of the text. No model is chosen here and none is fetched.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field

from sapwood.errors import InputError
from sapwood.text.pii.finding import TYPES, Finding, narrowed

if TYPE_CHECKING:
    import ahocorasick

Find = Callable[[str], Iterable[Finding]]

PERSON = "PERSON"
SPACED = re.compile(r"[^\W\d_\u2e80-\u9fff\uf900-\ufaff\u3040-\u30ff]")
"""A letter of a script that parts words by spaces."""


class Masker(BaseModel):
    """What every masker says of itself. A kind sets `kind: Literal["name"]`, its fields, and the methods below."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @abstractmethod
    def types(self) -> tuple[str, ...]:
        """The types it finds, in Presidio's names where there is one."""

    @abstractmethod
    def ready(self, workspace: Path) -> Find:
        """The finder, with whatever it loads."""

    def fingerprint(self, workspace: Path) -> str:
        """What it reads outside of its fields, such as the digest of a file."""
        return ""

    def check(self, workspace: Path) -> list[str]:
        """Faults that can be told before running, one sentence each."""
        return []


class Patterns(Masker):
    """Patterns and checksums: see `sapwood.text.pii`."""

    kind: Literal["patterns"] = Field("patterns", description="Patterns and checksums.")

    def types(self) -> tuple[str, ...]:
        return TYPES

    def ready(self, workspace: Path) -> Find:
        from sapwood.text.pii import patterns

        return patterns.find


class Words(Masker):
    """Given names, such as those of staff and customers: found wherever they stand, and inside no longer word."""

    kind: Literal["words"] = Field("words", description="A list of names.")
    type: str = Field(PERSON, pattern="^[A-Z][A-Z0-9]*(_[A-Z0-9]+)*$", description="Type of the names, such as PERSON or COMPANY.")
    words: tuple[str, ...] = Field((), description="The names. Case and full width do not count.")
    path: str = Field("", description="A file of the workspace with one more name a line, in UTF-8.")

    def types(self) -> tuple[str, ...]:
        return (self.type,)

    def check(self, workspace: Path) -> list[str]:
        try:
            self._all(workspace)
        except InputError as fault:
            return [f"masker words: {fault.what}"]
        return []

    def fingerprint(self, workspace: Path) -> str:
        from sapwood.artifact import file_sha256

        return file_sha256(_inside(workspace, self.path)) if self.path else ""

    def ready(self, workspace: Path) -> Find:
        import ahocorasick

        known = ahocorasick.Automaton()
        for word in self._all(workspace):
            spelt = _folded(word)
            known.add_word(spelt, len(spelt))
        known.make_automaton()
        return lambda text: _named(text, known, self.type)

    def _all(self, workspace: Path) -> list[str]:
        lines = _inside(workspace, self.path).read_text(encoding="utf-8").splitlines() if self.path else []
        found = sorted({word.strip() for word in (*self.words, *lines) if word.strip()})
        if not found:
            raise InputError("there is no name to find", "give words, or a path to a file with one name a line")
        return found


def _named(text: str, known: ahocorasick.Automaton, entity_type: str) -> list[Finding]:
    folded = _folded(text)
    found = []
    for last, length in known.iter(folded):
        start, end = last + 1 - length, last + 1
        if not (_joined(folded, start) or _joined(folded, end)):
            found.append(Finding(entity_type, start, end, 1.0, "a given name"))
    return found


def _joined(text: str, place: int) -> bool:
    """Whether a word of a spaced script goes on across `place`."""
    return 0 < place < len(text) and bool(SPACED.match(text[place - 1]) and SPACED.match(text[place]))


def _folded(text: str) -> str:
    """Narrow and lower case, of the same length: the few letters whose lower case is longer stay."""
    lowered = narrowed(text).lower()
    return lowered if len(lowered) == len(text) else "".join(low if len(low := one.lower()) == 1 else one for one in narrowed(text))


def _inside(workspace: Path, path: str) -> Path:
    found = (workspace / path).resolve()
    if not found.is_relative_to(workspace.resolve()) or not found.is_file():
        raise InputError(f"{path} is no file of the workspace", "paths are relative to the workspace")
    return found
