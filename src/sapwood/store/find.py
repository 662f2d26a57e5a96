"""Which store a command means."""

from __future__ import annotations

import os
from pathlib import Path

from sapwood.store.local import LocalStore

FOLDER = ".sapwood"
VARIABLE = "SAPWOOD_STORE"


def open_store(path: Path | None = None, create: bool = True) -> LocalStore:
    """The store at `path`; else the one that SAPWOOD_STORE names; else the nearest `.sapwood` from the current folder up;
    else `.sapwood` here, which is created, or with `create=False` is `NotFound`."""
    return LocalStore(locate(path), create)


def locate(path: Path | None = None) -> Path:
    """The folder that `open_store` would open."""
    named = os.environ.get(VARIABLE, "")
    if path is not None:
        return Path(path).expanduser()
    if named:
        return Path(named).expanduser()
    here = Path.cwd()
    found = (folder / FOLDER for folder in (here, *here.parents))
    return next((place for place in found if (place / "manifests").is_dir()), here / FOLDER)
