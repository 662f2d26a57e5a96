"""Every backend of the store keeps the one contract."""

from __future__ import annotations

import pytest

from sapwood.stage import Store
from sapwood.store.local import LocalStore
from sapwood.testing.stores import CHECKS, check_store


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_local_store(check, tmp_path):
    store: Store = LocalStore(tmp_path / "store")
    check(store)


def test_check_store_runs_every_check(tmp_path):
    numbers = iter(range(1000))
    assert check_store(lambda: LocalStore(tmp_path / str(next(numbers)))) == len(CHECKS) == 19


def test_check_store_notices_a_store_that_loses_bytes(tmp_path):
    class Forgetful(LocalStore):
        def open(self, artifact):
            raise AssertionError("gives nothing back")

    with pytest.raises(AssertionError):
        check_store(lambda: Forgetful(tmp_path / "store"))
