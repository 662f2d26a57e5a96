"""Bring one npm package with the machine's own npm: its registry, proxy and keys.

`npm pack NAME@VERSION` downloads the archive that was published. With `--ignore-scripts`, and in an empty folder without a package of
its own, nothing of the package is run and nothing is installed.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from sapwood.errors import InputError, NetworkError, ResourceError
from sapwood.samples.table import Sample

HOURS = 3600
CODE = re.compile(r"npm (?:error|ERR!) code (\w+)")


def npm_pack(sample: Sample, folder: Path) -> Path:
    """Download into `folder`; the archive's path. Raises `NetworkError`, `ResourceError` (disk), `InputError`."""
    command = shutil.which("npm")
    wanted = f"{sample.name}@{sample.version}"
    if command is None:
        raise NetworkError(
            f"{wanted}: this machine has no npm, which fetches it",
            f"install npm, or run npm pack {wanted} elsewhere and give the file with --archive",
        )
    done = subprocess.run(
        [command, "pack", wanted, "--ignore-scripts", "--pack-destination", str(folder)],
        cwd=folder, capture_output=True, text=True, errors="replace", timeout=HOURS,
    )  # fmt: skip
    if done.returncode != 0:
        raise _fault(wanted, done.stderr)
    found = sorted(folder.glob("*.tgz"))
    if len(found) != 1:
        raise InputError(f"npm brought {len(found)} files for {wanted}, one was expected", "check npm's settings")
    return found[0]


def _fault(wanted: str, stderr: str) -> NetworkError | ResourceError:
    if "ENOSPC" in stderr:
        return ResourceError(f"{wanted}: the disk is full", "free some space or set SAPWOOD_CACHE to a folder on another disk")
    code = found[1] if (found := CODE.search(stderr)) else stderr.strip()[-200:]
    reason = "the registry does not have it" if code in ("E404", "ETARGET") else "npm could not download it"
    return NetworkError(f"{wanted}: {reason} ({code})", "check the network and npm's settings (npm config get registry)")
