"""A lease is held by the living; removing a folder ends what was said about it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from sapwood.store import leases


def in_child(act) -> bool:
    """What `act` says in another process."""
    pid = os.fork()
    if pid == 0:
        leases._held.clear()  # the parent's descriptors are no leases of ours
        os._exit(0 if act() else 1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_a_lease_of_this_process_is_its_own_again_and_again(tmp_path: Path) -> None:
    assert leases.hold(tmp_path / "a")
    assert leases.hold(tmp_path / "a")
    leases.let_go(tmp_path / "a")
    leases.let_go(tmp_path / "a")


def test_another_process_gets_it_only_when_it_is_let_go(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    assert leases.hold(folder)
    assert not in_child(lambda: leases.hold(folder))
    leases.let_go(folder)
    assert in_child(lambda: leases.hold(folder))


def test_a_folder_made_again_is_another_folder(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    assert leases.hold(folder)
    shutil.rmtree(folder)
    assert in_child(lambda: leases.hold(folder))
    assert leases.hold(folder)
    assert not in_child(lambda: leases.hold(folder))
    leases.let_go(folder)


def test_unused_tells_who_is_alive(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    assert leases.hold(folder)
    with leases.unused(folder) as free:
        assert not free
    leases.let_go(folder)
    with leases.unused(folder) as free:
        assert free
        assert not in_child(lambda: leases.hold(folder))
    with leases.unused(tmp_path / "absent") as free:
        assert not free


def test_readers_share_a_lock(tmp_path: Path) -> None:
    lock = tmp_path / "lock"

    def read() -> bool:
        with leases.locked(lock, shared=True):
            return True

    with leases.locked(lock, shared=True):
        assert in_child(read), "another reader waits for nobody"
    with leases.locked(lock):
        assert lock.exists()
