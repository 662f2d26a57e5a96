"""Verdicts and parity: what lets a model be served. Records, their canonical bytes, and their signatures.

A verdict says that one subject (a model or bundle digest) met bars stated before measuring, on named evaluation
digests, under a gate whose own digest is part of it. A parity record says that a bundle answers as its source model does.
Without a pinned public key only accidents are detected, not a forger who can write to the store.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import rfc8785
from pydantic import BaseModel, ConfigDict

from sapwood.errors import Refused
from sapwood.stage import Signature


class Check(BaseModel):
    """One bar and what was measured against it. `passed` follows `rule`; `detail` says it in words."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str
    passed: bool
    measured: float | None = None
    bar: float | None = None
    detail: str = ""


class Verdict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    type: Literal["verdict"] = "verdict"
    subject: str
    subject_kind: Literal["model", "bundle"]
    gate: str
    evaluations: tuple[str, ...]
    passed: bool
    checks: tuple[Check, ...]


class Parity(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    type: Literal["parity"] = "parity"
    model: str
    bundle: str
    lossless: bool
    evaluations: tuple[str, ...]
    passed: bool
    checks: tuple[Check, ...]


class Signed(BaseModel):
    """A verdict or parity record with its signature over the record's canonical JSON (RFC 8785)."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    record: Verdict | Parity
    key: str
    value: str


def canonical(record: BaseModel) -> bytes:
    """RFC 8785 bytes of the record."""
    return rfc8785.dumps(record.model_dump(mode="json"))


def sign(record: Verdict | Parity, signer: Any) -> Signed:
    """`signer(bytes) -> Signature`, which is `Work.sign`."""
    signature: Signature = signer(canonical(record))
    return Signed(record=record, key=signature.key, value=signature.value)


def read(folder: Path) -> Signed:
    """The signed record in a report payload (`signed.json`)."""
    return Signed.model_validate_json((folder / "signed.json").read_bytes())


def write(folder: Path, signed: Signed) -> None:
    text = json.dumps(signed.model_dump(mode="json"), ensure_ascii=False, indent=1, sort_keys=True)
    (folder / "signed.json").write_text(text + "\n", encoding="utf-8")


def check_signature(signed: Signed, pinned_key: str) -> None:
    """Refuse a record that the pinned key (hex) did not sign."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    kind = signed.record.type
    if signed.key != pinned_key:
        raise Refused(
            f"the {kind} was signed by another key ({signed.key[:12]}, pinned is {pinned_key[:12]})", "judge the model again in this store"
        )
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(pinned_key)).verify(bytes.fromhex(signed.value), canonical(signed.record))
    except (InvalidSignature, ValueError):
        raise Refused(f"the {kind} does not match its signature: it was changed after it was written", "sapwood store verify") from None


def may_serve(bundle: str, model: str, verdict: Signed | None, parity: Signed | None, pinned_key: str) -> None:
    """Raise `Refused` unless the bundle may be served: a passing verdict on its own digest, or one on its source
    model with a passing parity record that names both digests."""
    if verdict is None or not isinstance(verdict.record, Verdict):
        raise Refused(f"bundle {bundle[:12]} has no verdict", "run a recipe with a gate on it")
    check_signature(verdict, pinned_key)
    failed = [c.name for c in verdict.record.checks if not c.passed]
    if not verdict.record.passed or failed:
        raise Refused(
            f"the verdict on {verdict.record.subject[:12]} is fail: {', '.join(failed) or 'no check'}",
            "see the gate's report: sapwood show",
        )
    if verdict.record.subject == bundle:
        return
    if verdict.record.subject != model:
        raise Refused(f"the verdict is about {verdict.record.subject[:12]}, not about bundle {bundle[:12]} or model {model[:12]}")
    if parity is None or not isinstance(parity.record, Parity):
        raise Refused(
            f"the verdict is about model {model[:12]} and there is no parity record for bundle {bundle[:12]}", "add a parity stage"
        )
    check_signature(parity, pinned_key)
    if parity.record.model != model or parity.record.bundle != bundle:
        raise Refused("the parity record names other digests than this model and bundle")
    if not parity.record.passed or not all(c.passed for c in parity.record.checks):
        raise Refused(f"bundle {bundle[:12]} does not answer as model {model[:12]} does: parity failed")
