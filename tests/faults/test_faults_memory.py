"""Text is worked on in bounded memory: the whole chain, from a file to packed shards, measured over all of its processes."""

import json
import random
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

BUDGET = 1_500_000_000
"""Resident bytes of the whole chain on 2 GB of text: what a laptop with 4 GB can spare."""
RECIPE = """
name: large
seed: 1
resources: {workers: 2}
stages:
  collect: {sources: [{kind: jsonl, name: large, path: large.jsonl, license: CC0-1.0}]}
  measure: {documents: collect}
  clean: {documents: measure}
  mask: {documents: clean.kept}
  dedup: {documents: mask}
  split: {documents: dedup.kept, ratios: {train: 0.99, dev: 0.005, test: 0.005}}
  decontaminate: {documents: split.train, against: [split.dev, split.test]}
  tokenize: {documents: [decontaminate.kept], vocab_size: 2000, max_chars: 200000}
  pack: {documents: decontaminate.kept, tokenizer: tokenize}
"""


def write_text(path: Path, size: int) -> None:
    """About `size` bytes: texts of 200 to 6,000 characters, English and Chinese in turn, one in twenty a copy with a changed end."""
    draw = random.Random(size)
    words = ["".join(draw.choices("aeioubcdfghklmnprst", k=draw.randint(2, 9))) for _ in range(30_000)]
    hanzi = [*(chr(point) for point in range(0x4E00, 0x4E00 + 3000)), *("，。" * 150)]
    written, before = 0, "one"
    with path.open("w", encoding="utf-8") as stream:
        while written < size:
            if draw.random() < 0.05:
                text = before + " again"
            elif draw.random() < 0.5:
                text = " ".join(draw.choices(words, k=draw.randint(40, 900))) + "."
            else:
                text = "".join(draw.choices(hanzi, k=draw.randint(60, 2000))) + "。"
            written += stream.write(json.dumps({"text": text}, ensure_ascii=False) + "\n") + 2 * len(text) * (not text.isascii())
            before = text


def peak_of(workspace: Path, size: int) -> int:
    """Most bytes that the run and all its children held at one time."""
    workspace.mkdir()
    write_text(workspace / "large.jsonl", size)
    (workspace / "r.yaml").write_text(RECIPE)
    with (workspace / "log").open("w") as log:
        command = [sys.executable, "-m", "sapwood.cli.main", "run", "r.yaml", "--store", "store"]
        process = subprocess.Popen(command, cwd=workspace, stdout=log, stderr=log)
        held, over = [0], threading.Event()
        watching = threading.Thread(target=watch, args=(psutil.Process(process.pid), held, over))
        watching.start()
        code = process.wait(timeout=6 * 3600)
        over.set()
        watching.join()
    assert code == 0, (workspace / "log").read_text()[-3000:]
    return held[0]


def watch(process: psutil.Process, held: list[int], over: threading.Event) -> None:
    while not over.wait(0.05):
        held[0] = max(held[0], sum(resident(one) for one in [process, *children(process)]))


def resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return list(process.children(recursive=True))
    except psutil.NoSuchProcess:
        return []


def test_a_text_of_forty_megabytes_is_far_within_the_budget(tmp_path: Path) -> None:
    """Buffers fill up to their budgets first (row groups, the index's shingles, the tokenizer's sample), so what is checked in the
    short run is the height of that plateau; the long run checks that it is one."""
    assert peak_of(tmp_path / "large", 40_000_000) < 0.6 * BUDGET


@pytest.mark.soak
def test_two_gigabytes_of_text_stay_within_the_budget(tmp_path: Path) -> None:
    assert peak_of(tmp_path / "whole", 2_000_000_000) < BUDGET
