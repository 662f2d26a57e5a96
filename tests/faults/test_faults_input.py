"""Bad input through the real command: one clear error with the next step, the right exit code, no traceback, nothing lost."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

RECIPE = """
name: bad
stages:
  texts:
    stage: collect
    sources: [{kind: KIND, name: texts, path: texts}]
"""


def sapwood(workspace: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sapwood.cli.main", *arguments]
    return subprocess.run(command, cwd=workspace, capture_output=True, text=True, env={**os.environ, **environment}, timeout=300)


def check_refused(done: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert "next:" in done.stderr
    for word in words:
        assert word in done.stderr, done.stderr


def run(workspace: Path, kind: str = "lines") -> subprocess.CompletedProcess[str]:
    (workspace / "r.yaml").write_text(RECIPE.replace("KIND", kind))
    return sapwood(workspace, "run", "r.yaml", "--store", "store")


def test_a_recipe_with_three_mistakes_shows_all_three(tmp_path):
    (tmp_path / "r.yaml").write_text("seed: many\nstages:\n  a: {stage: collectt}\n  b: {stage: clean, documents: c, min_char: 3}\n")
    done = sapwood(tmp_path, "run", "r.yaml")
    check_refused(done, 3, "r.yaml:1: seed", "Did you mean collect?", "Did you mean min_chars?", "problems in the recipe")


def test_a_missing_source_is_found_before_anything_runs(tmp_path):
    check_refused(run(tmp_path), 3, "no such file: texts", "r.yaml:4")


@pytest.mark.parametrize(
    ("content", "kind", "words"),
    [
        (b"", "lines", "empty"),
        (b"good line\n\x00\x01\x02\n", "lines", "NUL"),
        (b"good line\n\xff\xfe\xfa broken \x81\n", "lines", "line 2"),
        (b'{"text":\n{"text": \n', "jsonl", "line 2"),
        (b'text,label\n"one,two\n', "csv", "texts"),
        (b"not a database", "sqlite", "table"),
    ],
)
def test_an_unreadable_source_names_file_and_place(tmp_path, content, kind, words):
    (tmp_path / "texts").write_bytes(content)
    if kind == "sqlite":
        (tmp_path / "r.yaml").write_text(RECIPE.replace("kind: KIND", "kind: sqlite, table: t"))
        check_refused(sapwood(tmp_path, "run", "r.yaml", "--store", "store"), 4, "texts")
        return
    check_refused(run(tmp_path, kind), 4, "texts", words)


def check_long_line(tmp_path: Path, size: int) -> None:
    with (tmp_path / "texts").open("wb") as stream:
        for _ in range(size >> 20):
            stream.write(b"x" * (1 << 20))
    done = run(tmp_path)
    check_refused(done, 4, "texts", "line 1")


def test_a_line_of_100_mb_is_refused(tmp_path):
    check_long_line(tmp_path, 100 << 20)


@pytest.mark.soak
def test_a_line_of_2_gb_is_refused(tmp_path):
    check_long_line(tmp_path, 2 << 30)


def test_a_sample_without_network_says_what_to_do(tmp_path):
    environment = {
        "SAPWOOD_CACHE": str(tmp_path / "cache"),
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(tmp_path),
        "PIP_EXTRA_INDEX_URL": "",
    }
    check_refused(sapwood(tmp_path, "samples", "fetch", "china-law", **environment), 8, "china-law")


def test_a_port_in_use_is_named(tmp_path):
    (tmp_path / "texts").write_text("one line\n")
    assert run(tmp_path).returncode == 0
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        check_refused(sapwood(tmp_path, "serve", "any", "--store", "store", "--port", port), 7, port, "--port 0")


def test_nothing_to_serve_nothing_to_trace_and_no_such_run_say_so(tmp_path):
    (tmp_path / "texts").write_text("one line\n")
    assert run(tmp_path).returncode == 0
    check_refused(sapwood(tmp_path, "serve", "any", "--store", "store", "--port", "0"), 5)
    check_refused(sapwood(tmp_path, "trace", "0" * 32, "--store", "store"), 5)
    check_refused(sapwood(tmp_path, "show", "20200101-000000-aaaa", "--store", "store"), 5)
    check_refused(sapwood(tmp_path, "show", "--store", "elsewhere"), 5)


def test_wrong_usage_keeps_the_shells_2(tmp_path):
    assert sapwood(tmp_path, "runn").returncode == 2
    assert "Did you mean run?" in sapwood(tmp_path, "runn").stderr
    assert sapwood(tmp_path, "run", "--no-such-flag").returncode == 2
    assert sapwood(tmp_path, "run").returncode == 2


@pytest.mark.parametrize("text", ["[" * 5000, "seed: &s [*s]\n", "- a\n", "", "just words\n"])
def test_a_recipe_that_is_no_recipe_says_so(tmp_path, text):
    (tmp_path / "r.yaml").write_text(text)
    check_refused(sapwood(tmp_path, "plan", "r.yaml", "--store", "store"), 3)


def test_a_recipe_of_50_mb_and_a_folder_are_refused_at_once(tmp_path):
    (tmp_path / "r.yaml").write_text("a" * 50_000_000)
    check_refused(sapwood(tmp_path, "plan", "r.yaml"), 4, "at most 1 MB")
    check_refused(sapwood(tmp_path, "plan", "."), 4)


def test_a_store_or_report_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "texts").write_text("one line\n")
    (tmp_path / "file").write_text("")
    assert run(tmp_path).returncode == 0
    check_refused(sapwood(tmp_path, "plan", "r.yaml", "--store", "file"), 7, "file")
    check_refused(sapwood(tmp_path, "keys", "create", "--owner", "me", "--store", "file"), 7, "file")
    check_refused(sapwood(tmp_path, "run", "r.yaml", "--store", "store", "--report", "."), 4, "folder")


def test_an_override_with_a_wrong_value_is_placed_at_set(tmp_path):
    (tmp_path / "texts").write_text("one line\n")
    assert run(tmp_path).returncode == 0
    check_refused(sapwood(tmp_path, "plan", "r.yaml", "--store", "store", "--set", "seed=-1"), 3, "--set: seed")


def test_a_plan_leaves_nothing_behind(tmp_path):
    (tmp_path / "texts").write_text("one line\n")
    (tmp_path / "r.yaml").write_text(RECIPE.replace("KIND", "lines"))
    assert sapwood(tmp_path, "plan", "r.yaml").returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r.yaml", "texts"]
