"""`sapwood plan` through the real process: values that a stage derives are told with their reasons."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

RECIPE = """\
sapwood: 1
name: dial
stages:
  texts: {stage: collect, sources: [{kind: csv, name: texts, path: texts.csv, text_column: text}]}
  tokenizer: {stage: tokenize, documents: [texts]}
  pretrain: {documents: [texts], tokenizer: tokenizer, architecture: {kind: llama}, size: 12M, steps: 700}
"""


def plan(folder: Path, *more: str) -> str:
    (folder / "texts.csv").write_text("text\nthe kettle\n水壶\n", encoding="utf-8")
    (folder / "dial.yaml").write_text(RECIPE, encoding="utf-8")
    command = [sys.executable, "-m", "sapwood.cli.main", "plan", "dial.yaml", "--store", str(folder / "store"), *more]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


def test_plan_explains_each_derived_value_and_json_has_the_notes(tmp_path: Path) -> None:
    steps = {step["step"]: step["notes"] for step in json.loads(plan(tmp_path, "--json"))["steps"]}
    assert steps["texts"] == []
    assert [note.split(":")[0].lstrip("0123456789, ") for note in steps["pretrain"]][::2] == ["size 12M", "tokens a step"]
    assert steps["pretrain"][1].startswith("learning rate 0.00")
    told = plan(tmp_path)
    assert all(f"pretrain: {note}" in " ".join(told.split()) for note in steps["pretrain"])
    assert max(len(line) for line in told.partition(" total ")[2].splitlines()) <= 80
    assert "6 layers of width 384" in told
