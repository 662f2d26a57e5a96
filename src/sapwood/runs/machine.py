"""What a run ran on: pure probing, recorded with every run and shown by `sapwood doctor`.

What it does not do: it never records user names, host names or absolute paths, imports no heavy library, changes no setting
and never measures anything; measured rates are the doctor's. Anything that cannot be read is reported as unknown
(0 or an empty string).
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

OURS = "sapwood"
FLAGS = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16", "amx_int8", "amx_tile", "asimd", "bf16", "i8mm")
"""CPU features that decide how fast numbers are multiplied here, as Linux calls them."""


def environment(workspace: Path | None = None) -> dict[str, Any]:
    """What can be told about this machine in well under 0.1 s, ready for JSON. `memory` in bytes.

    `commit` is the workspace's git commit with `+changes` when files differ from it; "" outside of git.
    """
    return {
        "sapwood": version(OURS),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()} {' '.join(platform.libc_ver())}".strip(),
        "cpu": cpu_model(),
        "cores": cores(),
        "memory": memory_bytes(),
        "flags": list(cpu_flags()),
        "packages": packages(),
        "commit": commit(workspace) if workspace else "",
    }


def cores() -> int:
    """Cores this process may use, which in a container can be fewer than the machine has."""
    try:
        allowed = len(os.sched_getaffinity(0))
    except AttributeError:
        allowed = os.cpu_count() or 1
    quota, _, period = _read("/sys/fs/cgroup/cpu.max").partition(" ")
    if quota.isdigit() and period.strip().isdigit():
        allowed = min(allowed, max(1, int(quota) // int(period)))
    return allowed


def memory_bytes() -> int:
    """Memory this process may use: the machine's, or the container's limit where that is lower."""
    limit = _read("/sys/fs/cgroup/memory.max").strip()
    total = int(psutil.virtual_memory().total)
    return min(total, int(limit)) if limit.isdigit() else total


def memory_free() -> int:
    """Bytes that can be taken now without swapping, as the kernel estimates it."""
    used = _read("/sys/fs/cgroup/memory.current").strip()
    free = int(psutil.virtual_memory().available)
    limit = memory_bytes()
    if used.isdigit() and limit < psutil.virtual_memory().total:
        free = min(free, limit - int(used))
    return max(free, 0)


def cpu_model() -> str:
    """The CPU's name."""
    found = re.search(r"^(?:model name|Model)\s*:\s*(.+)$", _read("/proc/cpuinfo"), re.MULTILINE)
    return found[1].strip() if found else platform.processor()


def cpu_flags() -> tuple[str, ...]:
    """Those of `FLAGS` that this CPU has, in that order."""
    found = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", _read("/proc/cpuinfo"), re.MULTILINE)
    have = set(found[1].split()) if found else set()
    return tuple(flag for flag in FLAGS if flag in have)


def version(distribution: str) -> str:
    """The installed version, or ""."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""


def requirements(extra: str = "") -> list[str]:
    """Sapwood's own requirement strings, without markers: the core's, or those that `extra` adds. Empty when not installed."""
    try:
        declared = metadata.requires(OURS) or []
    except metadata.PackageNotFoundError:
        return []
    wanted = []
    for line in declared:
        requirement, _, marker = line.partition(";")
        found = re.search(r"extra\s*==\s*['\"]([^'\"]+)['\"]", marker)
        if (found[1] if found else "") == extra:
            wanted.append(requirement.strip())
    return wanted


def extras() -> list[str]:
    """Names of Sapwood's optional groups, as they are declared."""
    try:
        return metadata.metadata(OURS).get_all("Provides-Extra") or []
    except metadata.PackageNotFoundError:
        return []


def distribution_name(requirement: str) -> str:
    """`torch` of `torch>=2.13,<2.14`; `sapwood` of `sapwood[onnx]`."""
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    return found[0] if found else requirement


def packages() -> dict[str, str]:
    """Version of every core requirement and of the onnx extra, sorted by name; "" for one that is missing."""
    names = {distribution_name(line) for line in [*requirements(), *requirements("onnx")]}
    return {name: version(name) for name in sorted(names, key=str.lower)}


def commit(workspace: Path) -> str:
    """The commit that the workspace is at. "" where git is absent, slow, or the folder is not in a repository."""
    if shutil.which("git") is None:
        return ""
    head = _git(workspace, "rev-parse", "HEAD")
    if head is None:
        return ""
    changed = _git(workspace, "status", "--porcelain", "--untracked-files=no", "--", ".")
    return f"{head}+changes" if changed else head


def _git(workspace: Path, *words: str) -> str | None:
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}
    try:
        done = subprocess.run(
            ["git", "-C", str(workspace), *words], capture_output=True, text=True, timeout=5, env=environment, check=False
        )
    except (subprocess.TimeoutExpired, OSError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
