"""The pre-training objectives that come with Sapwood, as one tagged union."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from sapwood.models.pretraining.causal import CausalLM
from sapwood.models.pretraining.corruption import SpanCorruption
from sapwood.models.pretraining.masked import MaskedLM

AnyPretraining = Annotated[MaskedLM | CausalLM | SpanCorruption, Field(discriminator="kind")]
DEFAULT = {
    "masked-lm": MaskedLM(second="none"),
    "encoder": MaskedLM(second="none"),
    "causal-lm": CausalLM(),
    "span-corruption": SpanCorruption(),
}
"""What a model goes on learning, by its card's task."""
