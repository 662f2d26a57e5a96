"""Several classifiers as one: their logits are averaged. Stored as a model folder whose `members/0`, `members/1`, ... are model folders of
their own, each of which opens with plain `AutoModel`; tokenizer and card lie at the root. Members read text alike and have one set of
labels, so that a committee is asked, exported and served as one classifier. It costs as much as all of its members together."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from sapwood.errors import InputError
from sapwood.models.card import FILE, Card, read_card, write_card

FOLDER = "members"
TOKENIZER = "tokenizer.json"


class Committee(nn.Module):
    """Its `logits` are the mean of the members'. `config` is the first member's."""

    def __init__(self, members: Sequence[Any]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.config = members[0].config

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Any:
        found = [member(input_ids=input_ids, attention_mask=attention_mask).logits.float() for member in self.members]
        return SimpleNamespace(logits=torch.stack(found).mean(0))


def parts(folder: Path) -> list[Path]:
    """The members' folders in order; empty where the folder is one model."""
    return sorted((folder / FOLDER).iterdir(), key=lambda path: int(path.name)) if (folder / FOLDER).is_dir() else []


def opened(folder: Path, one: Callable[[Path], Any]) -> Any:
    """The model of a folder: `one(folder)`, or a committee of `one(member)`."""
    members = parts(folder)
    return Committee([one(path) for path in members]) if members else one(folder)


def write(folder: Path, sources: Sequence[Path], name: str) -> Card:
    """Fill `folder` with the models of `sources`; a committee among them gives its members. `InputError` where they do not fit together."""
    cards = [read_card(source) for source in sources]
    for card in cards:
        if card.task != "classification":
            raise InputError(f"{card.name} is a model for {card.task}, and logits of classifiers are averaged", "leave it out")
    for what, values in (
        ("tokenizers", [card.tokenizer for card in cards]),
        ("labels", [card.labels for card in cards]),
        ("prefixes", [card.prefix for card in cards]),
    ):
        if len(set(values)) > 1:
            raise InputError(
                f"{', '.join(card.name for card in cards)} have different {what}, so their logits cannot be averaged",
                "take models of one base and one set of labels, or distil them into one model",
            )
    inner = [part for source in sources for part in parts(source) or [source]]
    if len(inner) < 2:
        raise InputError("an ensemble needs two models or more", "wire another classifier to it")
    for number, source in enumerate(inner):
        shutil.copytree(source, folder / FOLDER / str(number))
    for path in sources[0].iterdir():
        if path.is_file() and (path.name.startswith("tokenizer") or path.name == "special_tokens_map.json"):
            shutil.copyfile(path, folder / path.name)
    card = cards[0].model_copy(
        update={"name": name, "max_tokens": min(card.max_tokens for card in cards), "base": "", "method": f"ensemble of {len(inner)}"}
    )
    write_card(folder, card)
    return card


def refuse_training(folder: Path) -> None:
    """`InputError` for a committee: it has no weights of its own."""
    if parts(folder):
        raise InputError(f"{folder.name}/{FILE}: an ensemble cannot be trained further", "distil it into one model: stage distil")
