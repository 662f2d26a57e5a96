"""The contract of a method. Loads no torch until used, because stages carry these blocks as fields."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict

from sapwood.errors import InputError

if TYPE_CHECKING:
    from sapwood.models.objectives.terms import Objective
    from sapwood.models.train import Extra

HEADS = ("classifier", "pooler", "pre_classifier", "score", "head", "qa_outputs", "classification_head")
"""Modules that a task adds to a model; they are new, so every method trains them in full."""


RECOMPUTE = "Keep what layers hand on and make what is inside them again on the way back: less memory, a third more time."


class Method(BaseModel):
    """Which weights train. A subclass is a tagged block with a field `kind: Literal[...]`."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    learning_rate: ClassVar[float] = 3e-4
    """Peak rate that suits the method with AdamW."""
    extra: ClassVar[str] = ""
    """The optional packages that it needs, as in `pip install 'sapwood[extra]'`."""

    def missing(self) -> str:
        """A package of the extra that is not installed, or an empty string."""
        return ""

    def refusal(self, task: str, model_type: str) -> str:
        """Why it cannot train a model of that `config.model_type` for that task, one sentence; empty where it can.

        Asked in `plan`, so it loads no weights. The support table of the reference is made of these answers, and each cell that
        is not refused is trained by a test.
        """
        return ""

    def rate(self, model: Any) -> float:
        """The peak rate for that model with AdamW."""
        return self.learning_rate

    @abstractmethod
    def apply(self, model: Any, precision: str, seed: int) -> Any:
        """The model to train, with `requires_grad` where the method trains; new weights are f(seed)."""

    def suit(self, model: Any, used: Any) -> None:
        """Told, before the optimiser is made, which token ids the training text holds: (n,) int64, or None where its source cannot say."""
        return

    def extras(self, model: Any, steps: int) -> Mapping[str, Extra]:
        """What has to happen beside each optimiser step, by name."""
        return {}

    def taught(self, inner: Objective) -> Objective:
        """The objective with what the method adds to the loss."""
        return inner

    @abstractmethod
    def finish(self, model: Any) -> Any:
        """The model to store, in fp32: a plain one where the method's additions can be merged into its weights, else with
        `models.additions` hanging on it, which `save_model` writes beside."""


def has_module(model: Any, name: str) -> bool:
    """Whether a module of that name has weights."""
    return any(path.rsplit(".", 1)[-1] == name and any(True for _ in module.parameters()) for path, module in model.named_modules())


def heads_only(model: Any) -> None:
    """Freeze everything but the heads."""
    model.requires_grad_(False)
    train_heads(model)


def train_heads(model: Any) -> None:
    for path, module in model.named_modules():
        if path.rsplit(".", 1)[-1] in HEADS:
            module.requires_grad_(True)


def keep_borders(model: Any) -> Any:
    """Have a model make the inside of its layers again on the way back (activation checkpointing). The gradient is the same."""
    if not getattr(model, "supports_gradient_checkpointing", False):
        raise InputError(f"{model.config.model_type} cannot make its layers again on the way back", "set method.recompute to false")
    model.activation_checkpointing_enable({"use_reentrant": False})
    return model
