"""What is recorded of a machine: enough to explain a result, nothing that names a person, a host or a path."""

from __future__ import annotations

import getpass
import json
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from sapwood.runs import machine


def test_the_record_is_json_and_names_no_one() -> None:
    text = json.dumps(machine.environment(Path.cwd()))
    assert platform.node() not in text or len(platform.node()) < 4
    assert str(Path.home()) not in text or str(Path.home()) == "/"
    assert f'"{getpass.getuser()}"' not in text
    assert ":/" not in text
    assert '"/' not in text


def test_cores_and_memory_are_what_this_process_may_use() -> None:
    assert 1 <= machine.cores() <= 4096
    assert 0 < machine.memory_free() <= machine.memory_bytes() * 1.01


def test_a_folder_outside_of_git_has_no_commit(tmp_path: Path) -> None:
    assert machine.commit(tmp_path) == ""
    assert machine.commit(tmp_path / "absent") == ""


def test_a_changed_file_shows_in_the_commit(tmp_path: Path) -> None:
    def git(*words: str) -> None:
        subprocess.run(["git", "-C", str(tmp_path), "-c", "user.name=t", "-c", "user.email=t@t", *words], check=True, capture_output=True)

    git("init", "-q")
    (tmp_path / "a.txt").write_text("1")
    git("add", "a.txt")
    git("commit", "-qm", "one")
    clean = machine.commit(tmp_path)
    (tmp_path / "a.txt").write_text("2")
    assert len(clean) == 40
    assert machine.commit(tmp_path) == f"{clean}+changes"


def test_requirement_names_are_read_from_their_strings() -> None:
    names = [machine.distribution_name(r) for r in ("torch>=2.13,<2.14", "sapwood[onnx]", "PyYAML", "a.b-c_d ==1")]
    assert names == ["torch", "sapwood", "PyYAML", "a.b-c_d"]


def test_extras_are_told_apart_from_the_core(monkeypatch: pytest.MonkeyPatch) -> None:
    declared = ["numpy>=2", "onnx>=1; extra == 'onnx'", 'ruff; extra == "dev"', "tzdata; sys_platform == 'win32'"]
    monkeypatch.setattr(machine.metadata, "requires", lambda _: declared)
    assert machine.requirements() == ["numpy>=2", "tzdata"]
    assert machine.requirements("onnx") == ["onnx>=1"]


def test_probing_loads_nothing_heavy() -> None:
    code = (
        "import sys; from sapwood.runs import machine; machine.environment();"
        "print([m for m in ('torch','transformers','sklearn','pyarrow','matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
