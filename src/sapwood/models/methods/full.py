"""Train every weight."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from sapwood.models.methods.method import RECOMPUTE, Method, keep_borders


class Full(Method):
    """Train every weight."""

    kind: Literal["full"] = "full"
    embeddings: bool = Field(True, description="Train the word embeddings too; without, a large vocabulary costs nothing.")

    recompute: bool = Field(False, description=RECOMPUTE)

    def apply(self, model: Any, precision: str, seed: int) -> Any:
        from sapwood.models import apart, dropping

        model.get_input_embeddings().weight.requires_grad_(self.embeddings)
        made = apart.install(dropping.quicken(model))
        return keep_borders(made) if self.recompute else made

    def suit(self, model: Any, used: Any) -> None:
        """Word embeddings that the training text does not use stay out of gradient, optimiser and checkpoints."""
        from sapwood.models.compact import part

        if used is not None:
            part(model, used)

    def finish(self, model: Any) -> Any:
        from sapwood.models.compact import join

        join(model)
        if self.recompute:
            model.activation_checkpointing_disable()
        return model.float()
