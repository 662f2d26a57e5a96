"""The local store, beyond the contract that every store keeps."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sapwood.artifact import Documents, Model
from sapwood.errors import InputError, NotFound
from sapwood.stage import Result
from sapwood.store import blobs, sweep, views
from sapwood.store.local import LocalStore


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


def scratch(store: LocalStore, files: dict[str, bytes], key: str = "key") -> Path:
    folder = store.scratch(key) / "new"
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def blob(store: LocalStore, made: Documents | Model, number: int = 0) -> Path:
    return store.layout.blob(store.entries(made)[number].sha256)


def test_files_of_scratch_are_taken_over_not_copied(store: LocalStore) -> None:
    folder = scratch(store, {"weights": b"w" * 1000})
    inode = (folder / "weights").stat().st_ino
    made = store.put(Model, folder)
    assert blob(store, made).stat().st_ino == inode
    assert (store.open(made) / "weights").stat().st_ino == inode
    assert not folder.exists()


def test_a_file_that_somebody_else_links_to_is_copied(store: LocalStore, tmp_path: Path) -> None:
    folder = scratch(store, {"weights": b"w" * 1000})
    os.link(folder / "weights", tmp_path / "mine")
    made = store.put(Model, folder)
    (tmp_path / "mine").write_bytes(b"changed")
    assert (store.open(made) / "weights").read_bytes() == b"w" * 1000
    assert store.verify() == []


def test_the_same_bytes_are_kept_once(store: LocalStore) -> None:
    one = store.put(Documents, scratch(store, {"a": b"same", "b": b"same"}))
    two = store.put(Model, scratch(store, {"c": b"same"}))
    assert blob(store, one) == blob(store, two)
    assert len([path for path in (store.root / "blobs").rglob("*") if path.is_file()]) == 1


def test_what_is_stored_is_read_only(store: LocalStore) -> None:
    made = store.put(Documents, scratch(store, {"a/b": b"x"}))
    view = store.open(made)
    assert blob(store, made).stat().st_mode & 0o222 == 0
    assert (view / "a" / "b").stat().st_mode & 0o222 == 0
    assert view.stat().st_mode & 0o222 == 0
    assert (view / "a").stat().st_mode & 0o222 == 0


@pytest.mark.parametrize("broken", [("link",), ("link", "symlink")])
def test_views_are_made_where_links_fail(store: LocalStore, monkeypatch: pytest.MonkeyPatch, broken: tuple[str, ...]) -> None:
    def no(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    for name in broken:
        monkeypatch.setattr(os, name, no)
    made = store.put(Documents, scratch(store, {"a/b": b"x"}))
    assert (store.open(made) / "a" / "b").read_bytes() == b"x"
    assert store.verify() == []


def test_a_view_with_a_file_too_many_or_another_content_is_told(store: LocalStore) -> None:
    made = store.put(Documents, scratch(store, {"a": b"x"}))
    view = store.open(made)
    view.chmod(0o700)
    (view / "odd").write_bytes(b"")
    (view / "a").unlink()
    (view / "a").write_bytes(b"y")
    faults = store.verify()
    assert len(faults) == 2
    assert store.set_aside() == faults
    assert store.artifacts() == [made], "the artifact itself is sound and stays"
    assert (store.open(made) / "a").read_bytes() == b"x"
    assert store.verify() == []


def test_a_view_that_lost_a_file_is_built_again(store: LocalStore) -> None:
    made = store.put(Documents, scratch(store, {"a": b"x", "b": b"y"}))
    view = store.open(made)
    view.chmod(0o700)
    (view / "b").unlink()
    assert sorted(path.name for path in store.open(made).iterdir()) == ["a", "b"]


def test_gc_counts_before_it_removes_and_keeps_what_is_young(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "TMP_S", 0)
    made = store.put(Documents, scratch(store, {"a": b"x" * 10}))
    orphan = store.root / "blobs" / "ab" / ("ab" * 32)
    orphan.parent.mkdir()
    orphan.write_bytes(b"1234")
    (store.root / "tmp" / "put-dead").mkdir()
    (store.root / "tmp" / "put-dead" / "0").write_bytes(b"123")
    assert store.gc() == (0, 0)
    assert store.gc(older_than_s=0, dry_run=True) == (2, 7)
    assert orphan.exists()
    assert store.gc(older_than_s=0) == (2, 7)
    assert not orphan.exists()
    assert store.gc(older_than_s=0) == (0, 0)
    assert store.open(made).is_dir()


def test_gc_keeps_scratch_of_unfinished_steps(store: LocalStore) -> None:
    for key in ("finished", "unfinished"):
        (store.root / "work" / key).mkdir()
    store.record(Result("finished", "clean", 1, {}, {}, {}, ()))
    store.gc(older_than_s=0)
    assert [path.name for path in (store.root / "work").iterdir()] == ["unfinished"]


def test_gc_removes_views_without_a_manifest(store: LocalStore) -> None:
    made = store.put(Documents, scratch(store, {"a": b"x"}))
    view = store.open(made)
    store.layout.manifest(made.digest).unlink()
    store.gc()
    assert not view.exists()


def test_the_newest_result_whose_outputs_are_stored_counts(store: LocalStore) -> None:
    one, two = (store.put(Documents, scratch(store, {"a": content})) for content in (b"1", b"2"))
    first = Result("step", "crawl", 1, {}, {}, {"out": one}, ())
    second = Result("step", "crawl", 1, {}, {}, {"out": two}, ())
    store.record(first)
    store.record(second)
    assert store.result("step") == second
    assert store.producers(one) == [first], "lineage of what was made before stays"
    store.layout.manifest(two.digest).unlink()
    assert store.result("step") == first
    store.record(first)
    assert list(store.results()) == [second, first]


def test_reindex_after_the_database_is_gone_keeps_order_and_everything(store: LocalStore) -> None:
    one, two = (store.put(Documents, scratch(store, {"a": content})) for content in (b"1", b"2"))
    recorded = [Result(key, "clean", 1, {"n": key}, {}, {"z": one, "a": two}, ("x",)) for key in ("b", "c", "a")]
    for result in recorded:
        store.record(result)
    store.close()
    for path in store.root.glob("sapwood.db*"):
        path.unlink()
    again = LocalStore(store.root)
    assert set(again.artifacts()) == {one, two}
    assert list(again.results()) == recorded
    assert list(next(iter(again.results())).outputs) == ["z", "a"]


def test_results_lost_beside_the_database_are_written_again(store: LocalStore) -> None:
    store.record(Result("step", "clean", 1, {}, {}, {}, ()))
    before = (store.root / "results" / "step.json").read_bytes()
    (store.root / "results" / "step.json").unlink()
    store.reindex()
    assert (store.root / "results" / "step.json").read_bytes() == before


def test_a_store_that_is_not_there_is_not_made_by_looking(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no store here"):
        LocalStore(tmp_path / "none", create=False)
    assert not (tmp_path / "none").exists()


def test_listing_tells_size_and_age(store: LocalStore) -> None:
    made = store.put(Documents, scratch(store, {"a": b"123", "b": b""}))
    [row] = store.listing()
    assert (row.kind, row.digest, row.files, row.bytes) == ("documents", made.digest, 2, 3)
    assert store.listing("model") == []
    with pytest.raises(InputError, match="unknown kind"):
        store.listing("modell")


def test_run_folders_stay_in_the_store(store: LocalStore) -> None:
    assert store.run_folder("20250101-000000-abcd").is_dir()
    with pytest.raises(InputError):
        store.run_folder("../../etc")


def test_a_moved_store_still_opens(store: LocalStore, tmp_path: Path) -> None:
    made = store.put(Documents, scratch(store, {"a": b"x"}))
    store.open(made)
    store.close()
    store.root.rename(tmp_path / "moved")
    assert (LocalStore(tmp_path / "moved").open(made) / "a").read_bytes() == b"x"


def test_opening_costs_no_reading(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    made = store.put(Documents, scratch(store, {"a": b"x"}))
    monkeypatch.setattr(blobs.hashlib, "file_digest", lambda *_: pytest.fail("it hashed"))
    monkeypatch.setattr(blobs, "_copy", lambda *_: pytest.fail("it copied"))
    assert views.open_view(store.layout, made, store_manifest(store, made)) == store.open(made)


def store_manifest(store: LocalStore, made: Documents):
    from sapwood.store import manifests

    return manifests.of(store.layout, made)
