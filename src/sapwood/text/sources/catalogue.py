"""Every registered kind of source as one type, and the checks over several sources."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import or_
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from sapwood import plugins
from sapwood.text.sources.source import Source

if TYPE_CHECKING:
    AnySource = Source
else:
    kinds = [plugins.load("sources", name) for name in plugins.table("sources")]
    AnySource = Annotated[reduce(or_, kinds), Field(discriminator="kind")]
"""A source of any registered kind, told by `kind`."""


def faults(sources: Sequence[Source], workspace: Path) -> list[str]:
    """What can be told before reading: names used twice, and what each source says; one sentence each."""
    names = [source.name for source in sources]
    found = [f"two sources are named {name}" for name in sorted(set(names)) if names.count(name) > 1]
    return found + [fault for source in sources for fault in source.check(workspace)]
