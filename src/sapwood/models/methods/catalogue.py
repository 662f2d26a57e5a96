"""The methods that come with Sapwood, as one tagged union."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from sapwood.models.methods.adalora import AdaLora
from sapwood.models.methods.adapters import Adapters
from sapwood.models.methods.freeze import Freeze
from sapwood.models.methods.full import Full
from sapwood.models.methods.lora import Lora
from sapwood.models.methods.merged import Dora, Ia3
from sapwood.models.methods.prompts import Prefix, Prompt, PTuning
from sapwood.models.methods.qlora import Qlora

AnyMethod = Annotated[
    Full | Freeze | Lora | Qlora | AdaLora | Dora | Ia3 | Prefix | Prompt | PTuning | Adapters, Field(discriminator="kind")
]
