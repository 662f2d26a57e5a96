"""API keys: made, listed, revoked, and checked at the door.

A secret is `sw-` and 43 characters of 256 random bits, shown once; its sha256 is stored (a fast hash is right for a
random secret). `KeyRing` keeps keys in a database; a key file is the same records as JSON, read-only. `Doorman` checks
secrets against either and limits requests a minute with a token bucket in this process.

Not done here: no budgets, no limits shared between gateways, no restriction by address or model.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, insert, select, update

from sapwood.errors import InputError, NotFound
from sapwood.serving.tables import api_keys
from sapwood.watching.tables import reads

SCOPES = {
    "infer:predict": "ask the model",
    "feedback:write": "send feedback about answers",
    "feedback:trust": "what this key says counts as trusted: it can train a model",
    "feedback:read": "read feedback records",
    "trace:read": "read logged responses",
    "metrics:read": "read /metrics",
}
SECRET_PREFIX = "sw-"
STALE_S = 1.0
HURRY_S = 0.1


@dataclass(frozen=True)
class Key:
    """One key as stored. `hash` is the sha256 of its secret in hex, `prefix` the secret's first 8 characters."""

    key_id: str
    prefix: str
    hash: str
    owner: str
    scopes: tuple[str, ...]
    created_at: float
    rpm_limit: int | None = None
    expires_at: float | None = None
    last_used_at: float | None = None
    revoked_at: float | None = None

    def lives(self, now: float) -> bool:
        """Whether it is neither revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


def new_key(owner: str, scopes: Sequence[str], expires_at: float | None = None, rpm_limit: int | None = None) -> tuple[Key, str]:
    """A key and its secret, not stored anywhere yet. Raises `InputError` for an unknown scope."""
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown or not scopes:
        raise InputError(f"unknown scope {', '.join(unknown)}" if unknown else "a key needs a scope", f"scopes are {', '.join(SCOPES)}")
    if rpm_limit is not None and rpm_limit < 1:
        raise InputError(f"a limit of {rpm_limit} requests a minute lets nothing through", "give 1 or more, or leave it out")
    secret = SECRET_PREFIX + secrets.token_urlsafe(32)
    key = Key(
        f"key-{secrets.token_hex(8)}", secret[:8], hashed(secret), owner, tuple(sorted(set(scopes))), time.time(), rpm_limit, expires_at
    )
    return key, secret


def hashed(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


class KeyRing:
    """The keys in the database of `engine`."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def create(self, owner: str, scopes: Sequence[str], expires_at: float | None = None, rpm_limit: int | None = None) -> tuple[Key, str]:
        """Make and store a key. The secret is returned this once."""
        key, secret = new_key(owner, scopes, expires_at, rpm_limit)
        with self.engine.begin() as tx:
            tx.execute(insert(api_keys).values(asdict(key) | {"scopes": list(key.scopes)}))
        return key, secret

    def list(self) -> list[Key]:
        """Every key, revoked ones too, oldest first."""
        with reads(self.engine).connect() as tx:
            rows = tx.execute(select(api_keys).order_by(api_keys.c.created_at, api_keys.c.key_id)).mappings().all()
        return [_key(dict(row)) for row in rows]

    def revoke(self, key_id: str) -> Key:
        """From now on (at most a second in a running gateway) it opens nothing. Repeating it changes nothing."""
        with self.engine.begin() as tx:
            mine = api_keys.c.key_id == key_id
            tx.execute(update(api_keys).where(mine, api_keys.c.revoked_at.is_(None)).values(revoked_at=time.time()))
            row = tx.execute(select(api_keys).where(mine)).mappings().first()
        if row is None:
            raise NotFound(f"no key {key_id!r}", "sapwood keys list")
        return _key(dict(row))

    def mark_used(self, seen: dict[str, float]) -> None:
        """Record when keys were last used (`key_id -> UNIX seconds`)."""
        with self.engine.begin() as tx:
            for key_id, when in sorted(seen.items()):
                tx.execute(update(api_keys).where(api_keys.c.key_id == key_id).values(last_used_at=when))


def write_file(path: Path, keys: Sequence[Key]) -> None:
    """The key file: hashed keys only, so it holds no secret."""
    path.write_text(rendered(keys), encoding="utf-8")


def rendered(keys: Sequence[Key]) -> str:
    """The text of a key file."""
    return json.dumps({"keys": [asdict(key) for key in keys]}, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def read_file(path: Path) -> list[Key]:
    """The keys of a key file. Raises `InputError`."""
    try:
        return [_key(entry) for entry in json.loads(path.read_text(encoding="utf-8"))["keys"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as fault:
        raise InputError(f"{path}: not a key file ({fault})", "make one with: sapwood keys list --json > keys.json") from None


def _key(entry: dict[str, Any]) -> Key:
    known = {f.name for f in fields(Key)}
    if unknown := sorted(set(entry) - known):
        raise ValueError(f"unknown field {unknown[0]}")
    return Key(**entry | {"scopes": tuple(entry["scopes"])})


class Doorman:
    """Answers whose secret this is, and whether it may ask again this minute. Thread-safe.

    `load` lists the keys; it is called at most once a second (so a revoked key opens nothing after that), and at most
    ten times a second for secrets nobody knows. A `load` that raises keeps the last known keys out of use: it raises.
    """

    def __init__(self, load: Callable[[], list[Key]], clock: Callable[[], float] = time.time) -> None:
        self._load = load
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[str, Key] = {}
        self._loaded_at = float("-inf")
        self._buckets: dict[str, tuple[float, float]] = {}
        self._seen: dict[str, float] = {}

    def find(self, secret: str) -> Key | None:
        """The living key of this secret, or None."""
        digest = hashed(secret)
        with self._lock:
            self._refresh(STALE_S)
            if digest not in self._known:
                self._refresh(HURRY_S)
            key = self._known.get(digest)
            now = self._clock()
            if key is None or not hmac.compare_digest(key.hash, digest) or not key.lives(now):
                return None
            self._seen[key.key_id] = now
            return key

    def wait_s(self, key: Key) -> float:
        """Take one request from the key's bucket. 0 when it may pass, else seconds until it may."""
        if key.rpm_limit is None:
            return 0.0
        with self._lock:
            now, rate = self._clock(), key.rpm_limit / 60
            level, then = self._buckets.get(key.key_id, (float(key.rpm_limit), now))
            level = min(float(key.rpm_limit), level + (now - then) * rate)
            taken = level >= 1
            self._buckets[key.key_id] = (level - taken, now)
            return 0.0 if taken else (1 - level) / rate

    def empty(self) -> bool:
        """Whether no living key exists."""
        with self._lock:
            self._refresh(STALE_S)
            return not any(key.lives(self._clock()) for key in self._known.values())

    def take_seen(self) -> dict[str, float]:
        """When each key was last used since the last call."""
        with self._lock:
            seen, self._seen = self._seen, {}
            return seen

    def _refresh(self, age_s: float) -> None:
        now = self._clock()
        if now - self._loaded_at >= age_s:
            self._known = {key.hash: key for key in self._load()}
            self._loaded_at = now
