"""Every registered kind of labelling function as one type, and the checks over several functions."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import or_
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from sapwood import plugins
from sapwood.text.labelling.functions import LabelFunction

if TYPE_CHECKING:
    AnyFunction = LabelFunction
else:
    kinds = [plugins.load("label_functions", name) for name in plugins.table("label_functions")]
    AnyFunction = Annotated[reduce(or_, kinds), Field(discriminator="kind")]
"""A labelling function of any registered kind, told by `kind`."""


def faults(functions: Sequence[LabelFunction], workspace: Path) -> list[str]:
    """What can be told before running: names used twice, and what each function says; one sentence each."""
    names = [function.name for function in functions]
    twice = [f"two functions are named {name}" for name in sorted(set(names)) if names.count(name) > 1]
    return twice + [fault for function in functions for fault in function.check(workspace)]
