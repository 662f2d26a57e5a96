"""Words that must not be in the project: unfinished work, unsafe formats, and the traces of one machine."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).name
TEXT = {".py", ".md", ".yaml", ".yml", ".toml", ".txt", ".j2", ".cfg", ".ini", ".json", ""}


def tracked() -> list[Path]:
    """Files git knows or would take; without git, every file outside hidden and built folders."""
    command = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):
        listed = [
            p.relative_to(ROOT).as_posix() for p in ROOT.rglob("*") if not any(part.startswith(".") for part in p.parts[len(ROOT.parts) :])
        ]
    found = [ROOT / name for name in listed if (ROOT / name).is_file() and Path(name).suffix in TEXT]
    assert len(found) > 60
    return found


def lines_with(pattern: str, *suffixes: str, skip: tuple[str, ...] = ()) -> list[str]:
    wanted = re.compile(pattern)
    found = []
    for path in tracked():
        if path.name == HERE or path.name in skip or (suffixes and path.suffix not in suffixes):
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if wanted.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}")
    return found


def test_nothing_is_left_for_later() -> None:
    assert not lines_with(r"\b(TODO|FIXME|XXX|HACK)\b")
    assert not lines_with(r"raise NotImplementedError", ".py")


def test_nothing_is_pickled() -> None:
    """Opening a pickle runs it. Models are safetensors and JSON."""
    unsafe = r"^\s*(import|from)\s+(pickle|cPickle|dill|joblib|shelve|marshal)\b|torch\.load\((?!.*weights_only=True)|allow_pickle=True"
    assert not lines_with(unsafe, ".py")


@pytest.mark.parametrize("suffixes", [(".py", ".j2"), (".yaml", ".yml", ".toml", ".txt", ".json", ""), (".md",)])
def test_no_path_of_one_machine_is_in_the_project(suffixes: tuple[str, ...]) -> None:
    assert not lines_with(r"(?<![\w.])/(work|home|root|Users|tmp|mnt|opt)/[\w.]", *suffixes)


def test_no_test_starts_the_command_from_the_path() -> None:
    """`make test` has no environment activated: another `sapwood`, or none, may come first on the path."""
    assert not lines_with(r"""\[\s*["'](sapwood|python3?|pip|pytest)["'],\s*["'*]""", ".py")


def test_no_address_of_a_package_index_is_in_the_project() -> None:
    """People behind a mirror have their own settings; an address here would go around them."""
    assert not lines_with(
        r"(pypi\.org|pythonhosted\.org|registry\.npmjs|deb\.debian|download\.pytorch|--(extra-)?index-url\s*[= ]?\s*http)"
    )


def test_no_secret_is_in_the_project() -> None:
    assert not lines_with(r"-----BEGIN [A-Z ]*PRIVATE KEY-----|AKIA[0-9A-Z]{16}|ghp_[A-Za-z0-9]{20}|hf_[A-Za-z]{30}")


def test_every_pinned_version_is_plain() -> None:
    """A local suffix such as +cpu would name one index's builds."""
    pins = [line for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    assert len(pins) > 80
    assert not [pin for pin in pins if not re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][0-9A-Za-z.]*", pin)]
