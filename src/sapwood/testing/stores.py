"""`check_store`: the contract of a store, which anyone can run on their own backend.

    from sapwood.testing.stores import check_store
    check_store(lambda: MyStore(new_empty_place()))

It sees a store through the protocol only: what a kill or a full disk does to a backend is for that backend's own tests.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from sapwood.artifact import Artifact, Documents, Entry, Examples, Model, digest_of, scan
from sapwood.errors import Corrupt, InputError, NotFound, SapwoodError
from sapwood.stage import Result, Store

Files = dict[str, bytes]

SAMPLE: Files = {"rows.txt": b"one\ntwo\n", "parts/\u4e2d\u6587 \u540d\u5b57.txt": "\u6d4b\u8bd5".encode(), "empty": b""}


def check_store(make_store: Callable[[], Store]) -> int:
    """Run every check, each on a new and empty store; how many ran. AssertionError names the promise that is broken."""
    for check in CHECKS:
        check(make_store())
    return len(CHECKS)


@contextmanager
def payload(files: Files) -> Iterator[Path]:
    """A folder with these files."""
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            path = Path(folder) / "payload" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        (Path(folder) / "payload").mkdir(exist_ok=True)
        yield Path(folder) / "payload"


def put(store: Store, files: Files, kind: type[Artifact] = Documents) -> Artifact:
    with payload(files) as folder:
        return store.put(kind, folder)


def contents(folder: Path) -> Files:
    """Every file below a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def raises(error: type[SapwoodError], act: Callable[[], object], promise: str) -> None:
    """Assert that `act` raises this error."""
    try:
        act()
    except error:
        return
    raise AssertionError(f"{promise}: no {error.__name__} was raised")


# --------------------------------------------------------------------------- the promises


def gives_back_what_was_put(store: Store) -> None:
    artifact = put(store, SAMPLE)
    assert contents(store.open(artifact)) == SAMPLE, "open gives the bytes and names that were put"
    with payload(SAMPLE) as folder:
        assert store.entries(artifact) == scan(folder), "entries are sorted (path, size, sha256)"
        assert artifact.digest == digest_of(Documents, scan(folder)), "the digest is that of artifact.digest_of"


def stores_the_same_content_once(store: Store) -> None:
    first, second = put(store, SAMPLE), put(store, dict(reversed(SAMPLE.items())))
    assert first == second, "the same content gives the same digest, whatever the order in which files were written"
    assert store.artifacts() == [first], "the same content is stored once"


def tells_kinds_apart(store: Store) -> None:
    documents, examples = put(store, SAMPLE), put(store, SAMPLE, Examples)
    assert documents.digest != examples.digest, "the kind is part of the digest"
    assert store.artifacts("documents") == [documents], "artifacts are listed by kind"
    assert isinstance(store.find(examples.digest), Examples), "find gives the stored kind"
    raises(NotFound, lambda: store.open(Model(documents.digest)), "a reference of the wrong kind opens nothing")


def keeps_an_empty_payload(store: Store) -> None:
    artifact = put(store, {})
    assert contents(store.open(artifact)) == {}, "an empty payload opens as an empty folder"
    assert store.entries(artifact) == (), "an empty payload has no entries"


def leaves_a_folder_that_is_not_its_own(store: Store) -> None:
    with payload(SAMPLE) as folder:
        store.put(Documents, folder)
        assert contents(folder) == SAMPLE, "put does not take files from outside the store"


def takes_scratch(store: Store) -> None:
    scratch = store.scratch("a" * 64)
    assert scratch == store.scratch("a" * 64), "scratch of a key is one folder"
    (scratch / "new").mkdir()
    (scratch / "new" / "big").write_bytes(b"x" * 100_000)
    artifact = store.put(Model, scratch / "new")
    assert contents(store.open(artifact)) == {"big": b"x" * 100_000}, "a payload in scratch can be put"


def finds_by_prefix(store: Store) -> None:
    artifact = put(store, SAMPLE)
    assert store.find(artifact.digest[:6]) == artifact, "six characters find an artifact"
    assert store.find(f"documents:{artifact.digest[:8]}") == artifact, "kind: may stand in front"
    raises(NotFound, lambda: store.find(f"model:{artifact.digest[:8]}"), "another kind in front finds nothing")
    raises(NotFound, lambda: store.find("0" * 64), "an unknown digest is not found")
    raises(SapwoodError, lambda: store.find(artifact.digest[:3]), "a prefix of three characters is refused")


def refuses_an_ambiguous_prefix(store: Store) -> None:
    one, other = _with_common_prefix()
    first, second = put(store, one), put(store, other)
    raises(InputError, lambda: store.find(first.digest[:6]), "a prefix of two artifacts is ambiguous")
    assert {store.find(first.digest), store.find(second.digest)} == {first, second}, "the whole digest is not"


def _with_common_prefix() -> tuple[Files, Files]:
    """Two payloads whose digests share six characters; about 5,000 tries."""
    seen: dict[str, int] = {}
    number = 0
    while True:
        content = str(number).encode()
        entry = Entry("n", len(content), hashlib.sha256(content).hexdigest())
        start = digest_of(Documents, (entry,))[:6]
        if start in seen:
            return {"n": str(seen[start]).encode()}, {"n": content}
        seen[start] = number
        number += 1


def misses_what_is_not_there(store: Store) -> None:
    raises(NotFound, lambda: store.open(Documents("0" * 64)), "an unknown artifact cannot be opened")
    raises(NotFound, lambda: store.entries(Documents("0" * 64)), "an unknown artifact has no entries")
    raises(SapwoodError, lambda: store.open(Documents("../../etc")), "a digest is no path")
    assert store.result("0" * 64) is None, "an unknown key has no result"


