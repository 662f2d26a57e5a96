"""`sapwood.json`: what a model folder says about itself beside its Hugging Face files. Loads no torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from sapwood.artifact import file_sha256
from sapwood.errors import InputError

FILE = "sapwood.json"
Task = Literal[
    "encoder", "masked-lm", "causal-lm", "span-corruption", "classification", "multilabel", "regression", "tokens", "relations", "spans",
    "sequence", "chat", "embedding", "ranking", "prompt", "reward",
]  # fmt: skip


class Card(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    name: str = Field("model", description="Name a person knows the model by.")
    task: Task = Field("encoder", description="What its heads answer.")
    labels: tuple[str, ...] = Field((), description="Classes in the order of its outputs; empty when it does not classify.")
    max_tokens: int = Field(512, ge=3, description="Longest input in tokens, special tokens included.")
    prefix: str = Field("", description="Put before every text, in training and in serving.")
    base: str = Field("", description="Digest, sample or hub name of the model it grew from.")
    method: str = Field("", description="How it was trained.")
    tokenizer: str = Field("", description="sha256 of the tokenizer.json beside it, filled in when the card is written.")
    asks: dict[str, JsonValue] = Field(
        {}, description="The task as a block, so that the model can be scored and served without saying it again."
    )
    precision: str = Field("fp32", description="Arithmetic of its training; weights are always stored in fp32.")


def read_card(folder: Path) -> Card:
    """The card of a model folder; `InputError` when there is none or it is not one."""
    try:
        return Card.model_validate_json((folder / FILE).read_bytes())
    except FileNotFoundError:
        raise InputError(f"{folder.name}: no {FILE}, so this is not a Sapwood model", "import it with a stage that makes a model") from None
    except ValidationError as fault:
        raise InputError(f"{folder.name}/{FILE}: {fault.errors()[0]['msg']}", "make the model again") from None


def write_card(folder: Path, card: Card) -> None:
    """Sorted keys and a fixed layout: equal cards are equal bytes. A folder with a tokenizer gets its digest into the card."""
    words = folder / "tokenizer.json"
    stated = {"tokenizer": file_sha256(words)} if words.is_file() else {}
    said = {name: value for name, value in card.model_dump(mode="json").items() if name != "asks" or value}
    body = json.dumps(said | stated, ensure_ascii=False, indent=1, sort_keys=True)
    (folder / FILE).write_text(body + "\n", encoding="utf-8")
