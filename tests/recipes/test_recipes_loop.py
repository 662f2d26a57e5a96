"""A whole turn of the loop through the real command, with a real gateway, on invented text; then what can be asked of it."""

import csv
import json
import shutil
import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest

from sapwood.store.local import LocalStore
from sapwood.testing.tiny import tiny_model
from sapwood.watching.log import ResponseLog

HERE = Path(__file__).parent
THINGS = {"en": ["the kettle", "this lamp", "our hotel room", "the camera"], "zh": ["水壶", "这盏灯", "酒店房间", "相机"]}
BOOKS = {"en": ["the novel", "her novel"], "zh": ["这本小说", "她的小说"]}
SAID = {
    "en": {
        "positive": ["very well and happy", "a great choice", "excellent quality"],
        "negative": ["broke and angry", "a terrible choice", "poor quality"],
    },
    "zh": {"positive": ["非常好用", "很喜欢", "质量优秀"], "negative": ["一用就坏", "很讨厌", "质量差"]},
}
OF_BOOKS = {
    "en": {"positive": ["cannot stop reading", "moved me deeply"], "negative": ["put me to sleep", "makes no sense"]},
    "zh": {"positive": ["停不下来", "深深打动我"], "negative": ["看得想睡", "毫无道理"]},
}
TAILS = {"en": [f"Seen on day {n}." for n in range(1, 9)], "zh": [f"第{n}天看的。" for n in "一二三四五六七八"]}


def write_texts(path):
    rows = []
    for language in ("en", "zh"):
        for things, said in ((THINGS, SAID), (BOOKS, OF_BOOKS)):
            for label, words in said[language].items():
                rows += [(f"{t} {w} {e}", label) for t, w, e in product(things[language], words, TAILS[language])]
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([("text", "label"), *rows])


def sapwood(workspace, *arguments, code=0):
    done = subprocess.run(
        [sys.executable, "-m", "sapwood.cli.main", *arguments, "--store", "store"], cwd=workspace, capture_output=True, text=True
    )
    assert done.returncode == code, done.stdout[-2000:] + done.stderr[-3000:]
    assert "Traceback" not in done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def turned(tmp_path_factory):
    """A workspace in which the loop has been run once."""
    workspace = tmp_path_factory.mktemp("loop")
    for name in ("loop.yaml", "cycle.yaml"):
        shutil.copy(HERE / name, workspace)
    write_texts(workspace / "texts.csv")
    tiny_model(workspace / "base", labels=())
    (workspace / "out").write_text(sapwood(workspace, "run", "loop.yaml", "--report", "report.html"))
    return workspace


@pytest.fixture(scope="module")
def store(turned):
    return LocalStore(turned / "store")


def test_good_corrections_make_the_next_champion_and_wrong_ones_are_refused_by_the_gate(store):
    first, second = store.records.cycles("loop")
    assert first.state == "promoted", first.data
    assert second.state == "rejected", second.data
    assert "the gate said no" in second.data["reason"]
    assert store.records.alias("loop", "champion").number == first.data["challenger"] == 2
    assert [route["version"] for route in store.records.deployment("loop").routes] == [2]


def test_the_second_run_reuses_every_stage_and_repeats_no_action(turned):
    out = sapwood(turned, "run", "loop.yaml", "--json")
    steps = json.loads(out.splitlines()[-1])["steps"]
    assert {step["state"] for step in steps if not step["action"]} == {"reused"}
    assert {step["state"] for step in steps if step["action"]} == {"already done"}


def test_trace_goes_from_a_served_answer_to_its_source_documents_and_back(turned, store):
    answer = ResponseLog(store.engine).recent("loop", 1)[0]
    up = json.loads(sapwood(turned, "trace", answer.id, "--rows", "20", "--json"))
    sources = {name for held in up["documents"] for name in held["sources"]}
    assert "texts" in sources
    document = next(first["id"] for held in up["documents"] for first in held["first"] if first["source"] == "texts")
    down = json.loads(sapwood(turned, "trace", document, "--json"))
    assert down["document"]["source"] == "texts"
    assert answer.version in {version["version"] for version in down["versions"]}
    assert down["deployments"]


def test_a_document_of_the_test_side_is_in_no_model(turned, store):
    from sapwood.artifact import reference
    from sapwood.text import rows

    step = next(s for s in store.records.run("last").steps if s["step"] == "split")
    kind, _, digest = step["outputs"]["test"].partition(":")
    first = rows.read(store.open(reference(kind, digest) if len(digest) == 64 else store.find(digest)), ["id"])["id"][0].as_py()
    down = json.loads(sapwood(turned, "trace", first, "--json"))
    assert down["versions"] == []
    assert not [a for a in down["artifacts"] if a["artifact"].startswith(("model:", "bundle:"))]


def test_an_answer_of_the_new_champion_leads_to_the_corrections_it_learned_from(turned, store):
    up = json.loads(sapwood(turned, "trace", "loop@2", "--rows", "200", "--json"))
    assert any("feedback:loop" in held["sources"] for held in up["documents"])
    correction = next(first["id"] for held in up["documents"] for first in held["first"] if first["source"] == "feedback:loop")
    [response] = json.loads(sapwood(turned, "trace", correction, "--json"))["document"]["parents"]
    assert json.loads(sapwood(turned, "trace", response, "--json"))["response"]["version"] == 1


def test_the_report_tells_the_story_without_the_network(turned):
    page = (turned / "report.html").read_text(encoding="utf-8")
    for words in ("promoted", "rejected", "macro-F1", "Cleaning", "Verdict"):
        assert words in page
    assert 'src="http' not in page
    assert "<script" not in page


def test_two_runs_are_compared_by_recipe_rows_and_scores(turned, store):
    first = store.records.run("last").id
    sapwood(turned, "run", "loop.yaml", "--set", "stages.kept.near=0.97", "--json")
    found = json.loads(sapwood(turned, "diff", first, "last", "--json"))
    assert [c["path"] for c in found["recipe"]] == ["stages.kept.near"]
    assert all(s["p"] is None or 0 <= s["p"] <= 1 for s in found["scores"])


def test_a_version_is_exported_and_a_failed_one_is_not(turned, tmp_path):
    sapwood(turned, "export", "loop@2", str(tmp_path / "release"))
    assert {p.name for p in (tmp_path / "release").iterdir()} >= {"bundle", "verdict.json", "release.json"}
    sapwood(turned, "export", "loop@9", str(tmp_path / "none"), code=5)


def test_show_stage_stages_schema_and_report_answer(turned):
    assert "loop" in sapwood(turned, "show")
    assert "champion" in sapwood(turned, "show", "loop")
    assert "split" in sapwood(turned, "show", "last")
    [named] = json.loads(sapwood(turned, "show", "split.dev", "--json"))["artifact"]
    assert json.loads(sapwood(turned, "trace", "split.dev", "--json"))["artifact"] == f"examples:{named['digest'][:12]}"
    assert "report.html" in sapwood(turned, "report", "last", "-o", "again/report.html")
    assert (turned / "again" / "report.html").read_bytes()
    assert "rejected" in sapwood(turned, "cycle", "--model", "loop")