def commits_all_or_nothing(store: Store) -> None:
    with payload(SAMPLE) as folder:
        (folder / "parts" / "link").symlink_to("/etc/passwd")
        raises(InputError, lambda: store.put(Documents, folder), "symbolic links are refused")
    with payload(SAMPLE) as folder:
        raises(InputError, lambda: store.put(Documents, folder / "rows.txt"), "a file is no payload folder")
        raises(InputError, lambda: store.put(Documents, folder / "absent"), "an absent folder is refused")
    with payload({**SAMPLE, "a\\b": b""}) as folder:
        raises(InputError, lambda: store.put(Documents, folder), "a backslash in a name is refused")
    raises(SapwoodError, lambda: store.scratch("../outside"), "scratch stays in the store")
    assert store.artifacts() == [], "a refused put leaves no artifact"
    assert store.verify() == [], "a refused put leaves nothing corrupt"


def notices_changed_bytes(store: Store) -> None:
    kept, artifact = put(store, {"other": b"other"}), put(store, {"file.bin": b"abcdef"})
    file = store.open(artifact) / "file.bin"
    _overwrite(file, b"abcdeX")
    faults = store.verify()
    assert len(faults) >= 1, "verify finds a flipped byte"
    assert all(artifact.short in fault and "file.bin" in fault for fault in faults), "a fault names the artifact and the file"
    assert store.verify([kept]) == [], "other artifacts are sound"


def notices_lost_bytes(store: Store) -> None:
    artifact = put(store, {"file.bin": b"abcdef"})
    _overwrite(store.open(artifact) / "file.bin", b"abc")
    try:
        opened = store.open(artifact)
    except Corrupt:
        return
    assert contents(opened) == {"file.bin": b"abcdef"}, "open gives whole files or Corrupt"


def _overwrite(file: Path, content: bytes) -> None:
    file.parent.chmod(0o700)
    file.chmod(0o600)
    file.write_bytes(content)


def keeps_results(store: Store) -> None:
    source, made = put(store, SAMPLE), put(store, {"model": b"weights"}, Model)
    result = Result(
        key="b" * 64, name="train", version=2, params={"rate": 0.1, "tags": ["\u4e2d"]}, inputs={"documents": (Documents(source.digest),)},
        outputs={"model": made}, carries=("documents",), seed=7, run="20250101-000000-abcd", seconds=1.5, peak_bytes=10,
    )  # fmt: skip
    store.record(result)
    store.record(result)
    assert store.result(result.key) == result, "a result comes back as it was recorded"
    assert store.producers(made) == [result], "producers knows what made an artifact, once"
    assert store.consumers(source) == [result], "consumers knows what used it"
    assert store.producers(source) == [], "nothing made the source"
    assert list(store.results("train")) == [result] == list(store.results()), "results are listed, also by name"
    assert list(store.results("other")) == [], "of another name there are none"


def keeps_ports_in_order(store: Store) -> None:
    made = [put(store, {"n": name.encode()}) for name in "zab"]
    result = Result("d" * 64, "clean", 1, {}, {}, dict(zip("zab", made, strict=True)), ())
    store.record(result)
    found = store.result(result.key)
    assert found is not None, "the result is there"
    assert list(found.outputs) == ["z", "a", "b"], "the first output port stays the first"


def forgets_results_without_outputs(store: Store) -> None:
    store.record(Result("c" * 64, "clean", 1, {}, {}, {"kept": Documents("e" * 64)}, ()))
    assert store.result("c" * 64) is None, "a result whose output is not stored does not count"


def signs(store: Store) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    signature = store.sign(b"message")
    assert signature.key == store.public_key(), "sign uses the store's key"
    Ed25519PublicKey.from_public_bytes(bytes.fromhex(signature.key)).verify(bytes.fromhex(signature.value), b"message")
    assert store.sign(b"message") == signature, "Ed25519 signatures are deterministic, and the key stays"


def takes_concurrent_puts(store: Store) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda n: put(store, {**SAMPLE, "n": str(n % 2).encode()}), range(16)))
    assert len(set(made)) == 2, "concurrent puts of the same content give the same digest"
    assert set(store.artifacts()) == set(made), "each is stored once"
    assert store.verify() == [], "and sound"


def rebuilds_its_index(store: Store) -> None:
    made = {put(store, SAMPLE), put(store, SAMPLE, Examples)}
    assert store.reindex() == 2, "reindex counts artifacts"
    assert set(store.artifacts()) == made, "and finds them all"


def collects_only_what_nothing_names(store: Store) -> None:
    artifact = put(store, SAMPLE)
    scratch = store.scratch("f" * 64)
    (scratch / "state").write_bytes(b"half")
    store.gc(older_than_s=0, dry_run=True)
    store.gc(older_than_s=0)
    assert contents(store.open(artifact)) == SAMPLE, "gc keeps what an artifact names"
    assert (scratch / "state").read_bytes() == b"half", "gc keeps scratch that is in use"
    assert store.verify() == [], "gc leaves the store sound"


CHECKS: tuple[Callable[[Store], None], ...] = (
    gives_back_what_was_put,
    stores_the_same_content_once,
    tells_kinds_apart,
    keeps_an_empty_payload,
    leaves_a_folder_that_is_not_its_own,
    takes_scratch,
    finds_by_prefix,
    refuses_an_ambiguous_prefix,
    misses_what_is_not_there,
    commits_all_or_nothing,
    notices_changed_bytes,
    notices_lost_bytes,
    keeps_results,
    keeps_ports_in_order,
    forgets_results_without_outputs,
    signs,
    takes_concurrent_puts,
    rebuilds_its_index,
    collects_only_what_nothing_names,
)
