"""The mark of rows whose label a model gave itself: they may teach, and nothing may be judged on them."""

from __future__ import annotations

from collections.abc import Iterable

from sapwood.errors import InputError

MARK = "self_labelled"
"""The entry of meta that names the model."""


def refuse(metas: Iterable[str | None]) -> None:
    """Raise `InputError` where a row's `meta`, a JSON object, carries the mark."""
    if count := sum(f'"{MARK}"' in (meta or "") for meta in metas):
        raise InputError(
            f"{count} of the examples to judge on were labelled by a model itself (meta.{MARK})", "judge on rows that people labelled"
        )
