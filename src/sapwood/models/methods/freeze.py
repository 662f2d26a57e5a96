"""Partial freezing: train the layers nearest the output."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from sapwood.errors import InputError
from sapwood.models.methods.method import Method, heads_only


class Freeze(Method):
    """Train the top layers and the heads, and leave word embeddings and lower layers as they are."""

    learning_rate: ClassVar[float] = 3e-4

    kind: Literal["freeze"] = "freeze"
    top_layers: int = Field(
        2, ge=0, description="Layers nearest the output that train, at most as many as there are; 0 trains the heads only."
    )

    def rate(self, model: Any) -> float:
        """Heads alone are new and bear ten times what layers do: at 0.0003 a head on a 12 x 384 encoder had learned nothing after 50 steps."""
        return self.learning_rate if self.top_layers else 10 * self.learning_rate

    def refusal(self, task: str, model_type: str) -> str:
        if model_type == "albert" and self.top_layers:
            return "the layers of albert share one set of weights, so the upper ones cannot train alone; set top_layers to 0, or use lora"
        return ""

    def apply(self, model: Any, precision: str, seed: int) -> Any:
        from sapwood.models.methods.layers import towers

        heads_only(model)
        for tower in towers(model):
            if self.top_layers > len(tower):
                raise InputError(
                    f"top_layers {self.top_layers} is more than the {len(tower)} layers that there are", f"set {len(tower)} or less"
                )
            for layer in tower[len(tower) - self.top_layers :]:
                layer.requires_grad_(True)
        return model

    def finish(self, model: Any) -> Any:
        return model.requires_grad_(True).float()
