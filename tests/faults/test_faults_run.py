"""Kill, corrupt and starve real runs; then the same command must finish, and nothing may be lost."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sapwood.store.local import LocalStore
from sapwood.testing.runners import RECIPE, write_texts

KILLS = int(os.environ.get("SAPWOOD_KILLS", "20"))


def command(workspace: Path, *more: str) -> list[str]:
    return [
        sys.executable,
        "-m",
        "sapwood.cli.main",
        "run",
        str(workspace / "r.yaml"),
        "--store",
        str(workspace / "store"),
        "--json",
        *more,
    ]


def states(output: str) -> dict[str, str]:
    last = json.loads([line for line in output.splitlines() if line.startswith('{"type": "run"')][-1])
    return {step["step"]: step["state"] for step in last["steps"]}


@pytest.fixture
def workspace(tmp_path):
    write_texts(tmp_path, extra=400)
    (tmp_path / "r.yaml").write_text(RECIPE)
    return tmp_path


def test_a_run_killed_at_random_points_always_continues_and_ends_with_the_same_artifacts(workspace, tmp_path_factory):
    whole = tmp_path_factory.mktemp("whole")
    write_texts(whole, extra=400)
    os.utime(whole / "texts.csv", (1e9, 1e9))
    os.utime(workspace / "texts.csv", (1e9, 1e9))
    (whole / "r.yaml").write_text(RECIPE)
    began = time.monotonic()
    subprocess.run(command(whole), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    longest = time.monotonic() - began
    draw = random.Random(11)
    killed = 0
    for _ in range(KILLS):
        process = subprocess.Popen(command(workspace), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(draw.uniform(0.05, longest))
        process.send_signal(signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
    assert killed >= KILLS // 4, "the kills came too late to test anything"
    done = subprocess.run(command(workspace), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    ours, theirs = LocalStore(workspace / "store"), LocalStore(whole / "store")
    assert ours.verify() == []
    assert {a.digest for a in theirs.artifacts()} <= {a.digest for a in ours.artifacts()}
    assert set(states(subprocess.run(command(workspace), capture_output=True, text=True).stdout).values()) == {"reused"}


def test_sigterm_ends_with_75_and_the_run_is_recorded_as_interrupted(workspace):
    process = subprocess.Popen(command(workspace), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for line in process.stdout:
        if '"running"' in line:
            process.terminate()
            break
    _, error = process.communicate(timeout=60)
    assert process.returncode == 75, error
    assert "Traceback" not in error
    assert LocalStore(workspace / "store").records.run("last").status == "interrupted"
    assert subprocess.run(command(workspace), capture_output=True).returncode == 0


def test_a_killed_run_is_shown_as_killed_and_one_at_work_as_running(workspace):
    shown = [sys.executable, "-m", "sapwood.cli.main", "show", "last", "--store", str(workspace / "store"), "--json"]
    process = subprocess.Popen(command(workspace), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    next(line for line in process.stdout if '"running"' in line)
    process.send_signal(signal.SIGSTOP)
    at_work = json.loads(subprocess.run(shown, capture_output=True, text=True, check=True).stdout)
    process.kill()
    process.wait()
    killed = json.loads(subprocess.run(shown, capture_output=True, text=True, check=True).stdout)
    assert (at_work["run"][0]["status"], killed["run"][0]["status"]) == ("running", "killed")


def test_a_flipped_byte_is_named_and_the_step_runs_again_once_it_is_set_aside(workspace):
    subprocess.run(command(workspace), check=True, capture_output=True)
    blob = max((p for p in (workspace / "store" / "blobs").rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    os.chmod(blob, 0o644)
    body = bytearray(blob.read_bytes())
    body[len(body) // 2] ^= 1
    blob.write_bytes(bytes(body))
    checked = subprocess.run(
        [sys.executable, "-m", "sapwood.cli.main", "store", "verify", "--store", str(workspace / "store")], capture_output=True, text=True
    )
    assert checked.returncode == 5, checked.stdout + checked.stderr
    assert blob.name[:12] in checked.stdout + checked.stderr
    assert "Traceback" not in checked.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="a small file system needs root; elsewhere the store's own tests use RLIMIT_FSIZE")
def test_a_full_disk_is_one_clear_error_and_the_next_run_finishes(workspace):
    mount = workspace / "small"
    mount.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "none", str(mount)], capture_output=True).returncode:
        pytest.skip("mount is not allowed here")
    try:
        full = [*command(workspace)[:5], "--store", str(mount / "store"), "--json"]
        done = subprocess.run(full, capture_output=True, text=True)
        assert done.returncode == 7, done.stderr
        assert "Traceback" not in done.stderr
        assert "free" in done.stderr
    finally:
        subprocess.run(["umount", str(mount)], check=True)
    assert subprocess.run(command(workspace), capture_output=True).returncode == 0
