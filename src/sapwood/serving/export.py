"""Write a release that serves without a store: the bundle, its signed verdict and parity record, and the public key."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from sapwood import verdict as verdicts
from sapwood.artifact import Bundle, Entry, digest_of, scan
from sapwood.errors import InputError, Refused
from sapwood.verdict import Parity, Signed, Verdict


def export_release(
    bundle: Path, verdict: Path, parity: Path | None, public_key: str, out: Path, name: str = "model", version: int = 1
) -> Path:
    """Copy a bundle folder and its report folders to `out` (a new folder) as `sapwood serve --bundle OUT` reads it.

    Layout: `bundle/`, `verdict.json`, `parity.json` (when there is one), `release.json`. Complete or not there at all.
    Errors: `InputError` (out exists), `Refused` (the release could not be served).
    """
    if out.exists():
        raise InputError(f"{out} is there already", "give a new folder")
    judged = verdicts.read(verdict)
    same = verdicts.read(parity) if parity is not None else None
    digest, model = digest_of(Bundle, scan(bundle)), _model(judged, same)
    verdicts.may_serve(digest, model, judged, same, public_key)
    out.parent.mkdir(parents=True, exist_ok=True)
    building = out.with_name(f".{out.name}.{os.getpid()}.new")
    try:
        _copy(bundle, building / "bundle")
        _record(building / "verdict.json", judged)
        if same is not None:
            _record(building / "parity.json", same)
        body = {"bundle": digest, "model": model, "name": name, "public_key": public_key, "version": version}
        (building / "release.json").write_text(json.dumps(body, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        building.rename(out)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return out


def _model(judged: Signed, same: Signed | None) -> str:
    if isinstance(judged.record, Verdict) and judged.record.subject_kind == "model":
        return judged.record.subject
    if same is not None and isinstance(same.record, Parity):
        return same.record.model
    raise Refused("neither the verdict nor a parity record names the source model", "add a parity stage")


def _copy(source: Path, target: Path) -> tuple[Entry, ...]:
    """Plain writable copies: a store's view is read-only and may be made of links."""
    entries = scan(source)
    for entry in entries:
        (target / entry.path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / entry.path, target / entry.path)
    return entries


def _record(path: Path, signed: Signed) -> None:
    body = json.dumps(signed.model_dump(mode="json"), ensure_ascii=False, indent=1, sort_keys=True)
    path.write_text(body + "\n", encoding="utf-8")
