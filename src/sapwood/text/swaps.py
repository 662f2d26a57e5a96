"""The twin of a text: the same with named words swapped, such as he for she and 他 for 她.

It replaces words as they are written and does not mend what depends on them (his and hers, agreement, names).
"""

from __future__ import annotations

import re
from collections.abc import Sequence


def swapped(text: str, pairs: Sequence[tuple[str, str]]) -> str:
    """Each word of a pair becomes the other, in one pass. Words of letters match whole and in any case, and keep a capital first letter;
    Chinese ones match wherever they stand, the longest first."""
    other = {a.casefold(): b for one, two in pairs for a, b in ((one, two), (two, one))}
    if not other:
        return text
    parts = [_bounded(word) for word in sorted(other, key=len, reverse=True)]
    return re.sub("|".join(parts), lambda found: _like(found.group(), other[found.group().casefold()]), text, flags=re.IGNORECASE)


def _bounded(word: str) -> str:
    left, right = (r"\b" if edge.isascii() and edge.isalnum() else "" for edge in (word[0], word[-1]))
    return f"{left}{re.escape(word)}{right}"


def _like(old: str, new: str) -> str:
    return new[:1].upper() + new[1:] if old[:1].isupper() else new
