"""Every registered kind of reward as one type, and their sum."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from sapwood import plugins
from sapwood.models.rewards.reward import Reward
from sapwood.models.tasks.task import Row

if TYPE_CHECKING:
    AnyReward = Reward
else:
    kinds = [plugins.load("rewards", name) for name in plugins.table("rewards")]
    AnyReward = Annotated[reduce(or_, kinds), Field(discriminator="kind")]
"""A reward of any registered kind, told by `kind`."""


def total(rewards: Sequence[Reward], reply: str, row: Row) -> float:
    """The weighted sum."""
    return sum(one.weight * one.of(reply, row) for one in rewards)
