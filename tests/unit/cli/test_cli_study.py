"""`sapwood study`, `sapwood why` and `sapwood run --tracker`, on a small corpus in English and Chinese. Each runs once as a process; what is
asked of it afterwards is asked in this one, which saves loading everything again."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from sapwood.cli.main import main
from sapwood.testing.runners import write_texts

RECIPE = """
seed: 3
stages:
  texts:
    stage: collect
    sources: [{kind: csv, name: texts, path: texts.csv, text_column: text, label_column: label}]
  labelled: {stage: label, documents: texts}
  cleaned: {stage: clean, documents: labelled.examples}
"""
SEARCH = """study: search
name: tiny
over: {stages.cleaned.min_chars: {low: 1, high: 120}}
score: {of: cleaned, number: total.kept}
budget: {trials: 3}
confirm: {seeds: 1}
"""
LADDER = """study: scale-law
name: ladder
resources: {threads: 1, precision: fp32}
sizes: [{stages.pretrain.architecture: {kind: bert, layers: 1, width: 8, heads: 1}}, {stages.pretrain.architecture: {kind: bert, layers: 1, width: 32, heads: 1}}]
amounts: [{stages.pretrain.steps: 2}, {stages.pretrain.steps: 6}, {stages.pretrain.steps: 18}, {stages.pretrain.steps: 40}]
loss: {of: pretrain, number: held_out.last.loss}
parameters: {of: pretrain, number: weights}
tokens: {of: pretrain, number: [steps, batch_tokens]}
budgets: [{seconds: 60}]
seed: 3
stages:
  texts:
    stage: collect
    sources: [{kind: csv, name: texts, path: texts.csv, text_column: text, label_column: label}]
  tokenize: {documents: [texts], vocab_size: 400}
  pretrain:
    documents: [texts]
    tokenizer: tokenize
    architecture: {kind: bert, layers: 1, width: 8, heads: 1}
    max_tokens: 32
    steps: 2
    batch_tokens: 512
    held_out: 0.2
    optimiser: {kind: adamw, lr: 0.005}
"""


def sapwood(place, *arguments, **more):
    command = [sys.executable, "-m", "sapwood.cli.main", *arguments, "--store", str(place / "store")]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", cwd=place, timeout=300, check=False, **more)


@pytest.fixture
def here(place, capsys, monkeypatch):
    """A command in this process: (exit code, standard output, standard error)."""
    monkeypatch.chdir(place)

    def run(*arguments):
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([*arguments, "--store", str(place / "store")])
        told = capsys.readouterr()
        return ended.value.code or 0, told.out, told.err

    return run


@pytest.fixture
def place(tmp_path):
    write_texts(tmp_path)
    (tmp_path / "search.yaml").write_text(SEARCH + RECIPE, encoding="utf-8")
    (tmp_path / "ladder.yaml").write_text(LADDER, encoding="utf-8")
    (tmp_path / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
    return tmp_path


def test_a_search_is_planned_run_listed_and_shown(place, here):
    assert json.loads(here("study", "plan", "search.yaml", "--json")[1])["runs"] == 3
    assert not (place / "store").exists()
    done = sapwood(place, "study", "run", "search.yaml", "--report", "s.html", "--best", "best.yaml", "--json")
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["type"] for line in lines] == ["trial"] * 3 + ["repeat"] * 2 + ["study"]
    assert lines[-1]["overrides"][0].startswith("stages.cleaned.min_chars=")
    assert (place / "s.html").read_text(encoding="utf-8").count("<svg") == 2
    assert json.loads(here("study", "list", "--json")[1])[0]["kind"] == "search"
    assert "best kept 72" in here("study", "show")[1]
    code, out, _ = here("run", "search.yaml", "--set", "confirm.seeds=0")  # `run` knows a study when it sees one
    assert code == 0
    assert not [line for line in out.splitlines() if line.startswith("trial ")], "nothing is tried twice"
    _, out, _ = here("run", "best.yaml", "--json")
    assert [step["state"] for step in json.loads(out.splitlines()[-1])["steps"]] == ["reused"] * 3


def test_sigterm_ends_a_search_with_75_and_the_same_command_finishes_it(place):
    command = [sys.executable, "-m", "sapwood.cli.main", "study", "run", "search.yaml", "--json", "--store", str(place / "store")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=place)
    assert json.loads(process.stdout.readline())["number"] == 0
    process.terminate()
    out, error = process.communicate(timeout=120)
    assert process.returncode == 75, error
    assert "Traceback" not in error
    assert "run the same command again" in error
    left = sapwood(place, "study", "run", "search.yaml", "--json")
    tried = [json.loads(line)["number"] for line in (*out.splitlines(), *left.stdout.splitlines()) if '"type": "trial"' in line]
    assert tried == [1, 2]


def test_a_faulty_study_ends_with_3_and_its_line(place, here):
    (place / "search.yaml").write_text((SEARCH + RECIPE).replace("min_chars", "min_char"), encoding="utf-8")
    code, _, error = here("study", "plan", "search.yaml")
    assert code == 3
    assert "search.yaml:3: over.stages.cleaned.min_char" in error
    assert "Did you mean min_chars?" in error


def test_a_ladder_of_pre_training_gives_a_law(place):
    done = sapwood(place, "study", "run", "ladder.yaml", "--json", "--report", "l.html")
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    study = lines[-1]
    assert [line["type"] for line in lines[:-1]] == ["rung"] * 8
    assert sorted({rung["tokens"] for rung in study["rungs"]}) == [1024, 3072, 9216, 20480]
    assert {rung["parameters"] for rung in study["rungs"]} == {12 * 8**2, 12 * 32**2}
    assert len(study["held_out"]) == 2
    assert all(abs(one["error"]) < 0.5 for one in study["held_out"])
    assert (place / "l.html").read_text(encoding="utf-8").count("<svg") in (1, 3), "a frontier is drawn where the ladder tells one"


def test_why_tells_of_a_failed_run_and_of_what_it_reused(place, here):
    assert here("run", "recipe.yaml")[0] == 0
    assert here("run", "recipe.yaml", "--set", "stages.cleaned.min_chars=5000")[0] == 4
    told = sapwood(place, "why")
    assert "is failed: step cleaned failed:" in told.stdout, told.stderr
    assert "2 of 3 steps were on record and not run again" in told.stdout
    body = json.loads(here("why", "last", "--json")[1])
    assert (body["status"], body["next"] != "") == ("failed", True)


def test_a_run_tells_its_tracker(place, here):
    recipe = LADDER[LADDER.index("seed: 3") :]
    (place / "recipe.yaml").write_text(recipe, encoding="utf-8")
    done = sapwood(place, "run", "recipe.yaml", "--tracker", "tensorboard")
    assert done.returncode == 0, done.stderr
    assert "tensorboard --logdir" in done.stderr
    assert list((place / "store").glob("runs/*/tensorboard/events*"))
    code, _, error = here("run", "recipe.yaml", "--tracker", "mlfow")
    assert code == 4
    assert "Did you mean mlflow?" in error
