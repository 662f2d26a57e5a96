"""The contract of a method. Loads no torch until used, because stages carry these blocks as fields."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from sapwood.models.train import Extra

HEADS = ("classifier", "pooler", "pre_classifier", "score", "head", "qa_outputs", "classification_head")
"""Modules that a task adds to a model; they are new, so every method trains them in full."""


class Method(BaseModel):
    """Which weights train. A subclass is a tagged block with a field `kind: Literal[...]`."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    learning_rate: ClassVar[float] = 3e-4
    """Peak rate that suits the method with AdamW."""

    def refusal(self, task: str, model_type: str) -> str:
        """Why it cannot train a model of that `config.model_type` for that task, one sentence; empty where it can.

        Asked in `plan`, so it loads no weights. The support table of the reference is made of these answers, and each cell that
        is not refused is trained by a test.
        """
        return ""

    @abstractmethod
    def apply(self, model: Any, precision: str, seed: int) -> Any:
        """The model to train, with `requires_grad` where the method trains; new weights are f(seed)."""

    def extras(self, model: Any, steps: int) -> Mapping[str, Extra]:
        """What has to happen beside each optimiser step, by name."""
        return {}

    @abstractmethod
    def finish(self, model: Any) -> Any:
        """The model to store, in fp32: a plain one where the method's additions can be merged into its weights."""


def has_module(model: Any, name: str) -> bool:
    """Whether a module of that name has weights."""
    return any(path.rsplit(".", 1)[-1] == name and any(True for _ in module.parameters()) for path, module in model.named_modules())
