"""Train every weight."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from sapwood.models.methods.method import RECOMPUTE, Method, keep_borders

SMALL = 2_000_000
"""Weights of a model that bears the whole rate."""


class Full(Method):
    """Train every weight."""

    kind: Literal["full"] = "full"
    embeddings: bool = Field(True, description="Train the word embeddings too; without, a large vocabulary costs nothing.")

    recompute: bool = Field(False, description=RECOMPUTE)

    def rate(self, model: Any) -> float:
        """Falls with the number of weights without word embeddings, to the power .4. At 0.0003 a 12 x 384 encoder (21 million) forgot
        all it knew and found no name after 350 steps; at the 0.00012 of this rule it learned. For 85 million weights it gives 0.00007."""
        table = {id(p) for p in model.get_input_embeddings().parameters()}
        count = sum(p.numel() for p in model.parameters() if id(p) not in table)
        return float(self.learning_rate * min(1.0, (SMALL / count) ** 0.4))

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
