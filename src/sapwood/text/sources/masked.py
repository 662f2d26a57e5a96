"""Personal data taken out of rows while they are collected: text and the values of meta. `meta.masked` says how many of each type.

Addresses (`url`) stay, since a masked one leads nowhere, and so do the source's own files and what a source fetched into scratch, which
is removed when the step is done.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from sapwood.text import rows
from sapwood.text.sources.source import Row

if TYPE_CHECKING:
    from sapwood.stage import Work
    from sapwood.text.pii.settings import Masking

MASKED = "masked"


class Mask(NamedTuple):
    """`row` for documents, `text` for what is said of a failure."""

    row: Callable[[Row], Row]
    text: Callable[[str], str]


def mask_of(masking: Masking | None, work: Work) -> Mask:
    """The functions of a block; without one they change nothing."""
    if masking is None:
        return Mask(lambda row: row, lambda text: text)
    from sapwood.text.pii import masker
    from sapwood.text.placeholders import secret

    mask = masker(masking, secret(work.sign) if masking.stable else b"", work.workspace)

    def masked(row: Row) -> Row:
        text = mask(row.text)
        meta = {name: mask(value) for name, value in row.meta.items()}
        counts = sum((Counter(one.counts) for one in (text, *meta.values())), Counter[str]())
        if not counts:
            return row
        told = " ".join(f"{name}:{number}" for name, number in sorted(counts.items()))
        return row._replace(text=text.text, meta={**{name: one.text for name, one in meta.items()}, MASKED: told})

    return Mask(masked, lambda text: mask(text).text)


def counted(batch: Iterable[Mapping[str, Any]]) -> Counter[str]:
    """Values masked in these document rows, by type."""
    found: Counter[str] = Counter()
    for row in batch:
        if f'"{MASKED}"' in row["meta"]:
            for part in rows.meta(row)[MASKED].split():
                name, _, number = part.rpartition(":")
                found[name] += int(number)
    return found
