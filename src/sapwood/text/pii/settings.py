"""What to mask and how: one block for every place where text is masked, at collection or later."""

from __future__ import annotations

from functools import reduce
from operator import or_
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from sapwood import plugins
from sapwood.text.pii.contract import Masker
from sapwood.text.pii.finding import TYPES

if TYPE_CHECKING:
    AnyMasker = Masker
else:
    kinds = [plugins.load("maskers", name) for name in plugins.table("maskers")]
    AnyMasker = Annotated[reduce(or_, kinds), Field(discriminator="kind")]
"""A masker of any registered kind, told by `kind`."""


class Masking(BaseModel):
    """Which personal data is masked, and by which placeholders."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    types: tuple[str, ...] = Field((), description=f"Types to mask; empty masks all: {', '.join(TYPES)}, and those of the maskers.")
    stable: bool = Field(False, description="Give one value one placeholder all over the store, as <EMAIL_ADDRESS_7f3a91c2d4e0>.")
    keep: tuple[str, ...] = Field((), description="Values to leave, with * for anything: *@ourshop.example, 400-*.")
    maskers: tuple[AnyMasker, ...] = Field((), description="Finders beside the built-in patterns, such as a list of names.")

    @model_validator(mode="after")
    def _known(self) -> Masking:
        known = [*TYPES, *(kind for masker in self.maskers for kind in masker.types())]
        for kind in self.types:
            if kind not in known:
                raise ValueError(f"no type is called {kind}. {plugins.nearest(kind, known)}")
        return self

    def check(self, workspace: Path) -> list[str]:
        """Faults that can be told before running, one sentence each."""
        return [fault for masker in self.maskers for fault in masker.check(workspace)]

    def fingerprint(self, workspace: Path) -> str:
        """What the maskers read outside of their fields; empty where they read nothing."""
        return " ".join(found for masker in self.maskers if (found := masker.fingerprint(workspace)))
