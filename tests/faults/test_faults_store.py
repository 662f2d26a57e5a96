"""What a kill, a full disk, a flipped bit and a gc beside writers do to the store: the old state or the new one, never a third."""

from __future__ import annotations

import hashlib
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import pytest

from sapwood.artifact import Bundle, Documents, Model
from sapwood.errors import Corrupt, NotFound, ResourceError, StoreError
from sapwood.stage import Result
from sapwood.store import sweep
from sapwood.store.local import LocalStore

FILES = {"config.json": b"{}", "parts/weights.bin": b"w" * 50_000, "again.bin": b"w" * 50_000, "empty": b""}
STEPS = ("link", "replace", "rename", "unlink", "fsync", "mkdir", "chmod", "fchmod")


def child(act: Callable[[], object]) -> int:
    """Run `act` in a forked process; its wait status (0, an exit code, or -signal)."""
    pid = os.fork()
    if pid == 0:
        try:
            act()
            os._exit(0)
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def spawn(act: Callable[[], object]) -> int:
    """Start `act` in a forked process; its pid."""
    pid = os.fork()
    if pid == 0:
        try:
            act()
            os._exit(0)
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
            os._exit(1)
    return pid


def kill_before(step: int) -> None:
    """In this process: kill -9 before the step-th change of the file system."""
    left = [step]

    def guarded(real: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object, **named: object) -> object:
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **named)

        return call

    for name in STEPS:
        setattr(os, name, guarded(getattr(os, name)))


def killed_at_each_step(act: Callable[[], object], before: Callable[[], object], after: Callable[[int], object]) -> int:
    """Run `act`, killed before its n-th step, for every n until it ends by itself; how many kills there were."""
    for step in range(500):
        before()

        def doomed(step: int = step) -> None:
            kill_before(step)
            act()

        status = child(doomed)
        assert status in (0, -signal.SIGKILL), f"step {step}: exit {status}"
        after(step)
        if status == 0:
            return step
    raise AssertionError("it never ended")


