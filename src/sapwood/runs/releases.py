"""What has to be true before a version may serve, asked in one place: `promote`, `deploy`, `export` and the gateway use it."""

from __future__ import annotations

from sapwood import verdict as verdicts
from sapwood.artifact import Bundle, Report
from sapwood.errors import NotFound
from sapwood.store.local import LocalStore
from sapwood.store.records import Version
from sapwood.verdict import Signed


def version_of(store: LocalStore, name: str, bundle: Bundle) -> Version:
    """The registered version that holds this bundle."""
    for version in store.records.versions(name):
        if version.bundle == bundle.digest:
            return version
    raise NotFound(f"{name} has no version with bundle {bundle.short}", "register the bundle first")


def champion(store: LocalStore, name: str) -> Version:
    version = store.records.alias(name, "champion")
    if version is None:
        raise NotFound(f"{name} has no champion", "run a recipe that registers and promotes one")
    return version


def proofs(store: LocalStore, version: Version) -> tuple[Signed, Signed | None]:
    """The signed verdict and, where there is one, the signed parity record of a version."""
    judged = verdicts.read(store.open(Report(version.verdict)))
    parity = verdicts.read(store.open(Report(version.parity))) if version.parity else None
    return judged, parity


def check(store: LocalStore, version: Version) -> None:
    """Raise `Refused` unless the version may serve."""
    judged, parity = proofs(store, version)
    verdicts.may_serve(version.bundle, version.model, judged, parity, store.public_key())
