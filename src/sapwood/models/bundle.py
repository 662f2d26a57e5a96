"""`bundle.json`: what a deployable package says about itself. Loads no torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sapwood.errors import InputError

FILE = "bundle.json"
GRAPH = "model.onnx"


class BundleCard(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    name: str = Field(description="Name a person knows the model by.")
    engine: Literal["onnx", "torch"] = Field(description="What runs it.")
    task: Literal["classification"] = Field("classification", description="What it answers.")
    labels: tuple[str, ...] = Field(min_length=2, description="Classes in the order of its outputs.")
    max_tokens: int = Field(ge=3, description="Longest input in tokens, special tokens included.")
    prefix: str = Field("", description="Put before every text.")
    model: str = Field(description="Digest of the model it was made from.")
    quantise: Literal["int8", "none"] = Field(description="int8 weights, or the model's own fp32.")


def read_bundle(folder: Path) -> BundleCard:
    """The card of a bundle folder; `InputError` when there is none or it is not one."""
    try:
        return BundleCard.model_validate_json((folder / FILE).read_bytes())
    except FileNotFoundError:
        raise InputError(f"{folder.name}: no {FILE}, so this is not a bundle", "make one with the compress stage") from None
    except ValidationError as fault:
        where = ".".join(map(str, fault.errors()[0]["loc"]))
        raise InputError(f"{folder.name}/{FILE}: {where}: {fault.errors()[0]['msg']}", "make the bundle again") from None


def write_bundle(folder: Path, card: BundleCard) -> None:
    """Sorted keys and a fixed layout: equal cards are equal bytes."""
    body = json.dumps(card.model_dump(mode="json"), ensure_ascii=False, indent=1, sort_keys=True)
    (folder / FILE).write_text(body + "\n", encoding="utf-8")
