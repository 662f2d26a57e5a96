"""What a recipe says about cleaning: rules, word lists and boilerplate, as blocks of fields. Reading them loads nothing heavy.

The default rules are gentle on purpose. Published filters destroy good text (Gopher's keep 31.5 % of English manuals and 5.6 % of
Chinese ones): short shop dialogues, lists and tables are legitimate. A limit may differ by language, and by its variety (`zh-Hant`).

A rule does not know why a number is what it is: look at the rows nearest to a limit before it is made tighter.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, model_validator

from sapwood.artifact import file_sha256
from sapwood.errors import SapwoodError
from sapwood.samples import fetch as samples
from sapwood.samples.table import sample as sample_entry

LANGUAGE = "language"
"""The reason of rows in a language that is not wanted; it is no rule over a statistic."""


class Rule(BaseModel):
    """One rule. A statistic that equals its limit is kept."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    statistic: str = Field(description="What is measured: one of `sapwood.text.quality.statistics.NAMES`, or the name of a word list.")
    comparison: Literal["at_least", "at_most"] = Field("at_most", description="Which side of the limit is kept.")
    limit: float | None = Field(None, description="The limit; none judges only the languages that have one of their own.")
    limits: dict[str, float | None] = Field({}, description="Other limits by language or variety: {zh: 0.9, zh-Hant: 0.95}; null is none.")
    when: dict[str, float] = Field({}, description="Judge only texts whose statistics reach these: {units: 50}.")
    version: int = Field(1, ge=1, description="Raise it when the meaning of the rule changes; dropped rows carry it.")

    def limit_of(self, code: str, variety: str = "") -> float | None:
        for name in (variety, code):
            if name in self.limits:
                return self.limits[name]
        return self.limit


GENTLE: Mapping[str, Rule] = {
    "repeated lines": Rule(statistic="repeated_lines", limit=0.8, when={"lines": 5, "units": 50}),
    "repeated paragraphs": Rule(statistic="repeated_paragraphs", limit=0.8, when={"lines": 5, "units": 50}),
    "cut lines": Rule(statistic="ellipses", limit=0.8, when={"lines": 5}),
    "long words": Rule(statistic="mean_unit", limit=20, limits={"th": None, "lo": None, "km": None, "my": None}, when={"units": 20}),
}
"""Beside length, symbols and repetition. Of manuals, help pages, laws and reviews in both languages they drop under 1 in 1,000."""


class Ruleset(NamedTuple):
    """`rules` by name in the order they are judged; `languages` to keep, empty for all (`und` always stays)."""

    rules: Mapping[str, Rule]
    languages: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Reasons by number."""
        return (LANGUAGE, *self.rules)

    def statistics(self) -> tuple[str, ...]:
        """What must be known of a text."""
        named = {name for rule in self.rules.values() for name in (rule.statistic, *rule.when)}
        return tuple(sorted(named))

    def versioned(self, number: int) -> str:
        """The rule with its version, as dropped rows carry it: `too short/1`."""
        name = self.names[number]
        return f"{name}/{self.rules[name].version if name in self.rules else 1}"


class Boilerplate(BaseModel):
    """What counts as boilerplate."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_documents: int = Field(20, ge=2, description="A line is boilerplate only in at least so many documents of one source.")
    min_share: float = Field(0.1, gt=0, le=1, description="And in at least this share of the source's documents.")
    max_chars: int = Field(200, ge=1, description="Longer lines are never boilerplate.")


HOW = "one term a line (# begins a comment), a JSON list of strings, or a JSON object of such lists"


class WordList(BaseModel):
    """Where a list comes from: a file of your own, or files of a sample."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str = Field("", description=f"Your own list, relative to the workspace: {HOW}.")
    sample: str = Field("", description="A sample of `sapwood samples list`, such as naughty-words.")
    files: list[str] = Field([], description="Files of the sample to take; empty takes all that hold lists (.txt, .json, .csv).")

    @model_validator(mode="after")
    def _one_place(self) -> WordList:
        if bool(self.path) == bool(self.sample):
            raise ValueError("give either path or sample")
        return self

    def faults(self, name: str, workspace: Path) -> list[str]:
        from sapwood.text.quality.statistics import NAMES

        if name in NAMES:
            return [f"word list {name!r}: that is the name of a statistic; choose another, such as toxic"]
        if self.path and not (workspace / self.path).is_file():
            return [f"word list {name!r}: there is no file {self.path}; write one, or take a sample: {name}: {{sample: naughty-words}}"]
        if self.sample:
            try:
                sample_entry(self.sample)
            except SapwoodError as fault:
                return [f"word list {name!r}: {fault.what}"]
        return []

    def fingerprint(self, workspace: Path) -> str:
        """What identifies the content."""
        if self.sample:
            return f"{samples.fingerprint(self.sample)} {' '.join(self.files)}"
        path = workspace / self.path
        return file_sha256(path) if path.is_file() else ""
