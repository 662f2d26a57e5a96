"""Train every weight."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from sapwood.models.methods.method import Method


class Full(Method):
    """Train every weight."""

    kind: Literal["full"] = "full"
    embeddings: bool = Field(True, description="Train the word embeddings too; without, a large vocabulary costs nothing.")

    def apply(self, model: Any, precision: str, seed: int) -> Any:
        model.get_input_embeddings().weight.requires_grad_(self.embeddings)
        return model

    def finish(self, model: Any) -> Any:
        return model.float()
