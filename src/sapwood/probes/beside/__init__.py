"""What a model of each task is held against: simple systems, fitted on its own training rows, that answer in the task's own form.

A module of this package is one kind of task, or several that are alike. Its `beside(task, train, rows)` gives the answers of every system
on `rows` by the system's name; where an answer is an array over classes, they stand in the order of `task.labels(train)`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sapwood.models.tasks.task import Answers, Row, Task

MODULES: Mapping[str, str] = MappingProxyType(
    {
        "classification": "classes",
        "prompt": "classes",
        "multilabel": "classes",
        "regression": "numbers",
        "relations": "relations",
        "tokens": "tokens",
        "spans": "spans",
        "embedding": "comparing",
        "ranking": "comparing",
        "sequence": "written",
        "chat": "written",
    }
)
"""Kind of task -> module of this package."""


def beside(task: Task, train: Sequence[Row], rows: Sequence[Row]) -> dict[str, Answers]:
    """Answers of the systems that fit the task; none where no simple system is known for it."""
    module = MODULES.get(getattr(task, "kind", ""))
    if module is None:
        return {}
    found: dict[str, Answers] = import_module(f"{__name__}.{module}").beside(task, train, rows)
    return found
