"""`sapwood data` and `sapwood export` of rows: what they print, for people and for programs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from typer.testing import CliRunner

from sapwood import report
from sapwood.artifact import Documents, Examples, Report
from sapwood.cli.data import app
from sapwood.store.local import LocalStore
from sapwood.testing import tiny
from sapwood.text import rows

LONG = "这是一个名字很长很长很长很长很长很长很长很长很长很长很长很长的来源"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> LocalStore:
    return LocalStore(tmp_path_factory.mktemp("data") / "store")


def put(store: LocalStore, made: list[dict[str, Any]], kind: Any = Examples) -> Any:
    folder = store.scratch("new") / "rows"
    folder.mkdir(parents=True, exist_ok=True)
    rows.write(folder, rows.table(made, rows.EXAMPLES if kind is Examples else rows.DOCUMENTS))
    return store.put(kind, folder)


@pytest.fixture(scope="module")
def made(store: LocalStore) -> Any:
    more = {
        **rows.document(LONG, "1", "退款\x1b[2J了，" + "很好。" * 300, language="zh", license="MIT", meta={"domain": "shop"}),
        "label": "positive",
    }
    return put(store, [*tiny.tiny_examples(), more])


def call(store: LocalStore, *arguments: str, code: int = 0) -> str:
    done = CliRunner().invoke(app, [arguments[0], "--store", str(store.root), *arguments[1:]])
    assert done.exit_code == code, (done.output, done.exception)
    return done.stdout


def fits(text: str) -> bool:
    return all(cell_len(line) <= 80 for line in text.splitlines())


def test_cat_shows_rows_to_people_and_all_of_them_to_programs(store: LocalStore, made: Any) -> None:
    shown = call(store, "cat", made.digest[:8], "--where", "meta.domain=shop")
    assert "退款" in shown
    assert "(908 characters)" in shown
    assert "\x1b" not in shown
    found = [json.loads(line) for line in call(store, "cat", made.digest[:8], "--limit", "0", "--json").splitlines()]
    assert found == rows.read(store.open(made)).to_pylist()
    chosen = call(store, "cat", made.digest[:8], "--columns", "label, meta.domain", "--where", "language=zh", "--limit", "1", "--json")
    assert json.loads(chosen) == {"label": "negative", "meta.domain": ""}


def test_cat_shows_statistics_to_people_only_when_asked(store: LocalStore) -> None:
    import pyarrow as pa

    folder = store.scratch("measured") / "rows"
    folder.mkdir(parents=True, exist_ok=True)
    stats = {"chars": 9.0, "symbols": 0.125}
    table = rows.table([rows.document("论坛", "1", "退款很快，下次再来。", language="zh", license="MIT")])
    rows.write(folder, table.append_column("stats", pa.array([stats])))
    name = store.put(Documents, folder).digest[:8]
    for command in ("cat", "sample"):
        shown = call(store, command, name)
        assert "退款很快" in shown
        assert "论坛" in shown
        assert "stats" not in shown
        assert "symbols" not in shown
        assert json.loads(call(store, command, name, "--json"))["stats"] == stats
    assert "'symbols': 0.125" in call(store, "cat", name, "--columns", "id,stats")
    assert "'symbols': 0.125" in call(store, "cat", name, "--columns", "stats")


def test_search_counts_and_shows_context(store: LocalStore, made: Any) -> None:
    found = json.loads(call(store, "search", made.digest[:8], "很好", "--json", "--limit", "1", "--context", "3"))
    assert found["by_source"][LONG] == 1
    assert found["rows"] == sum(found["by_source"].values()) == sum(found["by_language"].values())
    assert len(found["hits"]) == 1
    shown = call(store, "search", made.digest[:8], "KETTLE", "-i", "--limit", "1")
    assert "looked at the kettle last week" in shown
    assert fits(shown)


def test_a_sample_is_the_same_each_time_and_follows_the_seed(store: LocalStore, made: Any) -> None:
    drawn = [call(store, "sample", made.digest[:8], "-n", "3", "--seed", seed, "--json") for seed in ("0", "0", "1")]
    assert drawn[0] == drawn[1] != drawn[2]
    by = [json.loads(line) for line in call(store, "sample", made.digest[:8], "-n", "2", "--by", "label", "--json").splitlines()]
    assert [row["label"] for row in by] == ["negative"] * 2 + ["positive"] * 2


def test_stats_fit_the_terminal_and_add_up(store: LocalStore, made: Any) -> None:
    shown = call(store, "stats", made.digest[:8])
    assert fits(shown)
    assert "█" in shown
    assert "…" in shown
    found = json.loads(call(store, "stats", made.digest[:8], "--json"))
    assert found["rows"] == 73 == sum(found["counts"]["label"].values()) == sum(one["rows"] for one in found["licences"])
    assert found["length_quantiles"]["1"] == 908
    assert fits(call(store, "stats", put(store, []).digest[:8]))


def test_diff_says_what_changed_and_how_far(store: LocalStore, made: Any) -> None:
    later = [{**row, "label": "neutral"} if i < 10 else row for i, row in enumerate(rows.read(store.open(made)).to_pylist()[:60])]
    after = put(store, later)
    found = json.loads(call(store, "diff", made.digest[:8], after.digest[:8], "--json"))
    assert (found["dropped"], found["added"], found["relabelled"], found["same"]) == (13, 0, 10, 50)
    assert next(one for one in found["drift"] if one["field"] == "label")["reading"] == "clear"
    shown = call(store, "diff", made.digest[:8], after.digest[:8])
    assert fits(shown)
    assert "to neutral" in shown
    assert "\nrelabelled  " in shown


def test_card_and_croissant_are_printed(store: LocalStore, made: Any) -> None:
    assert call(store, "card", made.digest[:8], "--name", "reviews").startswith("---\npretty_name: reviews\n")
    assert json.loads(call(store, "card", made.digest[:8], "--croissant", "--creator", "Us"))["creator"]["name"] == "Us"


def test_artifacts_without_rows_get_a_short_answer(store: LocalStore) -> None:
    from sapwood.artifact import Model, Tokenizer
    from sapwood.errors import InputError

    folder = store.scratch("report") / "new"
    folder.mkdir(parents=True)
    report.write(folder, "Title", "All is well.", {}, [])
    written = store.put(Report, folder)
    assert "All is well." in call(store, "stats", written.digest[:8])
    model, words = store.scratch("model") / "new", store.scratch("tokenizer") / "new"
    for folder in (model, words):
        folder.mkdir(parents=True)
    (model / "config.json").write_text('{"model_type": "bert", "vocab_size": 99}', encoding="utf-8")
    (words / "tokenizer.json").write_text('{"model": {"type": "BPE", "vocab": {"a": 0, "水": 1}}, "added_tokens": []}', encoding="utf-8")
    assert json.loads(call(store, "cat", store.put(Tokenizer, words).digest[:8], "--json"))["vocabulary"] == 2
    found = json.loads(call(store, "stats", store.put(Model, model).digest[:8], "--json"))
    assert (found["model"], found["rows"]) == ("bert", "none: it holds no rows of text")
    done = CliRunner().invoke(app, ["search", written.digest[:8], "x", "--store", str(store.root)])
    assert isinstance(done.exception, InputError)
    assert "holds no rows" in str(done.exception)


def test_every_command_teaches_with_an_example() -> None:
    for name in ("cat", "search", "sample", "stats", "diff", "card"):
        done = CliRunner().invoke(app, [name, "--help"])
        assert f"Example: sapwood data {name}" in " ".join(done.stdout.split()), name


# --------------------------------------------------------------------------- through the real process

RECIPE = """\
name: looking
stages:
  collect:
    sources: [{kind: lines, name: notes, path: notes.txt, language: zh, license: MIT}]
  augment:
    train: collect
    operators: [{kind: shuffle}]
