"""Names of artifacts: digests, steps and ports, runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sapwood.artifact import Artifact, Documents
from sapwood.errors import InputError, NotFound
from sapwood.store import address
from sapwood.store.local import LocalStore


def put(store: LocalStore, text: str) -> Documents:
    folder = store.scratch(text) / "new"
    folder.mkdir(parents=True)
    (folder / "rows.txt").write_text(text, encoding="utf-8")
    return store.put(Documents, folder)


def run(store: LocalStore, outputs: dict[str, dict[str, Artifact]]) -> str:
    began = store.records.start_run("recipe", {})
    steps: list[dict[str, Any]] = [{"step": s, "outputs": {p: str(a) for p, a in ports.items()}} for s, ports in outputs.items()]
    store.records.update_run(began.id, steps=[*steps, {"step": "broken", "state": "failed"}])
    store.records.finish_run(began.id, "done")
    return began.id


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


def test_a_digest_may_be_cut_and_may_say_its_kind(store: LocalStore) -> None:
    made = put(store, "one")
    assert address.find(store, made.digest[:8]) == address.find(store, f"documents:{made.digest[:8]}") == made


def test_a_step_and_port_mean_the_newest_run_that_has_them(store: LocalStore) -> None:
    old, new, other = (put(store, name) for name in ("old", "new", "other"))
    first = run(store, {"clean": {"kept": old, "dropped": other}})
    run(store, {"clean": {"kept": new}})
    assert address.find(store, "clean.kept") == new
    assert address.find(store, "clean.dropped") == other, "the newest run has no such port, an earlier one has"
    assert address.find(store, f"{first}:clean.kept") == old
    assert address.find(store, "last:clean.kept") == new


def test_a_bare_step_means_its_first_port(store: LocalStore) -> None:
    kept, dropped = put(store, "kept"), put(store, "dropped")
    run(store, {"clean": {"kept": kept, "dropped": dropped}, "cycle/split": {"train": dropped}})
    assert address.find(store, "clean") == address.find(store, "last:clean") == kept
    assert address.find(store, "cycle/split.train") == dropped


def test_a_wrong_name_is_told_the_right_one(store: LocalStore) -> None:
    run(store, {"clean": {"kept": put(store, "one")}})
    with pytest.raises(NotFound, match=r"did you mean clean\.kept"):
        address.find(store, "clean.keep")
    with pytest.raises(NotFound, match=r"it has clean\.kept"):
        address.find(store, "last:clean.dropped")
    with pytest.raises(NotFound):
        address.find(store, "abcdef123456")
    with pytest.raises(NotFound):
        address.find(store, "norun:clean.kept")


def test_a_step_named_like_a_short_digest_is_found_as_a_step(store: LocalStore) -> None:
    made = put(store, "one")
    run(store, {"dedup": {"kept": made}, "deface": {"kept": made}})
    assert address.find(store, "dedup") == address.find(store, "deface") == made


def test_an_ambiguous_digest_is_not_guessed(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def several(prefix: str) -> Artifact:
        raise InputError("several artifacts start with that")

    monkeypatch.setattr(store, "find", several)
    with pytest.raises(InputError, match="several"):
        address.find(store, "abcdef")
