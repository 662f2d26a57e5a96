"""What stands in the text for personal data: `<EMAIL_ADDRESS>`, or a stable `<EMAIL_ADDRESS_7f3a91c2d4e0>`.

A stable placeholder is HMAC-SHA-256 of type and value under a secret of the store, cut to 48 bits: the same value has the same placeholder
in every artifact of a store, so that who is who can be followed and nobody be named. With the secret every number could be tried until its
placeholder comes out, so the secret is never written anywhere; without it a placeholder tells nothing. Among a million different values of one
type an expected 0.002 pairs share a placeholder.

The secret is the hash of the store's Ed25519 signature (deterministic, RFC 8032) over one fixed message. Nothing else may sign that
message: verdicts and parity reports, which are what stores sign, are JSON objects, and this begins otherwise. Another key gives other placeholders.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable

from sapwood.stage import Signature
from sapwood.text.pii.finding import ADDRESS, CARD, EMAIL, IBAN, ID_NUMBER, PHONE, narrowed

PURPOSE = b"sapwood: the secret of stable placeholders, version 1"
HEX = 12

Name = Callable[[str, str], str]
"""(type, value as it stands in the text) -> placeholder."""


def secret(sign: Callable[[bytes], Signature]) -> bytes:
    """32 bytes from `Work.sign` (or a store's), the same for the life of the store's key."""
    return hashlib.sha256(PURPOSE + b"\0" + bytes.fromhex(sign(PURPOSE).value)).digest()


def plain(entity_type: str, value: str) -> str:
    """`<TYPE>`."""
    return f"<{entity_type}>"


def stable(key: bytes) -> Name:
    """`<TYPE_` and 12 hex characters `>`, by `key` and the value's normal form."""

    def name(entity_type: str, value: str) -> str:
        message = f"{entity_type}\0{normal(entity_type, value)}".encode("utf-8", "surrogatepass")
        return f"<{entity_type}_{hmac.new(key, message, 'sha256').hexdigest()[:HEX]}>"

    return name


def normal(entity_type: str, value: str) -> str:
    """One spelling for one value: narrow, case folded, without the separators of its type; `+86` and `0086` of a phone go."""
    spelt = narrowed(value).casefold()
    if entity_type == EMAIL:
        return spelt
    if entity_type in (CARD, IBAN, ID_NUMBER, PHONE):
        bare = re.sub(r"[ ().-]", "", spelt)
        return re.sub(r"\A(?:\+|00)?86(?=1[0-9]{10}\Z)", "", bare) if entity_type == PHONE else bare
    if entity_type == ADDRESS:
        return re.sub(r"[ ,.]+", " ", spelt).strip()
    return " ".join(spelt.split())
