"""Architectures as tagged blocks: a family, and as much of its shape as one wants to say. Loads no torch.

    {kind: llama}                                     the shape follows from the stage's `size`
    {kind: bert, layers: 4, width: 256, heads: 4}

`weights` counts the weights of the layers, without word embeddings, as Kaplan et al. 2020 do: compute goes with them, and they do not
change with the vocabulary. A family's layer has 12 x width^2 of them (4 in attention, 8 in the two or three feed-forward products).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class _Shape(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    layers: int = Field(0, ge=0, le=96, description="Transformer layers; 0 follows from size.")
    width: int = Field(0, ge=0, le=8192, description="Width of the hidden states; 0 follows from size.")
    heads: int = Field(
        0, ge=0, le=128, description="Attention heads, which share the width equally; 0 gives them 64 each, or 32 below width 256."
    )

    @property
    def weights(self) -> int:
        """Weights that are stored, without embeddings; 0 while the shape is open."""
        return 12 * self.layers * self.width**2

    @property
    def worked(self) -> int:
        """Weights that a token passes, without embeddings."""
        return self.weights


class Bert(_Shape):
    """An encoder (Devlin et al. 2019)."""

    kind: Literal["bert"] = "bert"


class Albert(_Shape):
    """An encoder whose layers share their weights, with narrow word embeddings (Lan et al. 2020)."""

    kind: Literal["albert"] = "albert"
    embedding: int = Field(128, ge=8, le=4096, description="Width of the word embeddings.")

    @property
    def weights(self) -> int:
        return 12 * self.width**2

    @property
    def worked(self) -> int:
        return 12 * self.layers * self.width**2


class Llama(_Shape):
    """A decoder with rotary positions, RMS norms and gated feed-forward layers (Touvron et al. 2023)."""

    kind: Literal["llama"] = "llama"
    key_heads: int = Field(0, ge=0, le=128, description="Heads of keys and values, a divisor of heads; 0 as many as heads.")


class Gpt2(_Shape):
    """A decoder with learned positions (Radford et al. 2019)."""

    kind: Literal["gpt2"] = "gpt2"


class T5(_Shape):
    """An encoder-decoder (Raffel et al. 2020): `layers` of each. Decoder layers also attend to the encoder."""

    kind: Literal["t5"] = "t5"

    @property
    def weights(self) -> int:
        return 28 * self.layers * self.width**2

    @property
    def worked(self) -> int:
        return self.weights // 2


Shape = Bert | Albert | Llama | Gpt2 | T5
AnyShape = Annotated[Shape, Field(discriminator="kind")]


def faults(shape: Shape) -> list[str]:
    """What cannot be built, one sentence each. An open shape has no faults yet."""
    found = []
    if shape.heads and shape.width % shape.heads:
        nearest = shape.heads * max(1, round(shape.width / shape.heads))
        found.append(f"width {shape.width} is not a multiple of heads {shape.heads}; set width to {nearest}")
    if isinstance(shape, Llama) and shape.width and shape.heads and not found and (shape.width // shape.heads) % 2:
        found.append(f"heads of {shape.width // shape.heads} are odd, and rotary positions turn pairs; change heads")
    if isinstance(shape, Llama) and shape.key_heads and shape.heads % shape.key_heads:
        found.append(f"heads {shape.heads} are not a multiple of key_heads {shape.key_heads}")
    return found
