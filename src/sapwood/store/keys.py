"""The store's Ed25519 key: made on first use, kept as PEM that only its owner can read.

Whoever can read this file can sign. It does not protect against a person with the store's own rights; a gateway that
pins the public half notices a store whose key was replaced.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from sapwood.errors import Corrupt
from sapwood.stage import Signature
from sapwood.store.layout import Layout, disk_faults, sync_folder

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

FILE = "ed25519.pem"


def sign(layout: Layout, message: bytes) -> Signature:
    """Sign with the store's key."""
    key = _load(layout)
    return Signature(_public(key), key.sign(message).hex())


def public_key(layout: Layout) -> str:
    """The public half, in hex."""
    return _public(_load(layout))


def _public(key: Ed25519PrivateKey) -> str:
    return key.public_key().public_bytes_raw().hex()


def _load(layout: Layout) -> Ed25519PrivateKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    path = layout.root / "keys" / FILE
    if not path.exists():
        _create(layout)
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except ValueError as error:
        raise Corrupt(f"{path}: not a private key", "restore it from a backup; a new key makes every old verdict void") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise Corrupt(f"{path}: not an Ed25519 key", "restore it from a backup")
    return key


def _create(layout: Layout) -> None:
    """Write a new key and link it into place: of several processes one wins, and no half-written key is ever visible."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    temporary = layout.temporary("key")
    with disk_faults(layout.root):
        try:
            handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as stream:
                stream.write(pem)
                stream.flush()
                os.fsync(stream.fileno())
            try:
                os.link(temporary, layout.root / "keys" / FILE)
            except FileExistsError:
                return
            sync_folder(layout.root / "keys")
        finally:
            temporary.unlink(missing_ok=True)
