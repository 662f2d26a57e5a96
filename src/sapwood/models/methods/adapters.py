"""Bottleneck adapters. Ours: no kept library of them fits transformers 5."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from sapwood.models.methods.method import Method, heads_only


class Adapters(Method):
    """Train two bottlenecks in each layer (Houlsby et al. 2019) and the heads. The start answers as the base does."""

    learning_rate: ClassVar[float] = 1e-3

    kind: Literal["adapters"] = "adapters"
    width: int = Field(32, ge=1, le=4096, description="Width of a bottleneck.")

    def refusal(self, task: str, model_type: str) -> str:
        from sapwood.models.methods.layers import unknown

        return unknown(model_type, "bottlenecks")

    def apply(self, model: Any, precision: str, seed: int) -> Any:
        from sapwood.models import additions
        from sapwood.models.architectures import seeded

        heads_only(model)
        with seeded(seed):
            return additions.attach(model, additions.Bottlenecks(additions.projections(model), self.width))

    def finish(self, model: Any) -> Any:
        """The model with its bottlenecks: they are not linear, so they cannot be merged, and are stored beside the weights."""
        return model.float()
