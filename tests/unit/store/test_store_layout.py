"""Paths stay in the store; what is written is whole or not there."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sapwood.errors import InputError, ResourceError, StoreError
from sapwood.store.layout import Layout, checked_name, checked_payload_path, disk_faults, remove_tree, tree_size, write_durably

LAYOUT = Layout(Path("/store"))


@given(st.text(max_size=40))
def test_no_name_leaves_the_store(name: str) -> None:
    for place in (LAYOUT.work, LAYOUT.run, LAYOUT.result, LAYOUT.blob, LAYOUT.manifest, LAYOUT.view):
        try:
            path = place(name)
        except InputError:
            continue
        assert ".." not in path.parts
        assert Path(os.path.normpath(path)).is_relative_to("/store")
        assert len(path.relative_to("/store").parts) in (2, 3)


@given(st.text(max_size=40))
def test_a_payload_path_that_is_accepted_stays_in_its_folder(path: str) -> None:
    try:
        checked_payload_path(path)
    except InputError:
        return
    assert Path(os.path.normpath(Path("/view") / path)).is_relative_to("/view/")
    assert Path(os.path.normpath(Path("/view") / path)) != Path("/view")


@pytest.mark.parametrize("path", ["", ".", "..", "a/../b", "/etc/passwd", "a//b", "a\\b", "a\0b", "line\nbreak", "\udcff", "x" * 256, "a/"])
def test_bad_payload_paths_are_refused(path: str) -> None:
    with pytest.raises(InputError):
        checked_payload_path(path)


@pytest.mark.parametrize("path", ["a", "a/b.txt", "中文/名字.txt", ".hidden", "a b", "..a", "é" * 100])
def test_good_payload_paths_pass(path: str) -> None:
    assert checked_payload_path(path) == path


@pytest.mark.parametrize("name", ["", "..", "a/b", ".a", "-a", "a..b", "x" * 201, "中", "a\n"])
def test_bad_keys_are_refused(name: str) -> None:
    with pytest.raises(InputError):
        checked_name(name)


def test_a_durable_write_replaces_the_whole_file(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.create()
    target = layout.root / "results" / "x.json"
    write_durably(layout, target, b"one")
    write_durably(layout, target, b"two")
    assert target.read_bytes() == b"two"
    assert target.stat().st_mode & 0o777 == 0o444
    assert list(layout.tmp.iterdir()) == []


def test_a_failed_write_leaves_the_old_file_and_nothing_in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layout = Layout(tmp_path)
    layout.create()
    target = layout.root / "results" / "x.json"
    write_durably(layout, target, b"one")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ResourceError, match="MB free"):
        write_durably(layout, target, b"two")
    assert target.read_bytes() == b"one"
    assert list(layout.tmp.iterdir()) == []


def test_errors_of_the_disk_become_words(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be written"), disk_faults(tmp_path):
        raise PermissionError(errno.EACCES, "Permission denied", "x")
    with pytest.raises(FileNotFoundError), disk_faults(tmp_path):
        raise FileNotFoundError(errno.ENOENT, "a bug of ours stays itself")


def test_read_only_trees_can_be_removed_and_a_second_link_frees_nothing(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "deep").mkdir(parents=True)
    (tree / "deep" / "file").write_bytes(b"12345")
    (tree / "one").write_bytes(b"123")
    os.link(tree / "one", tmp_path / "other")
    (tree / "deep").chmod(0o500)
    tree.chmod(0o500)
    assert tree_size(tree) == (2, 5)
    remove_tree(tree)
    remove_tree(tree)
    assert not tree.exists()
    assert (tmp_path / "other").read_bytes() == b"123"