def fill(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    LocalStore(tmp_path / "store").engine.dispose()
    return tmp_path / "store"


# --------------------------------------------------------------------------- kill -9


@pytest.mark.parametrize("inside", [True, False], ids=["from scratch", "from outside"])
def test_a_kill_at_any_step_of_put_leaves_all_or_nothing(root: Path, tmp_path: Path, inside: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "TMP_S", 0)
    folder = root / "work" / "key" / "new" if inside else tmp_path / "outside"
    expected = LocalStore(tmp_path / "reference").put(Model, fill(tmp_path / "copy", FILES))
    seen: set[bool] = set()

    def before() -> None:
        for name in ("blobs", "manifests", "views"):
            sweep.remove_tree(root / name)
        sweep.remove_tree(folder)
        LocalStore(root).reindex()
        fill(folder, FILES)

    def after(step: int) -> None:
        store = LocalStore(root)
        found = store.artifacts()
        seen.add(bool(found))
        assert found in ([], [expected]), f"step {step}"
        assert store.verify() == [], f"step {step}"
        if found:
            assert contents(store.open(expected)) == FILES, f"step {step}"
        else:
            assert contents(folder) == FILES, f"step {step}: a payload that was not committed is whole"
            with pytest.raises(NotFound):
                store.open(expected)
        store.gc(older_than_s=0)
        assert list((root / "tmp").iterdir()) == [], f"step {step}: gc gives back what the kill left"
        assert store.verify() == [], f"step {step}"
        again = fill(folder, FILES) if not folder.exists() else folder
        if contents(again) == FILES:
            assert store.put(Model, again) == expected, f"step {step}: the same put works afterwards"
        assert store.reindex() == 1
        store.engine.dispose()

    kills = killed_at_each_step(lambda: LocalStore(root).put(Model, folder), before, after)
    assert kills >= 20
    assert seen == {True, False}


def test_a_kill_at_any_step_of_recording_leaves_the_old_or_the_new_result(root: Path) -> None:
    store = LocalStore(root)
    made = store.put(Documents, fill(root / "work" / "k" / "new", {"n": b"1"}))
    result = Result("key", "clean", 1, {}, {}, {"kept": made}, ())

    def before() -> None:
        fresh = LocalStore(root)
        from sqlalchemy import text

        with fresh.engine.begin() as connection:
            connection.execute(text("delete from results"))
            connection.execute(text("delete from edges"))
        (root / "results" / "key.json").unlink(missing_ok=True)
        fresh.engine.dispose()

    def after(step: int) -> None:
        fresh = LocalStore(root)
        assert fresh.result("key") in (None, result), f"step {step}"
        known = fresh.result("key")
        assert fresh.producers(made) == ([known] if known else []), f"step {step}"
        fresh.reindex()
        assert fresh.result("key") == known, f"step {step}: reindex completes what a kill left"
        assert (root / "results" / "key.json").exists() == bool(known)
        fresh.engine.dispose()

    assert killed_at_each_step(lambda: LocalStore(root).record(result), before, after) >= 3


def test_a_kill_at_any_step_of_opening_leaves_the_payload_whole(root: Path) -> None:
    made = LocalStore(root).put(Documents, fill(root / "work" / "k" / "new", FILES))
    view = root / "views" / made.digest

    def after(step: int) -> None:
        assert not view.exists() or contents(view) == FILES, f"step {step}: a view is whole or not there"
        assert contents(LocalStore(root).open(made)) == FILES

    assert killed_at_each_step(lambda: LocalStore(root).open(made), lambda: sweep.remove_tree(view), after) >= 8


def test_a_kill_while_the_key_is_made_leaves_no_half_key(root: Path) -> None:
    keys = root / "keys" / "ed25519.pem"

    def after(step: int) -> None:
        if keys.exists():
            assert keys.stat().st_mode & 0o777 == 0o600
        assert len(LocalStore(root).public_key()) == 64, f"step {step}"

    assert killed_at_each_step(lambda: LocalStore(root).sign(b"x"), lambda: keys.unlink(missing_ok=True), after) >= 3


def test_bytes_are_on_the_disk_before_their_name_and_names_before_the_manifest(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against a power cut, which a kill does not imitate: the order of fsync and rename."""
    log: list[tuple[str, str]] = []
    real_fsync, real_replace = os.fsync, os.replace

    def fsync(handle: int) -> None:
        log.append(("fsync", os.readlink(f"/proc/self/fd/{handle}")))
        real_fsync(handle)

    def replace(source: os.PathLike[str], target: os.PathLike[str]) -> None:
        log.append(("rename", f"{source} {target}"))
        real_replace(source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    LocalStore(root).put(Model, fill(root / "work" / "k" / "new", FILES))
    renames = [(i, *names.split()) for i, (what, names) in enumerate(log) if what == "rename"]
    commit, source, manifest = renames[-1]
    assert "/manifests/" in manifest
    assert ("fsync", source) in log[:commit]
    assert ("fsync", str(root / "manifests")) in log[commit:]
    assert len(renames) == 4, "three different contents and the manifest"
    for at, source, target in renames[:-1]:
        assert ("fsync", source) in log[:at], "the bytes, before they get their name"
        assert ("fsync", str(Path(target).parent)) in log[at:commit], "the name, before the manifest says so"


def test_scratch_belongs_to_one_living_process(root: Path) -> None:
    started = root / "started"

    def work() -> None:
        (LocalStore(root).scratch("step") / "half").write_bytes(b"half")
        started.touch()
        time.sleep(60)

    pid = spawn(work)
    while not started.exists():
        time.sleep(0.01)
    store = LocalStore(root)
    with pytest.raises(StoreError, match=str(pid)):
        store.scratch("step")
    store.record(Result("step", "train", 1, {}, {}, {}, ()))
    assert store.gc(older_than_s=0)[0] == 0, "gc leaves scratch that somebody alive works in"
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert (store.scratch("step") / "half").read_bytes() == b"half", "scratch outlives the killed process"
    store.record(Result("step", "train", 1, {}, {}, {}, ()))
    store.gc(older_than_s=0)
    assert not (root / "work" / "step").exists(), "scratch of a finished step goes"


# --------------------------------------------------------------------------- many processes


def test_gc_beside_writers_never_takes_what_they_need(root: Path, tmp_path: Path) -> None:
    """Blobs lie there unnamed, so gc wants them; two writers want them too, at the same time."""
    numbers = range(40)

    def write(start: int) -> None:
        store = LocalStore(root)
        for number in numbers:
            content = f"content {(number + start) % len(numbers)}".encode() * 100
            folder = fill(store.scratch(f"writer-{start}") / "new", {"same": b"same", "n": content})
            assert contents(store.open(store.put(Documents, folder))) == {"same": b"same", "n": content}

    def collect() -> None:
        store = LocalStore(root)
        for _ in range(60):
            store.gc(older_than_s=0)

    for _ in range(3):
        for name in ("manifests", "views", "blobs"):
            for path in (root / name).iterdir():
                sweep.remove_tree(path)
        for number in numbers:
            content = f"content {number}".encode() * 100
            sha256 = hashlib.sha256(content).hexdigest()
            fill(root / "blobs", {f"{sha256[:2]}/{sha256}": content})
        pids = [spawn(lambda: write(0)), spawn(lambda: write(20)), spawn(collect)]
        assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids] == [0, 0, 0]
        store = LocalStore(root)
        assert len(store.artifacts()) == len(numbers)
        assert store.verify() == []


def test_processes_that_create_one_store_at_once_agree(tmp_path: Path) -> None:
    root, out = tmp_path / "new", tmp_path / "out"
    out.mkdir()

    def first_use(number: int) -> None:
        store = LocalStore(root)
        made = store.put(Documents, fill(tmp_path / f"p{number}", {"same": b"same"}))
        version = store.records.register("m", f"{number % 3:064x}", "b" * 64)
        (out / str(number)).write_text(f"{made.digest} {store.public_key()}")
        assert version.number <= 3

    pids = [spawn(lambda n=n: first_use(n)) for n in range(6)]
    assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids] == [0] * 6
    assert len({path.read_text() for path in out.iterdir()}) == 1
    assert [v.number for v in LocalStore(root).records.versions("m")] == [1, 2, 3]


def test_of_processes_that_advance_a_cycle_one_wins(root: Path, tmp_path: Path) -> None:
    cycle = LocalStore(root).records.open_cycle("m", "key")

    def advance(number: int) -> None:
        LocalStore(root).records.advance_cycle(cycle.id, "collecting", "building", by=number)

    pids = [spawn(lambda n=n: advance(n)) for n in range(4)]
    assert sorted(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids) == [0, 1, 1, 1]
    assert [entry["state"] for entry in LocalStore(root).records.cycle(cycle.id).history] == ["collecting", "building"]


# --------------------------------------------------------------------------- flipped bytes and lost files


def test_a_flipped_byte_is_found_set_aside_and_made_again(root: Path) -> None:
    store = LocalStore(root)
    other = store.put(Documents, fill(root / "work" / "k" / "other", {"n": b"other"}))
    made = store.put(Model, fill(root / "work" / "k" / "new", {"weights": b"abcdef"}))
    store.record(Result("step", "train", 1, {}, {}, {"model": made}, ()))
    sha256 = store.entries(made)[0].sha256
    blob = root / "blobs" / sha256[:2] / sha256
    blob.chmod(0o600)
    blob.write_bytes(b"abcdeg")
    [fault] = store.verify()
    assert str(made) in fault
    assert "weights" in fault
    assert sha256 in fault
    assert store.set_aside() == [fault]
    assert store.artifacts() == [other]
    assert store.result("step") is None, "so the step runs again"
    assert store.put(Model, fill(root / "work" / "k" / "new", {"weights": b"abcdef"})) == made
    assert store.result("step") is not None
    assert store.verify() == []


def test_lost_and_cut_bytes_are_refused_when_opened(root: Path) -> None:
    store = LocalStore(root)
    made = store.put(Model, fill(root / "work" / "k" / "new", {"weights": b"abcdef"}))
    store.open(made)
    sha256 = store.entries(made)[0].sha256
    blob = root / "blobs" / sha256[:2] / sha256
    blob.chmod(0o600)
    blob.write_bytes(b"abc")
    with pytest.raises(Corrupt, match="3 bytes instead of 6"):
        store.open(made)
    blob.unlink()
    with pytest.raises(Corrupt, match="gone") as refused:
        store.open(made)
    assert "sapwood store verify" in refused.value.next_step
    assert len(store.verify()) >= 1


def test_a_changed_manifest_is_refused_and_stops_gc(root: Path) -> None:
    store = LocalStore(root)
    made = store.put(Model, fill(root / "work" / "k" / "new", {"weights": b"abcdef"}))
    manifest = root / "manifests" / f"{made.digest}.json"
    text = manifest.read_text()
    manifest.chmod(0o600)
    for bad in (text.replace("weights", "weighty"), text.replace("weights", "../weights"), "{", "", text.replace('"model"', '"odd"')):
        manifest.write_text(bad)
        with pytest.raises(Corrupt):
            store.open(made)
        with pytest.raises(Corrupt):
            store.gc(older_than_s=0)
        assert len(store.verify()) == 1
    assert store.reindex() == 0


def test_a_damaged_database_says_what_to_do_and_reindex_mends_it(root: Path) -> None:
    store = LocalStore(root)
    made = store.put(Model, fill(root / "work" / "k" / "new", FILES))
    result = Result("step", "train", 1, {"a": [1]}, {"documents": (Documents("a" * 64),)}, {"model": made}, ("documents",))
    store.record(result)
    store.engine.dispose()
    for path in root.glob("sapwood.db*"):
        path.write_bytes(b"no database at all, " * 100)
    with pytest.raises(Corrupt, match="not a database") as refused:
        LocalStore(root).artifacts()
    assert "reindex" in refused.value.next_step
    for path in root.glob("sapwood.db*"):
        path.unlink()
    fresh = LocalStore(root)
    assert fresh.artifacts() == [made]
    assert fresh.result("step") == result
    assert fresh.producers(made) == [result]
    assert fresh.reindex() == 1


# --------------------------------------------------------------------------- disk full


@contextmanager
def small_disk(folder: Path, size: str):
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    able = os.geteuid() == 0 and shutil.which("mount") is not None
    if not able or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a small disk; the file size limit below covers the rest")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def fill_up(file: Path) -> None:
    with file.open("wb", buffering=0) as stream:
        while True:
            stream.write(b"x" * 4096)


def test_a_full_disk_is_said_and_leaves_the_store_as_it_was(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "4m") as disk:
        store = LocalStore(disk / "store")
        kept = store.put(Model, fill(tmp_path / "small", {"n": b"x" * 100_000}))
        with pytest.raises(ResourceError, match="MB free") as refused:
            store.put(Model, fill(tmp_path / "large", {"n": os.urandom(8_000_000)}))
        assert "sapwood store gc" in refused.value.next_step
        assert list((store.root / "tmp").iterdir()) == [], "what was written of it is given back"
        assert store.artifacts() == [kept]
        assert store.verify() == []
        with pytest.raises(OSError):
            fill_up(disk / "filler")
        with pytest.raises(ResourceError):
            store.records.start_run("run", {"text": "x" * 1_000_000})
        assert contents(store.open(kept)) == {"n": b"x" * 100_000}, "what is stored is still there"
        (disk / "filler").unlink()
        store.put(Bundle, fill(tmp_path / "small", {"n": b"x" * 100_000}))
        assert store.verify() == []
        store.close()


def test_a_file_size_limit_is_said_too(root: Path, tmp_path: Path) -> None:
    large = fill(tmp_path / "large", {"n": b"x" * 3_000_000})

    def act() -> None:
        store = LocalStore(root)
        store.artifacts()
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
        try:
            store.put(Model, large)
        except ResourceError:
            os._exit(7)

    assert child(act) == 7
    assert LocalStore(root).artifacts() == []
    assert list((root / "tmp").iterdir()) == []
