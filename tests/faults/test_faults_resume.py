"""Training that was killed and continued ends in the same bytes, and the command that proves it can also find a difference."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sapwood.runs import exactness
from sapwood.testing.runners import write_texts

KILLS = os.environ.get("SAPWOOD_KILLS", "3")
RECIPE = """
name: train
seed: 4
stages:
  texts:
    stage: collect
    sources: [{kind: csv, name: texts, path: texts.csv, label_column: label}]
  named: {stage: label, documents: texts}
  words: {stage: tokenize, documents: [named.examples], vocab_size: 300}
  pretrain: {documents: [named.examples], tokenizer: words, architecture: {kind: bert, layers: 1, width: 32, heads: 2}, steps: 24, batch_tokens: 64, max_tokens: 32, held_out: 0.1}
  taught: {stage: finetune, model: pretrain, train: named.examples, dev: named.examples, epochs: 2, max_tokens: 32}
"""


def sapwood(workspace: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sapwood.cli.main", *arguments, "--store", "store"]
    return subprocess.run(command, cwd=workspace, capture_output=True, text=True, timeout=900)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    workspace = tmp_path_factory.mktemp("trained")
    write_texts(workspace)
    (workspace / "r.yaml").write_text(RECIPE)
    done = sapwood(workspace, "run", "r.yaml")
    assert done.returncode == 0, done.stderr
    return workspace


def test_a_killed_pretraining_continues_bit_for_bit(trained: Path) -> None:
    done = sapwood(trained, "resume", "last", "--verify", "--step", "pretrain", "--kills", KILLS, "--json")
    proofs = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(proofs) == int(KILLS)
    for proof in proofs:
        assert proof["exact"]
        assert 0 < proof["killed_at"] < proof["steps"]
        assert {"weights", "optimiser", "torch's generator", "output model", "output report"} < set(proof["compared"])


def test_a_killed_fine_tuning_continues_bit_for_bit(trained: Path) -> None:
    done = sapwood(trained, "resume", "last", "--verify", "--step", "taught", "--seed", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "taught: exact: killed after step" in done.stdout
    assert not list((trained / "store" / "tmp").iterdir())


def test_one_other_byte_in_a_checkpoint_is_a_difference(tmp_path: Path) -> None:
    for home, content in (("whole", b"same"), ("killed", b"other")):
        folder = tmp_path / home / "scratch" / "checkpoints" / "step-000000002"
        folder.mkdir(parents=True)
        (folder / "weights.safetensors").write_bytes(content)
        (folder / "state.json").write_bytes(b"{}")
        (tmp_path / home / exactness.MADE).write_text('{"model": "a"}')
    proof = exactness.Proof("x", 1, 2, exactness._compared(tmp_path / "whole", tmp_path / "killed"))
    assert not proof.exact
    assert [one.what for one in proof.compared if not one.equal] == ["weights"]


def test_a_run_continues_as_it_was_written_although_its_file_is_gone(trained: Path) -> None:
    (trained / "r.yaml").rename(trained / "gone.yaml")
    done = sapwood(trained, "resume", "last")
    (trained / "gone.yaml").rename(trained / "r.yaml")
    assert done.returncode == 0, done.stderr
    assert "Nothing had to run" in done.stdout


def test_a_step_that_does_not_train_is_refused_with_those_that_do(trained: Path) -> None:
    done = sapwood(trained, "resume", "last", "--verify", "--step", "named")
    assert done.returncode == 4
    assert "pretrain, taught" in done.stderr
