"""Personal data: found next to any script, in narrow and full-width forms, and masked by typed placeholders.

    find(text)                        findings: type, start, end, score, why
    mask(text)                        (text with <EMAIL_ADDRESS> and the like, how many of each type): every built-in type
    masker(masking, key, workspace)   the same by a `Masking` block, as a function from text to `Masked`: what `collect` calls to mask
                                      at collection, so that a value never rests in the store

Types: e-mail, phone, Chinese ID number, bank card, IBAN, IP and MAC address, passport, number plate, postal address; each finder's module
says what it takes and what it does not find. Names are found by a given list or by a model that a plug-in brings (`contract`).
Masking is idempotent: a placeholder is never searched, and what becomes findable beside one is masked in the same call.

It is a mask against accidents, not a proof of anonymity: who is meant can often be told from what is left. Nothing in words
("one three eight ...") is found. Recall and precision on generated records: `benchmarks/pii.py`.
"""

from __future__ import annotations

import fnmatch
import re
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from sapwood.errors import InputError
from sapwood.text.pii import patterns
from sapwood.text.pii.finding import (
    ADDRESS,
    CARD,
    EMAIL,
    IBAN,
    ID_NUMBER,
    IP,
    MAC,
    PASSPORT,
    PHONE,
    PLATE,
    TYPES,
    Finding,
    narrowed,
    resolved,
)
from sapwood.text.pii.numbers import is_card, is_iban, is_id_number

if TYPE_CHECKING:
    from sapwood.text.pii.settings import Masking
    from sapwood.text.placeholders import Name

__all__ = [
    "ADDRESS", "CARD", "EMAIL", "IBAN", "ID_NUMBER", "IP", "MAC", "PASSPORT", "PHONE", "PLATE", "TYPES",
    "Finding", "Masked", "find", "is_card", "is_iban", "is_id_number", "mask", "masker",
]  # fmt: skip

MOST_PASSES = 8
"""What stood beside a masked value may only now be told apart from it. One further pass finds that; text made to need more
passes than these keeps the rest."""


class Masked(NamedTuple):
    """The masked text, findings by type, and how many values the allow-list left."""

    text: str
    counts: dict[str, int]
    kept: int = 0


Find = Callable[[str], list[Finding]]


def find(text: str) -> list[Finding]:
    """Findings of every built-in type in the order of the text, none overlapping another."""
    return patterns.find(text)


def mask(text: str) -> tuple[str, dict[str, int]]:
    """The text with each finding replaced by its type, as `<EMAIL_ADDRESS>`, and how many of each type. Idempotent."""
    from sapwood.text.placeholders import plain

    masked = _mask(text, find, plain, ())
    return masked.text, masked.counts


def masker(masking: Masking, key: bytes = b"", workspace: Path = Path()) -> Callable[[str], Masked]:
    """The masking function of a block. `key` is `placeholders.secret(work.sign)`, needed where `stable` is set."""
    from sapwood.text import placeholders

    if masking.stable and not key:
        raise InputError("stable placeholders need the secret of a store", "call it from a stage, or leave stable false")
    name = placeholders.stable(key) if masking.stable else placeholders.plain
    globs = tuple(re.compile(fnmatch.translate(glob.casefold())) for glob in masking.keep)
    more = [one.ready(workspace) for one in masking.maskers]
    wanted = frozenset(masking.types) or frozenset((*TYPES, *(kind for one in masking.maskers for kind in one.types())))

    def find_all(text: str) -> list[Finding]:
        found = patterns.find(text)
        if more:
            blanked = narrowed(text)
            found = resolved([*found, *(one for finder in more for one in finder(blanked))])
        return [one for one in found if one.entity_type in wanted]

    return lambda text: _mask(text, find_all, name, globs)


def _mask(text: str, find: Find, name: Name, keep: Iterable[re.Pattern[str]]) -> Masked:
    counts: Counter[str] = Counter()
    kept = 0
    for _ in range(MOST_PASSES):
        found = find(text)
        values = [text[one.start : one.end] for one in found]
        goes = [not any(glob.match(narrowed(value).casefold()) for glob in keep) for value in values]
        kept = len(goes) - sum(goes)
        if not any(goes):
            break
        pieces, place = [], 0
        for one, value, masks in zip(found, values, goes, strict=True):
            if masks:
                pieces += [text[place : one.start], name(one.entity_type, value)]
                place = one.end
                counts[one.entity_type] += 1
        text = "".join([*pieces, text[place:]])
    return Masked(text, dict(sorted(counts.items())), kept)
