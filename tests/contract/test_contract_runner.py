from sapwood.runs.local import execute
from sapwood.store.local import LocalStore
from sapwood.testing.runners import check_runner


def test_the_local_runner_keeps_the_runner_contract(tmp_path):
    (tmp_path / "workspace").mkdir()
    check_runner(execute, LocalStore(tmp_path / "store"), tmp_path / "workspace")
