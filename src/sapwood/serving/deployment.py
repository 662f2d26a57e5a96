"""What is to be served, and the check that stands before it: no engine is opened without a passing verdict.

The bundle's digest is computed again from its files, so an altered file is refused whatever the records say.
Not guarded: files changed after they were read here, or by someone who holds the store's signing key.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sapwood import verdict as verdicts
from sapwood.artifact import Bundle, digest_of, scan
from sapwood.errors import InputError, Refused
from sapwood.verdict import Signed


class Card(Protocol):
    """What the gateway reads of a bundle's card: the longest input in tokens, special tokens included."""

    @property
    def max_tokens(self) -> int: ...


class Engine(Protocol):
    """What an open bundle can do. `predict` gives probabilities (texts, labels) float32, rows summing to 1."""

    @property
    def labels(self) -> Sequence[str]: ...
    @property
    def card(self) -> Card: ...
    def predict(self, texts: Sequence[str]) -> NDArray[np.float32]: ...
    def count_tokens(self, texts: Sequence[str]) -> Sequence[int] | NDArray[np.int64]:
        """Tokens of each text before any cut, special tokens included."""
        ...

    def warm(self) -> None: ...


@dataclass(frozen=True)
class Route:
    """One version's part of the traffic. `share` is in [0, 1]; digests are 64 hex characters."""

    version: int
    share: float
    role: str
    bundle: str
    model: str
    folder: Path
    verdict: Signed | None
    parity: Signed | None


@dataclass(frozen=True)
class Deployment:
    """The routes that answer for `name`. Revisions only increase."""

    name: str
    revision: int
    routes: tuple[Route, ...]

    def __post_init__(self) -> None:
        shares = [route.share for route in self.routes]
        if not shares or min(shares) < 0 or abs(sum(shares) - 1) > 1e-6:
            raise InputError(f"{self.name} revision {self.revision}: shares {shares} do not add up to 1", "deploy again")
        if any(route.role == "shadow" for route in self.routes):
            raise InputError(f"{self.name} revision {self.revision}: this gateway has no shadow traffic", "deploy without the shadow route")

    def pick(self, who: str) -> Route:
        """The route of a session or request id: the same id always lands on the same side while shares stay.

        Uniform by sha256; when the later route's share grows, ids already on it stay there.
        """
        point = int.from_bytes(hashlib.sha256(f"{self.name}\0{who}".encode()).digest()[:8], "big") / 2**64
        for route in self.routes:
            point -= route.share
            if point < 0:
                return route
        return next(route for route in reversed(self.routes) if route.share > 0)


def check(route: Route, pinned_key: str) -> None:
    """Raise `Refused` unless the folder is the claimed bundle and may be served under the pinned key (hex)."""
    try:
        found = digest_of(Bundle, scan(route.folder))
    except FileNotFoundError as gone:
        raise Refused(f"bundle {route.bundle[:12]}: {gone}", "sapwood store verify") from None
    if found != route.bundle:
        raise Refused(f"the files of bundle {route.bundle[:12]} have digest {found[:12]}: they were altered", "sapwood store verify")
    verdicts.may_serve(route.bundle, route.model, route.verdict, route.parity, pinned_key)


def load(route: Route, pinned_key: str, threads: int = 0) -> Engine:
    """Check the route, then open its engine. Raises `Refused`."""
    check(route, pinned_key)
    from sapwood.serving.engines import open_engine

    engine: Engine = open_engine(route.folder, threads)
    return engine


def exported(folder: Path) -> tuple[Deployment, str]:
    """The deployment of a folder that `export_release` wrote, and its public key (hex).

    The key lies beside the files it vouches for: this finds accidents, not a forger. Give the gateway a key from elsewhere for that.
    """
    release = _read(folder)
    parity = folder / "parity.json"
    try:
        route = Route(
            version=int(release.get("version", 1)),
            share=1.0,
            role="serve",
            bundle=str(release["bundle"]),
            model=str(release["model"]),
            folder=folder / "bundle",
            verdict=Signed.model_validate_json((folder / "verdict.json").read_bytes()) if (folder / "verdict.json").is_file() else None,
            parity=Signed.model_validate_json(parity.read_bytes()) if parity.is_file() else None,
        )
        return Deployment(str(release.get("name", "model")), 1, (route,)), str(release["public_key"])
    except (KeyError, ValueError) as fault:
        raise InputError(f"{folder}: not an exported release ({fault})", "export it again: sapwood export") from None


def _read(folder: Path) -> dict[str, Any]:
    try:
        loaded = json.loads((folder / "release.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as fault:
        raise InputError(f"{folder}: no readable release.json ({fault})", "export it again: sapwood export") from None
    if not isinstance(loaded, dict):
        raise InputError(f"{folder}/release.json: not a JSON object", "export it again: sapwood export")
    return loaded
