"""Labelling functions as data: keywords, lexicon, pattern. Each votes for a label or abstains.

Other distributions add kinds through the entry-point group `sapwood.label_functions`; the built-in ones use the same table. A function is
a pure function of the text. Votes of models are no function here: they come into the stage `weak_label` as artifacts.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from sapwood.errors import InputError, SapwoodError
from sapwood.text.labelling.words import Words

Vote = Callable[[str], str]
"""Text to label; an empty string abstains."""

SECONDS = 1.0
"""Time that a pattern may take on one text before it is refused."""
PROBES, PROBE_LENGTH = ("a", "ab", " ", "1", "a1 ", "好"), 2000
"""Runs that make a nested repeat such as (a+)+b take for ever; so may runs of the pattern's own letters."""
PROBE_SECONDS = 0.2


class LabelFunction(BaseModel):
    """What every function says of itself. A kind sets `kind: Literal["name"]`, its fields, and the methods below."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, pattern="^[^=;]+$", description="Name of the function in reports and in meta.votes.")

    @abstractmethod
    def labels(self, workspace: Path) -> tuple[str, ...]:
        """The labels that it may vote for."""

    @abstractmethod
    def ready(self, workspace: Path) -> Vote:
        """The function, with whatever it loads."""

    def fingerprint(self, workspace: Path) -> str:
        """What it reads outside of its fields, such as the digest of a file."""
        return ""

    def check(self, workspace: Path) -> list[str]:
        """Faults that can be told before running, one sentence each."""
        return []


class Keywords(LabelFunction):
    """Votes for its label where enough of its words stand in the text."""

    kind: Literal["keywords"] = Field("keywords", description="Words that speak for one label.")
    label: str = Field(min_length=1, description="The label it votes for.")
    words: tuple[str, ...] = Field(min_length=1, description="Words that speak for it. Case and full width do not count.")
    at_least: int = Field(1, ge=1, description="How many different words must stand in the text.")
    unless: tuple[str, ...] = Field((), description="Words that speak against it: one of them and the function abstains.")
    negations: tuple[str, ...] = Field((), description="Words that undo a word right behind them: 不, 没, not.")

    def labels(self, workspace: Path) -> tuple[str, ...]:
        return (self.label,)

    def ready(self, workspace: Path) -> Vote:
        wanted = Words(self.words, self.negations)
        against = Words(self.unless)

        def vote(text: str) -> str:
            enough = len(set(wanted.found(text))) >= self.at_least
            return self.label if enough and next(against.found(text), None) is None else ""

        return vote


class Lexicon(LabelFunction):
    """Votes for the label whose words weigh most in the text. The longest word at a place counts, once for each place.

    A file has one word a line, then, parted by tabs, its label (else the field `label`) and its weight (else 1).
    """

    kind: Literal["lexicon"] = Field("lexicon", description="A list of words with labels and weights.")
    words: dict[str, str] = Field({}, description="Words with their labels.")
    path: str = Field("", description="A file of the workspace with more words.")
    sample: str = Field("", description="Name of a sample with more words, instead of a path.")
    file: str = Field("", description="File of the sample.")
    label: str = Field("", description="Label of the words of a file that has none.")
    margin: float = Field(0.0, ge=0, description="By how much weight the first label must lead the second; at 0 a tie abstains.")
    negations: tuple[str, ...] = Field((), description="Words that undo a word right behind them: 不, 没, not.")

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not (self.words or self.path or self.sample) or (self.path and self.sample) or bool(self.sample) != bool(self.file):
            raise ValueError("give words, and a path, or a sample and its file")
        return self

    def labels(self, workspace: Path) -> tuple[str, ...]:
        return tuple(sorted({label for label, _ in self._all(workspace).values()}))

    def check(self, workspace: Path) -> list[str]:
        try:
            if not self.sample:
                self._all(workspace)
        except SapwoodError as fault:
            return [f"function {self.name}: {fault.what}"]
        return []

    def fingerprint(self, workspace: Path) -> str:
        from sapwood.artifact import file_sha256
        from sapwood.samples import fetch

        if self.sample:
            return fetch.fingerprint(self.sample)
        return file_sha256(self._path(workspace)) if self.path else ""

    def ready(self, workspace: Path) -> Vote:
        known = self._all(workspace)
        words = Words(dict.fromkeys(known, ""), self.negations)

        def vote(text: str) -> str:
            weights: dict[str, float] = {}
            for word in words.found(text, longest=True):
                label, weight = known[word]
                weights[label] = weights.get(label, 0.0) + weight
            (first, most), (_, second) = (*sorted(weights.items(), key=lambda one: (-one[1], one[0])), ("", 0.0), ("", 0.0))[:2]
            return first if most - second > self.margin else ""

        return vote

    def _path(self, workspace: Path) -> Path:
        if self.sample:
            from sapwood.samples import fetch

            return fetch.fetch(self.sample, lambda _: None) / self.file
        found = (workspace / self.path).resolve()
        if not found.is_relative_to(workspace.resolve()) or not found.is_file():
            raise InputError(f"{self.path} is no file of the workspace", "paths are relative to the workspace")
        return found

    def _all(self, workspace: Path) -> dict[str, tuple[str, float]]:
        """{word: (label, weight)}. Raises `InputError` for a line without a label or with a weight that is no number."""
        known = {word: (label, 1.0) for word, label in self.words.items()}
        if self.path or self.sample:
            known |= dict(self._lines(self._path(workspace)))
        return known

    def _lines(self, path: Path) -> Iterator[tuple[str, tuple[str, float]]]:
        for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), 1):
            word, label, weight = (part.strip() for part in (*line.split("\t"), "", "")[:3])
            if not word:
                continue
            try:
                heavy = float(weight or 1)
            except ValueError:
                raise InputError(
                    f"{path.name}: line {number}: {weight!r} is no weight", "write word, label and weight, parted by tabs"
                ) from None
            if not (label or self.label):
                raise InputError(f"{path.name}: line {number}: {word} has no label", "write word and label, parted by a tab, or set label")
            yield word, (label or self.label, heavy)


class Pattern(LabelFunction):
    """Votes for its label where a regular expression is found. One that takes too long on a text is refused."""

    kind: Literal["pattern"] = Field("pattern", description="A regular expression that speaks for one label.")
    label: str = Field(min_length=1, description="The label it votes for.")
    pattern: str = Field(min_length=1, max_length=1000, description="A regular expression; search, not full match.")
    ignore_case: bool = Field(True, description="Whether case counts not.")

    @field_validator("pattern")
    @classmethod
    def _safe(cls, value: str) -> str:
        """It compiles, and is quick on runs that make careless patterns take for ever."""
        import regex

        try:
            compiled = regex.compile(value)
        except regex.error as fault:
            raise ValueError(f"no regular expression: {fault}") from None
        for run in (*PROBES, *sorted({letter for letter in value if letter.isalnum()})[:12]):
            try:
                compiled.search(run * (PROBE_LENGTH // len(run)) + "!" + value, timeout=PROBE_SECONDS)
            except TimeoutError:
                raise ValueError("this pattern takes for ever on long runs; bound its repeats ({0,20}) and nest none") from None
        return value

    def labels(self, workspace: Path) -> tuple[str, ...]:
        return (self.label,)

    def ready(self, workspace: Path) -> Vote:
        import regex

        compiled = regex.compile(self.pattern, regex.IGNORECASE if self.ignore_case else 0)

        def vote(text: str) -> str:
            try:
                return self.label if compiled.search(text, timeout=SECONDS) else ""
            except TimeoutError:
                raise InputError(
                    f"function {self.name}: the pattern took more than {SECONDS:g} s on a text of {len(text)} characters",
                    "bound its repeats, such as {0,20}, and nest none",
                ) from None

        return vote
