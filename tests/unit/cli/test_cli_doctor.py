"""The doctor finds what is missing, broken, silent or small, and always says how to mend it. No network in these tests."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from sapwood.cli import doctor
from sapwood.cli.doctor import Finding


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three modules that can be found by import: one fine, one that raises, one that kills its process, one that hangs."""
    (tmp_path / "fine_one.py").write_text("x = 1")
    (tmp_path / "raising.py").write_text("raise RuntimeError('no such symbol')")
    (tmp_path / "crashing.py").write_text("import os; os._exit(139)")
    (tmp_path / "hanging.py").write_text("import time; time.sleep(60)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))


@pytest.mark.usefixtures("broken")
def test_a_package_that_raises_when_imported_is_named_with_its_fault() -> None:
    (found,) = doctor.import_findings(("fine_one", "raising"), 20)
    assert (found.name, found.state) == ("raising", "fail")
    assert "no such symbol" in found.detail
    assert "raising" in found.mend


@pytest.mark.usefixtures("broken")
def test_a_crash_belongs_to_the_package_that_crashed() -> None:
    (found,) = doctor.import_findings(("fine_one", "crashing", "raising"), 20)
    assert (found.name, found.state) == ("crashing", "fail")
    assert "139" in found.detail


@pytest.mark.usefixtures("broken")
def test_a_package_that_hangs_is_no_proof_of_a_fault() -> None:
    (found,) = doctor.import_findings(("fine_one", "hanging"), 1.5)
    assert (found.name, found.state) == ("hanging", "warn")


@pytest.mark.usefixtures("broken")
def test_packages_that_import_are_one_line() -> None:
    (found,) = doctor.import_findings(("fine_one", "json"), 20)
    assert found.state == "ok"


def test_a_missing_or_wrong_version_comes_with_the_command_that_mends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.machine, "version", {"here": "2.0", "old": "1.0"}.get)
    found = list(doctor.unmet(["here>=2", "old>=2,<3", "absent>=1"]))
    assert [(f.name, f.state) for f in found] == [("old", "fail"), ("absent", "fail")]
    assert found[0].mend == "pip install 'old>=2,<3'"
    assert "not installed" in found[1].detail


def test_a_missing_extra_fails_only_when_the_demo_needs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.machine, "extras", lambda: ["onnx", "docs"])
    monkeypatch.setattr(doctor.machine, "requirements", lambda extra="": [f"{extra}-thing>=1", "sapwood[docs]"])
    monkeypatch.setattr(doctor.machine, "version", lambda _: "")
    assert {f.name: f.state for f in doctor.extra_findings()} == {"onnx": "fail", "docs": "warn"}


def test_a_registry_that_answers_one_that_refuses_and_one_that_is_silent() -> None:
    python = [sys.executable, "-S", "-c"]
    good = doctor.answer("a", [*python, "print('yes')"], "fail", "mend it", lambda out: "yes" in out)
    refusing = doctor.answer("b", [*python, "raise SystemExit(1)"], "warn", "mend it", lambda out: True)
    odd = doctor.answer("c", [*python, "print('<html>log in</html>')"], "fail", "mend it", lambda out: "yes" in out)
    assert [f.state for f in (good, refusing, odd)] == ["ok", "warn", "fail"]
    assert refusing.mend == "mend it"


def test_a_silent_registry_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "REGISTRY_S", 0.3)
    found = doctor.answer("d", [sys.executable, "-c", "import time; time.sleep(30)"], "warn", "m", lambda out: True)
    assert found.state == "warn"
    assert "no answer" in found.detail


def test_tools_that_are_absent_are_findings_and_not_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.shutil, "which", lambda _: None)
    found = [doctor.npm_registry(), doctor.apt_registry(), doctor.compiler_finding()]
    assert [f.state for f in found] == ["ok", "ok", "warn"]


@given(st.floats(0, 1e12), st.floats(1, 1e9), st.floats(0, 1e9))
def test_less_room_is_never_judged_better(have: float, fail: float, more: float) -> None:
    order = {"fail": 0, "warn": 1, "ok": 2}
    state, mend = doctor.judge(have, fail, fail + more, "free space")
    lower, _ = doctor.judge(have / 2, fail, fail + more, "free space")
    assert order[lower] <= order[state]
    assert bool(mend) == (state != "ok")


def test_a_disk_is_reported_once_and_the_store_need_not_exist(tmp_path: Path) -> None:
    found = list(doctor.disk_findings(tmp_path, tmp_path / "not" / "yet"))
    assert [f.name for f in found] == ["disk (store)"]


def test_the_table_fits_80_columns_and_says_how_to_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    findings = [
        Finding("python", "Python", "ok", "3.11.7"),
        Finding("machine", "a-name-that-is-far-too-long-for-its-column", "warn", "很长的说明" * 20, "pip install x"),
        Finding("registries", "[bold]", "fail", "[/x] " + "word " * 40, "do this"),
    ]
    out = io.StringIO()
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys, "stdout", out)
    doctor.show(findings, 3.0)
    text = out.getvalue()
    assert max(cell_len(line) for line in text.splitlines()) <= 80
    assert "pip install x" in text
    assert "cannot run here yet" in text


def test_without_a_registry_the_demo_still_runs_when_its_samples_are_here(monkeypatch: pytest.MonkeyPatch) -> None:
    silent = Finding("registries", "pip", "fail", "does not answer (exit code 1)", "mend it")
    monkeypatch.setattr(doctor, "answer", lambda *_: silent)
    monkeypatch.setattr(doctor, "samples_here", lambda: False)
    assert doctor.pip_registry().state == "fail"
    monkeypatch.setattr(doctor, "samples_here", lambda: True)
    assert doctor.pip_registry().state == "warn"


def test_the_demo_samples_are_those_of_the_demo_recipe() -> None:
    """Named in the doctor, because it must not need a recipe that reads well to say what is amiss."""
    from sapwood.samples.table import samples

    assert set(doctor.DEMO_SAMPLES) <= set(samples())
    recipe = Path(__file__).parents[3] / "recipes" / "reviews.yaml"
    named = {name for name in samples() if name in recipe.read_text(encoding="utf-8")}
    assert named == set(doctor.DEMO_SAMPLES)
