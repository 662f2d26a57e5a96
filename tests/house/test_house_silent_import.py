"""Importing does nothing: no print, no socket, no torch, and it is over in a moment."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src" / "sapwood"
HEAVY = ("torch", "transformers", "sklearn", "scipy", "pandas", "pyarrow", "onnx", "onnxruntime", "peft", "matplotlib", "fastapi")

GUARD = """
import socket, sys
def refuse(*args, **kw): raise SystemExit("opened a socket")
socket.socket.__init__ = refuse
"""


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)


def loaded(modules: list[str]) -> dict[str, list[str]]:
    """For each module, imported in one process after the other: the heavy packages that are loaded after it."""
    lines = [f"import {m}; print({m!r}, *[h for h in {HEAVY!r} if h in sys.modules])" for m in modules]
    done = python(GUARD + "\n".join(lines))
    assert done.returncode == 0, done.stderr[-1500:]
    return {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines()}


def names(room: str) -> list[str]:
    found = sorted(path.stem for path in (SOURCE / room).glob("*.py") if path.stem != "__init__")
    return [f"sapwood.{room}.{stem}" for stem in found]


def test_importing_the_package_says_nothing_and_opens_no_socket() -> None:
    done = python(GUARD + "import sapwood")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_importing_the_package_takes_less_than_300_ms() -> None:
    """Best of five, the bare interpreter's own start taken off: other programs may be busy here."""

    def best(code: str) -> float:
        times = []
        for _ in range(5):
            began = time.perf_counter()
            python(code)
            times.append(time.perf_counter() - began)
        return min(times)

    assert best("import sapwood") - best("pass") < 0.3


def test_importing_any_stage_loads_nothing_heavy() -> None:
    stages = names("stages")
    assert len(stages) >= 15
    heavy = {module: found for module, found in loaded(stages).items() if found}
    assert not heavy


def test_importing_any_command_loads_nothing_heavy() -> None:
    commands = names("cli")
    assert len(commands) >= 10
    heavy = {module: found for module, found in loaded(commands).items() if found}
    assert not heavy


def test_importing_the_contracts_and_pure_rooms_loads_no_torch() -> None:
    pure = ["sapwood.errors", "sapwood.artifact", "sapwood.stage", "sapwood.report", "sapwood.verdict", "sapwood.plugins", "sapwood.recipe"]
    found = loaded([*pure, *names("text"), *names("metrics"), *names("samples"), *names("watching")])
    assert not {module: heavy for module, heavy in found.items() if {"torch", "transformers"} & set(heavy)}


def test_help_answers_at_once_and_loads_nothing_heavy() -> None:
    done = python(f"import sys; from sapwood.cli.main import overview; overview(); print([h for h in {HEAVY!r} if h in sys.modules])")
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_the_package_sends_nothing_home() -> None:
    """No address of a service of ours or of anyone who counts users is in the source."""
    words = ("posthog", "segment.io", "sentry", "telemetry.", "google-analytics")
    found = [(path.name, word) for path in SOURCE.rglob("*.py") for word in words if word in path.read_text(encoding="utf-8")]
    assert not found
