"""Bring one Debian package with the machine's own apt: its mirrors, proxies and keys.

`apt-get download` fetches one file and checks it against the signed lists of the mirror. It needs no root, installs nothing, and runs
no script of the package. Versions are exact. A mirror that has moved on says so, and the fault names both ways out.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from sapwood.errors import InputError, NetworkError, ResourceError
from sapwood.samples.table import Sample
from sapwood.samples.unpack import peek

HOURS = 3600
OFFER = re.compile(r"'(?P<url>[^']+)' (?P<file>\S+) (?P<bytes>\d+) SHA256:(?P<sha256>[0-9a-f]{64})")
MACHINE_READABLE = re.compile(r"^Format: *\S*copyright-format", re.MULTILINE)
DECLARED = re.compile(r"^License: *(\S[^\n]*)", re.MULTILINE)
COPYRIGHT = 200_000


def apt_download(sample: Sample, folder: Path) -> Path:
    """Download into `folder`; the archive's path. Raises `NetworkError`, `InputError` (the mirror has another version)."""
    _apt(sample, folder, "download", f"{sample.name}={sample.version}")
    found = sorted(folder.glob("*.deb"))
    if len(found) != 1:
        raise InputError(f"apt-get brought {len(found)} files for {sample.package}, one was expected", "check apt's settings")
    return found[0]


def available(sample: Sample) -> Sample:
    """The same sample in the version the mirror has now, with its size and digest from the mirror's signed list. Raises as above."""
    with tempfile.TemporaryDirectory() as folder:
        said = _apt(sample, Path(folder), "download", "--print-uris", sample.name)
    offer = OFFER.search(said)
    if offer is None:
        raise InputError(f"apt-get does not say where {sample.name} is", "run apt-get update, or take the sample from another machine")
    version = offer["file"].removeprefix(f"{sample.name}_").removesuffix(".deb").rpartition("_")[0].replace("%3a", ":")
    package = f"{sample.name}=={version}"
    return sample.model_copy(update={"package": package, "sha256": offer["sha256"], "bytes": int(offer["bytes"])})


def licences(sample: Sample, archive: Path) -> str:
    """The licences that the package's copyright file declares, in one line, before anything is unpacked."""
    text = peek(archive, f"usr/share/doc/{sample.name}/copyright", COPYRIGHT)
    if not text:
        return "nothing (the package carries no copyright file of its own)"
    found = list(dict.fromkeys(DECLARED.findall(text))) if MACHINE_READABLE.search(text) else []
    if not found:
        return "its terms in prose; read the file copyright beside the text"
    return ", ".join(found[:6]) + (f" and {len(found) - 6} more for parts of it" if len(found) > 6 else "")


def _apt(sample: Sample, folder: Path, *words: str) -> str:
    if shutil.which("apt-get") is None:
        raise NetworkError(
            f"{sample.package}: this machine has no apt-get, which fetches Debian packages",
            f"fetch it on a Debian machine (apt-get download {sample.name}={sample.version}) and give the file with --archive",
        )
    environment = {**os.environ, "LC_ALL": "C"}
    done = subprocess.run(
        ["apt-get", "-q", *words], cwd=folder, env=environment, capture_output=True, text=True, errors="replace", timeout=HOURS
    )
    if done.returncode != 0:
        raise _fault(sample, done.stderr)
    return done.stdout


def _fault(sample: Sample, stderr: str) -> NetworkError | InputError | ResourceError:
    if "was not found" in stderr and "Version" in stderr:
        return InputError(f"{sample.package}: the mirror has another version of {sample.name} by now", "")
    if "Unable to locate package" in stderr:
        return NetworkError(
            f"{sample.package}: apt knows no package {sample.name}", "run apt-get update; the table's packages are those of Debian 12"
        )
    if "No space left" in stderr:
        return ResourceError(f"{sample.package}: the disk is full", "free some space or set SAPWOOD_CACHE to a folder on another disk")
    last = next((line.strip() for line in reversed(stderr.splitlines()) if line.startswith("E:")), stderr.strip()[-200:])
    return NetworkError(f"{sample.package}: apt-get could not download it ({last})", "check the network and apt's sources (apt-get update)")
