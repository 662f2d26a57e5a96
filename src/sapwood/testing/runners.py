"""`check_runner`: what every runner promises, whatever it runs on.

    check_runner(execute, store, workspace)

`execute(recipe, store, monitor, given)` is the runner; `workspace` an empty folder. The checks use real stages on a small
CSV: reuse, what a changed parameter, file or seed makes run again, failures that keep what was done.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sapwood import recipe as recipes
from sapwood.errors import SapwoodError
from sapwood.testing.stages import SilentMonitor
from sapwood.testing.tiny import tiny_examples

RECIPE = """
name: checked
seed: 3
stages:
  texts:
    stage: collect
    sources: [{kind: csv, name: texts, path: texts.csv, text_column: text, label_column: label}]
  labelled: {stage: label, documents: texts}
  cleaned: {stage: clean, documents: labelled.examples}
  kept: {stage: dedup, documents: cleaned.kept, near: 0.9}
  parts: {stage: split, documents: kept.kept}
"""


def write_texts(workspace: Path, extra: int = 0) -> None:
    """The small CSV, with `extra` rows more."""
    rows = tiny_examples()
    with (workspace / "texts.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["text", "label"])
        writer.writerows([row["text"], row["label"]] for row in rows)
        writer.writerows([f"another text of some length, number {i}", rows[0]["label"]] for i in range(extra))


def check_runner(execute: Callable[..., Any], store: Any, workspace: Path) -> None:
    """Raises AssertionError with what was promised and did not hold."""

    def states(*overrides: str) -> dict[str, str]:
        recipe = recipes.parse(RECIPE, "checked.yaml", workspace, overrides)
        return {step["step"]: step["state"] for step in execute(recipe, store, SilentMonitor(), {}).steps}

    write_texts(workspace)
    assert set(states().values()) == {"done"}, "the first run runs everything"
    assert set(states().values()) == {"reused"}, "the second run reuses everything"
    changed = states("stages.kept.near=0.8")
    assert (changed["texts"], changed["labelled"], changed["kept"]) == ("reused", "reused", "done"), "a changed parameter reruns its step"
    assert set(states().values()) == {"reused"}, "going back finds the old results"
    reseeded = states("seed=4")
    assert (reseeded["kept"], reseeded["parts"]) == ("reused", "done"), "another seed reruns what uses it, and only that"
    write_texts(workspace, extra=2)
    edited = states()
    assert edited["texts"] == edited["labelled"] == "done", "an edited source reruns what depends on it"
    write_texts(workspace)
    broken = recipes.parse(RECIPE, "checked.yaml", workspace, ["stages.kept.near=0.7"])
    (workspace / "texts.csv").write_bytes(b"text,label\n\x00\x01\n")
    try:
        execute(broken, store, SilentMonitor(), {})
    except SapwoodError as error:
        assert "texts" in str(error), "an error names the step"
    else:
        raise AssertionError("a binary source is an error")
    write_texts(workspace)
    assert states()["texts"] == "reused", "a failed run loses nothing"
