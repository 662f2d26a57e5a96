"""What a fault that pydantic found means to somebody who writes YAML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from sapwood import plugins

PLAINLY = {
    "missing": "needed, and not given",
    "tuple_type": "a list is needed",
    "list_type": "a list is needed",
    "dict_type": "a mapping is needed",
    "model_type": "a mapping is needed",
    "model_attributes_type": "a mapping is needed",
    "too_short": "at least {min_length} is needed",
    "union_tag_not_found": "`kind` is needed",
}
"""What pydantic's kinds of fault mean to somebody who writes YAML."""


def worded(fault: Mapping[str, Any], place: Sequence[str], allowed: list[str], inner: Sequence[str]) -> str:
    """One sentence. `place` is where the fault is inside the step; `allowed` names what a step may hold, `inner` what its blocks may."""
    kind, context = fault["type"], fault.get("ctx", {})
    what = str(fault["msg"]).removeprefix("Value error, ")
    if kind == "extra_forbidden":
        return f"no such field. {plugins.nearest(place[-1], allowed)}" if len(place) == 1 else f"no such field{_hint(place[-1], inner)}"
    if kind in PLAINLY:
        return PLAINLY[kind].format(**context)
    if kind == "union_tag_invalid":
        names = [name.strip(" '") for name in context["expected_tags"].split(",")]
        return f"no kind is called {context['tag']!r}. {plugins.nearest(context['tag'], names)}"
    return what if isinstance(fault.get("input"), dict | list) else f"{what}; it is {fault.get('input')!r}"


def _hint(name: str, known: Sequence[str]) -> str:
    close = get_close_matches(name, known, 1, 0.6)
    return f". Did you mean {close[0]}?" if close else ""
