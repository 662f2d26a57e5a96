"""The methods that come with Sapwood, as one tagged union."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from sapwood.models.methods.full import Full
from sapwood.models.methods.lora import Lora

AnyMethod = Annotated[Full | Lora, Field(discriminator="kind")]
