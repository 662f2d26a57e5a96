"""A training that is stopped saves and continues; one that is shared by two processes comes to the same weights, stopped or not."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors.torch import load_file

from sapwood.artifact import Model
from sapwood.store.local import LocalStore
from sapwood.testing.runners import write_texts

RECIPE = """
name: train
seed: 4
resources: {{precision: fp32, {resources}}}
stages:
  texts:
    stage: collect
    sources: [{{kind: csv, name: texts, path: texts.csv, label_column: label}}]
  named: {{stage: label, documents: texts}}
  words: {{stage: tokenize, documents: [named.examples], vocab_size: 300}}
  pretrain: {{documents: [named.examples], tokenizer: words, architecture: {{kind: bert, layers: 1, width: 32, heads: 2}}, steps: {steps}, batch_tokens: 256, max_tokens: 32, held_out: 0.1}}
"""
LONG, SHORT = 4000, 8


def command(workspace: Path) -> list[str]:
    return [sys.executable, "-m", "sapwood.cli.main", "run", str(workspace / "r.yaml"), "--store", str(workspace / "store"), "--json"]


def written(workspace: Path, resources: str, steps: int) -> Path:
    workspace.mkdir(exist_ok=True)
    write_texts(workspace)
    os.utime(workspace / "texts.csv", (1e9, 1e9))
    (workspace / "r.yaml").write_text(RECIPE.format(resources=resources, steps=steps))
    return workspace


def stopped(workspace: Path) -> float:
    """Seconds from SIGTERM to the last checkpoint of a run that was training; it must end with 75."""
    process = subprocess.Popen(command(workspace), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 300
    while not list(workspace.glob("store/**/checkpoints/step-*/manifest.json")):
        assert process.poll() is None, "it ended before it saved"
        assert time.monotonic() < until, "no checkpoint was saved"
        time.sleep(0.1)
    began = time.time()
    process.send_signal(signal.SIGTERM)
    _, error = process.communicate(timeout=300)
    assert process.returncode == 75, error
    assert "stopped and saved after step" in error
    return max(saved.stat().st_mtime for saved in workspace.glob("store/**/checkpoints/step-*/manifest.json")) - began


def weights(workspace: Path) -> dict:
    store = LocalStore(workspace / "store")
    [model] = store.artifacts(Model.kind)
    return load_file(store.open(model) / "model.safetensors")


def test_sigterm_in_a_training_saves_within_ten_seconds_and_exits_with_75(tmp_path: Path) -> None:
    workspace = written(tmp_path, "processes: 1", LONG)
    assert 0 <= stopped(workspace) < 10
    [folder] = workspace.glob("store/**/checkpoints/step-*")
    state = json.loads((folder / "state.json").read_text())
    assert 0 < state["step"] < LONG
    assert state["progress"]["step"] == state["step"]


def test_a_training_of_two_processes_makes_the_model_of_one_whole_or_in_shards(tmp_path: Path) -> None:
    models = []
    for number, resources in enumerate(("processes: 1", "processes: 2", "processes: 2, shard: full")):
        workspace = written(tmp_path / str(number), resources, SHORT)
        done = subprocess.run(command(workspace), capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        models.append(weights(workspace))
    one, *others = models
    for other in others:
        assert one.keys() == other.keys()
        for name, weight in one.items():
            assert float((other[name] - weight).norm()) <= 1e-3 * float(weight.norm()) + 1e-6, name


@pytest.mark.soak
def test_a_training_of_two_processes_is_stopped_by_sigterm_and_goes_on(tmp_path: Path) -> None:
    workspace = written(tmp_path, "processes: 2", 400)
    assert 0 <= stopped(workspace) < 10
    done = subprocess.run(command(workspace), capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr


@pytest.mark.soak
def test_twenty_kills_at_random_steps_continue_bit_for_bit(tmp_path: Path) -> None:
    workspace = written(tmp_path, "processes: 1", 24)
    subprocess.run(command(workspace), check=True, stdout=subprocess.DEVNULL)
    verify = [sys.executable, "-m", "sapwood.cli.main", "resume", "last", "--verify", "--step", "pretrain", "--kills", "20", "--json"]
    done = subprocess.run([*verify, "--store", "store"], cwd=workspace, capture_output=True, text=True, timeout=3600)
    assert done.returncode == 0, done.stdout + done.stderr
    proofs = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(proofs) == 20
    assert all(proof["exact"] for proof in proofs)
    assert len({proof["killed_at"] for proof in proofs}) > 5
