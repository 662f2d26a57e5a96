import json
import subprocess
import sys

import numpy as np
import pytest


@pytest.fixture
def file(tmp_path):
    chance = np.random.default_rng(2)
    path = tmp_path / "texts.jsonl"
    with path.open("w", encoding="utf-8") as out:
        for number in range(120):
            letters = chance.integers(0, 3000, 90).tolist()
            text = "".join(chr(0x4E00 + one) for one in letters) if number % 2 else "the " + " ".join(f"word{one}" for one in letters)
            out.write(json.dumps({"text": text}, ensure_ascii=False) + "\n")
    return path


def selftest(*arguments):
    return subprocess.run([sys.executable, "-m", "sapwood.cli.main", "data", "selftest", *arguments], capture_output=True, text=True)


def test_it_prints_precision_recall_and_speed_by_language(file):
    found = json.loads(selftest(str(file), "--json").stdout)
    assert found["documents"] == 145
    assert found["planted"] == 25
    assert found["precision"] == 1.0
    assert found["docs_per_cpu_s"] > 0
    assert found["languages"]["zh"]["planted"] > 5
    assert {score["recall"] for score in found["languages"].values()} == {1.0}
    table = selftest(str(file)).stdout
    assert "Planted copies" in table
    assert "documents per CPU second" in table


def test_a_file_of_another_kind_and_one_without_text_are_refused_with_a_next_step(tmp_path, file):
    other = tmp_path / "a.exe"
    other.write_text("x", encoding="utf-8")
    done = selftest(str(other))
    assert done.returncode != 0
    assert "a.exe: a file of this kind is not read here" in done.stderr
    short = tmp_path / "short.txt"
    short.write_text("one\n二\n" * 20, encoding="utf-8")
    done = selftest(str(short))
    assert done.returncode != 0
    assert "near-duplicates need longer texts" in done.stderr
    assert "Traceback" not in done.stderr
