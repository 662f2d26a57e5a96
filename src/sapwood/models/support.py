"""Which method trains which architecture for which task. The reference's table is made of these answers, and every cell that is not
refused is trained by a test."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, get_args

from sapwood.models.methods.catalogue import AnyMethod
from sapwood.models.methods.method import Method
from sapwood.models.tasks.catalogue import AnyTask
from sapwood.models.tasks.task import Task

ARCHITECTURES = ("bert", "albert", "llama", "gpt2", "t5")
"""The `model_type`s that Sapwood grows from nothing."""


class Cell(NamedTuple):
    """`refusal` is empty where it works."""

    task: str
    method: str
    model_type: str
    refusal: str


def kinds(union: Any) -> Mapping[str, Any]:
    """The classes of a tagged union by their kind; of a single class too."""
    inner = get_args(union)[0] if get_args(union) else union
    return {cls.model_fields["kind"].default: cls for cls in get_args(inner) or (inner,)}


def refusal(task: Task, method: Method, model_type: str) -> str:
    """Why that method cannot train a model of that type for that task, one sentence; empty where it can."""
    kind = task.kind  # type: ignore[attr-defined]
    if task.model_types and model_type not in task.model_types:
        return f"{kind} cannot be taught to {model_type}: it takes {', '.join(sorted(task.model_types))}"
    return method.refusal(kind, model_type)


SPLIT = frozenset({"llama"})
"""Architectures of the table that have a plan for tensor parallel training."""


def spread_refusal(way: str, params: Any, model_type: str) -> str:
    """Why a stage with those fields cannot train a model of that type spread over processes that `way`; empty where it can, or where the
    type is not known yet. The loop asks again with the model before it."""
    if way == "copies":
        return ""
    method = getattr(getattr(params, "method", None), "kind", "full")
    if way == "tensor" and model_type in ARCHITECTURES and model_type not in SPLIT:
        return f"the architecture {model_type} has no plan for tensor parallel training; take shard: full"
    if way == "tensor" and method not in ("full", "freeze"):
        return f"method {method} wraps layers, which tensor parallel training splits; take shard: full"
    if method == "adalora" or getattr(getattr(params, "regularise", None), "average", None):
        return "averages of weights and adalora read whole weights after each step; train with processes alone"
    if getattr(getattr(params, "optimiser", None), "kind", "") == "adafactor":
        return "adafactor keeps rows and columns of weights that are spread over processes; take adamw, adam or sgd"
    return ""


def cells() -> Iterator[Cell]:
    """Every task with every method on every architecture, with default fields."""
    for task, asks in kinds(AnyTask).items():
        for method, trains in kinds(AnyMethod).items():
            for model_type in ARCHITECTURES:
                yield Cell(task, method, model_type, refusal(asks(), trains(), model_type))
