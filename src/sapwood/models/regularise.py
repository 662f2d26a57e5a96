"""Regularise: what holds training back from learning its examples by heart."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Regularise(BaseModel):
    """Against over-fitting."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    label_smoothing: float = Field(0.0, ge=0, lt=1, description="Share of the target spread over all classes.")
