"""The contract of a reward, and the rewards that come with Sapwood. Loads no torch.

A reward is a pure function of a reply and the example that asked for it. It must not depend on the clock or on other replies, or a resumed
training would differ. Whatever a rule can be satisfied with, a model will find: read its replies, not only the reward.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from sapwood.errors import InputError
from sapwood.models.tasks.task import Row


class Reward(BaseModel):
    """What every reward says of itself. A kind sets `kind: Literal["name"]`, its fields, and `of`."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    weight: float = Field(1.0, description="What it is multiplied with before rewards are added; below 0 it is a penalty.")

    def fields(self) -> tuple[str, ...]:
        """Fields of an example that it reads beside the prompt."""
        return ()

    @abstractmethod
    def of(self, reply: str, row: Row) -> float:
        """What the reply is worth, best between 0 and 1. `InputError` names a row that lacks what it needs."""


class Length(Reward):
    """1 where the reply has a wanted number of characters, less by the share that it is too short or too long, at least 0."""

    kind: Literal["length"] = Field("length", description="A wanted number of characters.")
    least: int = Field(1, ge=0, description="Fewest characters.")
    most: int = Field(200, ge=1, description="Most characters.")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.least > self.most:
            raise ValueError(f"least {self.least} is over most {self.most}")
        return self

    def of(self, reply: str, row: Row) -> float:
        short = max(0, self.least - len(reply)) / max(1, self.least)
        over = max(0, len(reply) - self.most) / self.most
        return max(0.0, 1.0 - short - over)


class Words(Reward):
    """The share of wanted words that stand in the reply; 0 where a forbidden one does. Case does not count."""

    kind: Literal["words"] = Field("words", description="Words that should or must not stand in the reply.")
    wanted: tuple[str, ...] = Field((), description="Words or phrases to use.")
    forbidden: tuple[str, ...] = Field((), description="Words or phrases to avoid.")

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not self.wanted and not self.forbidden:
            raise ValueError("give words that are wanted or forbidden")
        return self

    def of(self, reply: str, row: Row) -> float:
        folded = reply.casefold()
        if any(word.casefold() in folded for word in self.forbidden):
            return 0.0
        return sum(word.casefold() in folded for word in self.wanted) / len(self.wanted) if self.wanted else 1.0


class Json(Reward):
    """1 where the reply is a JSON object with every key asked for, half where it is other JSON, else 0."""

    kind: Literal["json"] = Field("json", description="A reply that is JSON.")
    keys: tuple[str, ...] = Field((), description="Keys that the object must have.")

    def of(self, reply: str, row: Row) -> float:
        try:
            found = json.loads(reply)
        except (ValueError, RecursionError):
            return 0.0
        return 1.0 if isinstance(found, dict) and all(key in found for key in self.keys) else 0.5


class Chrf(Reward):
    """Likeness to the example's own text: chrF (Popovic 2015), character n-grams up to 6, between 0 and 1."""

    kind: Literal["chrf"] = Field("chrf", description="Likeness to a text of the example.")
    target: str = Field("meta.target", min_length=1, description="Field with the text.")

    def fields(self) -> tuple[str, ...]:
        return (self.target,)

    def of(self, reply: str, row: Row) -> float:
        from sapwood.metrics import written

        if not row.get(self.target):
            raise InputError(f"example {row.get('id', '?')}: {self.target} is empty, so a reply cannot be like it", "leave that row out")
        return written.measured([reply], [row[self.target]]).values()["chrf"]
