"""Which store a command means: the named one, the variable's, the nearest one upward, or a new one here."""

from __future__ import annotations

from pathlib import Path

import pytest

from sapwood.errors import NotFound
from sapwood.store.find import open_store
from sapwood.store.local import LocalStore


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("SAPWOOD_STORE", raising=False)
    (tmp_path / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a" / "b")
    return tmp_path.resolve()


def test_the_nearest_store_upward_is_meant(here: Path) -> None:
    LocalStore(here / ".sapwood")
    LocalStore(here / "a" / ".sapwood")
    assert open_store().root == here / "a" / ".sapwood"


def test_the_variable_and_the_option_come_first(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    LocalStore(here / ".sapwood")
    monkeypatch.setenv("SAPWOOD_STORE", str(here / "named"))
    assert open_store().root == here / "named"
    assert open_store(here / "given").root == here / "given"


def test_a_folder_that_only_has_the_name_is_no_store(here: Path) -> None:
    (here / ".sapwood").mkdir()
    with pytest.raises(NotFound):
        open_store(create=False)
    assert open_store().root == here / "a" / "b" / ".sapwood"
