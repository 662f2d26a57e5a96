"""A proven bundle and a gateway for tests of serving: signed with a key made here, answered by an engine that only counts letters.

It is no model: `LetterEngine` exists so that what is answered can be told from the text alone.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from numpy.typing import NDArray

from sapwood import verdict as verdicts
from sapwood.artifact import Bundle, digest_of, scan
from sapwood.serving import deployment as deployments
from sapwood.serving.deployment import Deployment, Route
from sapwood.serving.gateway import Plan
from sapwood.stage import Signature
from sapwood.verdict import Check, Parity, Signed, Verdict

MODEL = "ab" * 32


class Signer:
    """An Ed25519 key of 32 times the byte `seed`."""

    def __init__(self, seed: int = 1) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
        self.public = self._key.public_key().public_bytes_raw().hex()

    def __call__(self, message: bytes) -> Signature:
        return Signature(self.public, self._key.sign(message).hex())


@dataclass(frozen=True)
class LetterCard:
    max_tokens: int = 64


class LetterEngine:
    """`positive` is the share of the letter o among o and x, smoothed. A token is a character; two are added.

    Clear `going` and every `predict` waits until it is set again.
    """

    labels = ("negative", "positive")
    card = LetterCard()

    def __init__(self) -> None:
        self.going = threading.Event()
        self.going.set()
        self.warmed = 0
        self.batches: list[list[str]] = []

    def warm(self) -> None:
        self.warmed += 1

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(text) + 2 for text in texts]

    def predict(self, texts: Sequence[str]) -> NDArray[np.float32]:
        assert self.going.wait(10)
        self.batches.append(list(texts))
        if any("explode" in text for text in texts):
            raise RuntimeError("the engine broke")
        good = np.array([(1 + text.count("o")) / (2 + text.count("o") + text.count("x")) for text in texts], dtype=np.float32)
        return np.stack([1 - good, good], axis=1)


def verdict_on(subject: str, signer: Signer, passed: bool = True, kind: str = "bundle") -> Signed:
    """A signed verdict with one check."""
    body = {"subject": subject, "subject_kind": kind, "gate": "cd" * 32, "evaluations": ("ef" * 32,), "passed": passed}
    return verdicts.sign(Verdict.model_validate(body | {"checks": (Check(name="accuracy", passed=passed),)}), signer)


def parity_of(model: str, bundle: str, signer: Signer, passed: bool = True) -> Signed:
    """A signed parity record with one check."""
    check = Check(name="agreement", passed=passed)
    record = Parity(model=model, bundle=bundle, lossless=True, evaluations=("ef" * 32,), passed=passed, checks=(check,))
    return verdicts.sign(record, signer)


def proven_route(folder: Path, signer: Signer, version: int = 1, share: float = 1.0, role: str = "serve") -> Route:
    """A bundle folder (no engine can open it) and the route to it: a verdict on its model, and parity."""
    folder.mkdir(parents=True)
    (folder / "bundle.json").write_text(json.dumps({"name": "letters", "version": version}), encoding="utf-8")
    (folder / "weights.bin").write_bytes(bytes([version]) * 64)
    digest = digest_of(Bundle, scan(folder))
    verdict = verdict_on(MODEL, signer, kind="model")
    return Route(version, share, role, digest, MODEL, folder, verdict, parity_of(MODEL, digest, signer))


class Board:
    """A deployment record in memory, and the plan of a gateway that follows it. `engines` are those opened, by version."""

    def __init__(self, signer: Signer, *routes: Route, name: str = "letters", engine: Callable[[], LetterEngine] = LetterEngine) -> None:
        self.signer = signer
        self.now: Deployment | None = Deployment(name, 1, routes) if routes else None
        self.acknowledged: list[int] = []
        self.engines: dict[int, LetterEngine] = {}
        self._make = engine

    def deploy(self, *routes: Route) -> Deployment:
        """Put the next revision on the board."""
        assert self.now is not None
        self.now = replace(self.now, revision=self.now.revision + 1, routes=routes)
        return self.now

    def plan(self, poll_s: float = 30.0) -> Plan:
        """Checks are the real ones; only opening the engine is not."""
        return Plan(
            lambda: self.now,
            self.acknowledged.append,
            self._open,
            lambda route: deployments.check(route, self.signer.public),
            poll_s,
        )

    def _open(self, route: Route) -> LetterEngine:
        deployments.check(route, self.signer.public)
        self.engines[route.version] = self._make()
        return self.engines[route.version]
