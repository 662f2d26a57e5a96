"""The key of a step's result: what must be equal for an earlier result to be used again.

Registered name and its distribution, the class's version, the parameters that differ from their defaults (RFC 8785 JSON),
the seed if the step declares that it uses one, input digests, and for sources a fingerprint of what is outside.
Package version, hardware and commit are recorded with the run and are not part of the key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Literal, get_origin

import rfc8785
from pydantic import BaseModel

from sapwood import plugins
from sapwood.artifact import Artifact
from sapwood.recipe import Step


def canonical(block: BaseModel) -> dict[str, Any]:
    """Fields that differ from their defaults; the discriminator of a tagged block is always there."""
    body: dict[str, Any] = {}
    for name, info in type(block).model_fields.items():
        value = getattr(block, name)
        tag = get_origin(info.annotation) is Literal and name == "kind"
        if tag or value != info.get_default(call_default_factory=True):
            body[name] = _plain(value)
    return body


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return canonical(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted(_plain(item) for item in value)
    return value


def step_key(step: Step, inputs: Mapping[str, tuple[Artifact, ...]], fingerprint: str = "", after: str = "") -> str:
    """64 hex characters. `after` is the key of the action before this one: actions are a chain."""
    group = "actions" if step.is_action else "stages"
    body: dict[str, Any] = {
        "name": step.registered,
        "distribution": plugins.table(group)[step.registered].distribution,
        "version": step.cls.version,
        "params": canonical(step.params),
        "inputs": {port: [artifact.digest for artifact in artifacts] for port, artifacts in inputs.items() if artifacts},
    }
    if step.cls.uses_seed:
        body["seed"] = step.seed
    if fingerprint:
        body["fingerprint"] = fingerprint
    if step.is_action:
        body["step"] = step.name
        body["after"] = after
    return hashlib.sha256(rfc8785.dumps(body)).hexdigest()
