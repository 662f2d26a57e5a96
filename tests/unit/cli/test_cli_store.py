"""`sapwood store`: what it prints and how it exits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sapwood.artifact import Documents
from sapwood.cli.store import app, size
from sapwood.store.local import LocalStore


@pytest.fixture
def stored(tmp_path: Path) -> tuple[LocalStore, Documents]:
    store = LocalStore(tmp_path / "store")
    folder = store.scratch("key") / "new"
    folder.mkdir()
    (folder / "rows.txt").write_bytes(b"x" * 1500)
    return store, store.put(Documents, folder)


def call(*arguments: object) -> str:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_list_is_for_people_and_programs(stored: tuple[LocalStore, Documents]) -> None:
    store, made = stored
    assert made.short in call("list", "--store", store.root)
    assert "1.5 kB" in call("list", "--store", store.root)
    [row] = json.loads(call("list", "--store", store.root, "--json"))
    assert (row["kind"], row["digest"], row["bytes"]) == ("documents", made.digest, 1500)
    assert json.loads(call("list", "--store", store.root, "--kind", "model", "--json")) == []


def test_path_gives_the_payload(stored: tuple[LocalStore, Documents]) -> None:
    store, made = stored
    folder = Path(call("path", made.digest[:8], "--store", store.root).strip())
    assert (folder / "rows.txt").stat().st_size == 1500


def test_reindex_and_gc_say_how_many(stored: tuple[LocalStore, Documents]) -> None:
    store, _ = stored
    assert call("reindex", "--store", store.root) == "indexed 1 artifact\n"
    orphan = store.root / "blobs" / "ab" / ("ab" * 32)
    orphan.parent.mkdir(exist_ok=True)
    orphan.write_bytes(b"1234")
    assert call("gc", "--store", store.root) == "removed 0 files, 0 B\n"
    assert call("gc", "--store", store.root, "--older-than", 0, "--dry-run") == "would remove 1 file, 4 B\n"
    assert call("gc", "--store", store.root, "--older-than", 0) == "removed 1 file, 4 B\n"


def test_the_real_command_verifies_and_exits_5_on_a_flipped_byte(stored: tuple[LocalStore, Documents]) -> None:
    store, made = stored
    environment = {**os.environ, "SAPWOOD_STORE": str(store.root)}

    def sapwood(*arguments: str) -> subprocess.CompletedProcess[str]:
        code = "import sys; from sapwood.cli.main import main; main(sys.argv[1:])"
        return subprocess.run([sys.executable, "-c", code, *arguments], env=environment, capture_output=True, text=True, check=False)

    sound = sapwood("store", "verify")
    assert (sound.returncode, sound.stdout) == (0, "verified 1 artifact: sound\n"), sound.stderr
    blob = store.layout.blob(store.entries(made)[0].sha256)
    blob.chmod(0o600)
    blob.write_bytes(b"y" + b"x" * 1499)
    bad = sapwood("store", "verify")
    assert bad.returncode == 5
    assert made.short in bad.stdout
    assert "rows.txt" in bad.stdout
    assert "Traceback" not in bad.stderr
    assert sapwood("store", "verify", "--set-aside").returncode == 0
    assert sapwood("store", "verify").returncode == 0


def test_sizes_are_read_easily() -> None:
    assert [size(n) for n in (0, 999, 1500, 2_000_000, 3e12)] == ["0 B", "999 B", "1.5 kB", "2.0 MB", "3.0 TB"]
