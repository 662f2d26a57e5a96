"""Word lists for rules on toxicity and bias: read from a sample or from the user's own file, never part of this package.

A list only finds words. It calls a medical page toxic and misses an insult without a listed word; lists of slurs also name people, so
the report of `clean` audits what is removed by identity group.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sapwood.errors import InputError
from sapwood.samples import fetch as samples
from sapwood.text.quality import terms
from sapwood.text.quality.criteria import HOW, WordList


def load(lists: Mapping[str, WordList], workspace: Path, say: Any) -> terms.Terms | None:
    """The lists as terms to count; None without any. Raises `InputError` for a list that holds nothing."""
    if not lists:
        return None
    return terms.terms({name: _terms(name, one, workspace, say) for name, one in sorted(lists.items())})


def fingerprint(lists: Mapping[str, WordList], workspace: Path) -> str:
    return " ".join(f"{name}={one.fingerprint(workspace)}" for name, one in sorted(lists.items()))


def _terms(name: str, one: WordList, workspace: Path, say: Any) -> list[str]:
    if one.path:
        files = [workspace / one.path]
    else:
        folder = samples.fetch(one.sample, say)
        found = sorted(p for p in folder.iterdir() if p.suffix in (".txt", ".json", ".csv") and not p.name.startswith("sapwood-sample"))
        files = [folder / file for file in one.files] if one.files else found
    listed = sorted({term for path in files for term in _read(path)})
    if not listed:
        raise InputError(f"word list {name!r}: no term in {', '.join(path.name for path in files) or 'the sample'}", f"a list is {HOW}")
    return listed


def _read(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix == ".json":
            body = json.loads(text)
            return [str(term) for part in (body.values() if isinstance(body, dict) else [body]) for term in part]
    except (OSError, ValueError, TypeError) as fault:
        raise InputError(f"word list {path.name}: cannot be read ({fault})", f"a list is {HOW}") from fault
    return [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
