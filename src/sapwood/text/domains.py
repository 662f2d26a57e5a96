"""Keyword rules that sort texts into domains: a plain, readable start where no label of the domain exists.

A rule finds words, it does not understand: it misses texts without its words and takes texts that only mention one. Measure its precision
by reading a random sample before any number rests on it.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, Field

OTHER = "other"


class Rule(BaseModel):
    """A domain and the words that tell it. Words are compared without case and as substrings, so no spaces between words are needed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, description="Name of the domain.")
    words: tuple[str, ...] = Field(min_length=1, description="Words that speak for it.")
    at_least: int = Field(1, ge=1, description="How many different words must occur.")
    unless: tuple[str, ...] = Field((), description="Words that speak against it: one of them and the rule does not match.")


def domain(text: str, rules: Sequence[Rule]) -> str:
    """The name of the first rule that matches, else `other`."""
    folded = text.casefold()
    for rule in rules:
        found = sum(word.casefold() in folded for word in rule.words)
        if found >= rule.at_least and not any(word.casefold() in folded for word in rule.unless):
            return rule.name
    return OTHER
