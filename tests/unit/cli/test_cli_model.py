"""A small model through the real command: what it says when nothing was learned, what it refuses, and the folder that it gives away."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from sapwood.testing.runners import write_texts

RECIPE = """
sapwood: 1
name: small
seed: 3
resources: {threads: 1}
stages:
  rows: {stage: collect, sources: [{kind: csv, name: own, path: texts.csv, label_column: label, license: MIT, language: en}]}
  label: {documents: rows}
  split: {documents: label.examples, near: 0.95, ratios: {train: 0.6, dev: 0.2, test: 0.2}}
  tokenize: {documents: [split.train], vocab_size: 500}
  pretrain: {documents: [split.train], tokenizer: tokenize, architecture: {kind: bert, layers: 1, width: 32, heads: 2}, steps: 4,
             batch_tokens: 512, held_out: 0.2}
  finetune: {model: pretrain, train: split.train, dev: split.dev, epochs: 1, optimiser: {kind: sgd, lr: 30}}
"""


def sapwood(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "sapwood.cli.main", *words], cwd=folder, capture_output=True, text=True)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small")
    (folder / "small.yaml").write_text(RECIPE)
    write_texts(folder)
    return folder


@pytest.fixture(scope="module")
def ran(workspace: Path) -> str:
    told = sapwood(workspace, "run", "small.yaml")
    assert told.returncode == 0, told.stderr
    return " ".join((told.stdout + told.stderr).split())


def test_a_model_that_gives_one_answer_to_all_says_so(ran: str) -> None:
    assert "to every one of them, so it tells nothing apart" in ran


def test_a_model_is_given_away_as_a_folder_with_its_card(workspace: Path, ran: str) -> None:
    from transformers import AutoModelForSequenceClassification

    told = sapwood(workspace, "export", "finetune.model", "given")
    assert told.returncode == 0, told.stderr
    model = AutoModelForSequenceClassification.from_pretrained(workspace / "given")
    assert model.config.id2label == {0: "negative", 1: "positive"}
    card = (workspace / "given" / "README.md").read_text(encoding="utf-8")
    head = yaml.safe_load(card.split("---")[1])
    assert head["pipeline_tag"] == "text-classification"
    assert head["license"] == "mit"
    assert "| own | MIT |" in card, "the sources that it learned from, with their licences"
    steps = [card.index(f"**{step}**") for step in ("collect", "label", "split", "tokenize", "pretrain", "finetune")]
    assert steps == sorted(steps), "steps stand in the order in which they ran"
    again = sapwood(workspace, "export", "finetune.model", "given")
    assert (again.returncode, "there already" in again.stderr) == (4, True)


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        ("stages.finetune.task={kind: spans}", 4, "has no question in meta.question"),
        ("stages.finetune.task={kind: tokens}", 4, "no training example has an entity in meta.spans"),
        ("stages.finetune.seed=-1", 3, "a whole number from 0"),
        ("stages.finetune.seed=abc", 3, "a whole number from 0"),
    ],
)
def test_training_without_what_it_takes_is_refused(workspace: Path, ran: str, change: str, code: int, said: str) -> None:
    told = sapwood(workspace, "run", "small.yaml", "--set", change)
    assert told.returncode == code, told.stderr
    assert said in " ".join(told.stderr.split())
    assert "Traceback" not in told.stderr


def test_the_licence_of_a_base_model_counts_and_one_that_states_none_leaves_none_for_the_whole() -> None:
    from collections import Counter

    from sapwood.models.card import Card
    from sapwood.runs import modelcards
    from sapwood.text.versions.profile import Profile

    texts = [Profile(rows=2, counts={"license": Counter({"MIT": 2})})]
    licences = [modelcards._metadata(Card(), texts, bases)["license"] for bases in ([], ["mit"], ["apache-2.0"], ["not stated"])]
    assert licences == ["mit", "mit", ["mit", "apache-2.0"], "other"]
