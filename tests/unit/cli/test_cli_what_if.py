import json
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from sapwood.cli import what_if as cli
from sapwood.errors import InputError
from sapwood.stages.clean import Clean
from sapwood.stages.measure import Measure
from sapwood.store.local import LocalStore
from sapwood.testing.stages import make_work
from sapwood.text import rows

ENGLISH = "The room was clean and the staff were friendly, we will be back soon."
CHINESE = "房间很干净，服务员也很热情，早餐不错，下次还会再来。"


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    root = tmp_path_factory.mktemp("what-if")
    return make_work(LocalStore(root / "store"), root / "scratch", root)


@pytest.fixture(scope="module")
def given(work):
    texts = [f"{ENGLISH} {i}" for i in range(20)] + [f"{CHINESE}第{i}次" for i in range(10)] + ["This is short.", "短的"]
    folder = work.new("rows")
    rows.write(folder, rows.table([rows.document("shop" if i % 2 else "web", str(i), text) for i, text in enumerate(texts)]))
    from sapwood.artifact import Documents

    return work.put(Documents, folder)


@pytest.fixture(scope="module")
def measured(work, given):
    return Measure().run(work, given).documents


APP = typer.Typer()
APP.command()(cli.what_if)


def what_if(work, artifact, *arguments):
    """In this process: the exit code, what was printed, and the error."""
    return CliRunner().invoke(APP, [artifact.digest, "--store", str(work.workspace / "store"), *arguments])


def test_the_command_runs_as_a_process_and_its_error_has_no_traceback(work, measured):
    command = [sys.executable, "-m", "sapwood.cli.main", "data", "what-if", measured.digest, "--store", str(work.workspace / "store")]
    done = subprocess.run([*command, "--set", "min_char=3"], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == InputError.exit_code
    assert "Did you mean min_chars?" in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_a_changed_limit_is_told_before_anything_is_dropped(work, measured):
    before = len(work.store.artifacts())
    done = what_if(work, measured, "--set", "min_chars=8", "--set", "limits.en.min_chars=20", "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["before"] == {"kept": 32, "dropped": {}}
    assert told["after"] == {"kept": 30, "dropped": {"too short": 2}}
    assert told["by language"]["en"] == {"in": 21, "kept before": 21, "kept after": 20}
    assert sum(found["in"] for found in told["by source"].values()) == 32
    shown = {row["text"]: (row["rule"], row["value"], row["limit"]) for row in told["examples"]["newly dropped"]}
    assert shown == {"This is short.": ("too short/1", 14.0, 20.0), "短的": ("too short/1", 2.0, 8.0)}
    assert len(work.store.artifacts()) == before


def test_it_says_what_clean_then_does(work, measured):
    given = {"max_symbols": 0.1, "rules": {"long": {"statistic": "units", "limit": 26}}}
    told = json.loads(
        what_if(work, measured, "--set", "max_symbols=0.1", "--set", "rules.long={statistic: units, limit: 26}", "--json").stdout
    )
    assert told["after"]["kept"] == rows.count(work.path(Clean(**given, force=True).run(work, measured).kept)) < 32


def test_rows_without_statistics_are_measured_on_the_way(work, given, measured):
    plain, stored = (what_if(work, artifact, "--set", "min_chars=20", "--json") for artifact in (given, measured))
    one, other = (json.loads(done.stdout) for done in (plain, stored))
    assert {**one, "artifact": ""} == {**other, "artifact": ""}
    assert "no statistics" in what_if(work, given).stderr


def test_a_part_of_a_built_in_rule_can_be_changed(work, measured):
    told = json.loads(
        what_if(work, measured, "--set", "rules.long_words.limit=1", "--set", "rules.long_words.when.units=5", "--json").stdout
    )
    assert set(told["after"]["dropped"]) == {"long words"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("min_char=3", "Did you mean min_chars?"),
        ("rules.x={statistic: toxic, limit: 1}", "needs the word list"),
        ("boilerplate={}", "`measure` step"),
        ("min_chars", "FIELD=VALUE"),
    ],
)
def test_a_wrong_change_is_an_error_with_a_next_step(work, measured, change, said):
    done = what_if(work, measured, "--set", change)
    assert isinstance(done.exception, InputError)
    assert said in done.exception.what + done.exception.next_step


def test_people_get_tables(work, measured):
    done = what_if(work, measured, "--set", "min_chars=20")
    assert "32 rows: 32 kept before, 30 after" in done.stdout
    assert "newly dropped: 2 rows" in done.stdout