"""


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("workspace")
    (folder / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
    (folder / "notes.txt").write_text(
        "".join(f"第{i}天很好，下雨了，路上很慢。\n" for i in range(20)) + "The bus was late again.\n", encoding="utf-8"
    )
    ran = sapwood(folder, "run", "recipe.yaml")
    assert ran.returncode == 0, ran.stderr
    return folder


def sapwood(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "SAPWOOD_STORE": str(folder / ".sapwood"), "HF_HUB_OFFLINE": "1"}
    code = "import sys; from sapwood.cli.main import main; main(sys.argv[1:])"
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def table(folder: Path, name: str) -> list[dict[str, Any]]:
    from sapwood.store import address

    opened = LocalStore(folder / ".sapwood", create=False)
    found: list[dict[str, Any]] = rows.read(opened.open(address.find(opened, name))).to_pylist()
    return found


def test_the_real_command_looks_into_a_run_and_exports_it(workspace: Path) -> None:
    child = json.loads(sapwood(workspace, "data", "cat", "last:augment.children", "--json", "--limit", "1").stdout)
    parent = next(row for row in table(workspace, "collect.documents") if row["id"] == child["parents"][0])
    assert sorted(child["text"]) == sorted(parent["text"])
    assert child["text"] != parent["text"]
    out = sapwood(workspace, "export", "augment.all", "notes-data", "--name", "notes")
    assert (out.returncode, out.stdout) == (0, "notes-data\n"), out.stderr
    card = (workspace / "notes-data" / "README.md").read_text(encoding="utf-8")
    assert "1. **collect**" in card
    assert "2. **augment**" in card
    assert '"kind": "shuffle"' in card
    assert "rows are children of other rows" in card


MISTAKES = [
    (("data", "cat", "collect.docs"), 5, "collect.docs"),
    (("data", "search", "collect", "(", "--regex"), 4, "not a regular expression"),
    (("data", "sample", "collect", "--by", "lang"), 4, "no field 'lang'"),
    (("export", "nothing", "out"), 5, "no registered model here"),
    (("export", "collect", "."), 4, "there already"),
]


@pytest.mark.parametrize(("arguments", "code", "said"), MISTAKES)
def test_a_mistake_gets_one_line_and_its_exit_code(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], code: int, said: str
) -> None:
    from sapwood.cli.main import main

    monkeypatch.setenv("SAPWOOD_STORE", str(workspace / ".sapwood"))
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    assert ended.value.code == code
    told = capsys.readouterr().err
    assert said in told
    assert "Traceback" not in told


def test_documents_and_examples_both_work(store: LocalStore) -> None:
    plain = put(store, tiny.tiny_corpus(), Documents)
    assert "label" not in json.loads(call(store, "stats", plain.digest[:8], "--json"))["counts"]
