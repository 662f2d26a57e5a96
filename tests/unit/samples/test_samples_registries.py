"""Samples of Debian and npm: folders of files, exact versions, clear faults, and nothing of a package is run. No network: archives and
stand-ins for apt-get and npm are made on the spot."""

import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from pydantic import ValidationError

from sapwood.errors import InputError, NetworkError, ResourceError
from sapwood.samples import debian, npm, table
from sapwood.samples import fetch as fetching
from sapwood.samples import unpack as unpacking
from sapwood.samples.table import Sample, Tree

COPYRIGHT = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\nFiles: *\nLicense: GPL-2+\n"
needs_dpkg = pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="this machine has no dpkg-deb")


def sample_of(archive: Path, **fields) -> Sample:
    stated = {
        "what": "text", "package": "tiny==1:2.0-1", "registry": "npm", "form": "tgz", "sha256": digest_of(archive), "bytes": 9,
        "licence": "MIT", "citation": "Nobody, 2026", "language": "en", "purpose": "a test",
    }  # fmt: skip
    return Sample.model_validate({**stated, **fields})


def digest_of(archive: Path) -> str:
    return hashlib.sha256(archive.read_bytes()).hexdigest()


def tar_of(path: Path, members: dict[str, bytes], *others: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w:gz") as out:
        for info in others:
            out.addfile(info)
        for name, body in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(body)
            out.addfile(info, io.BytesIO(body))
    return path


def link(name: str, kind: bytes, to: str = "/etc/passwd") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, to
    return info


@pytest.fixture
def listed(monkeypatch, tmp_path):
    """Puts one sample into the table as `tiny`, with a cache of its own."""
    monkeypatch.setenv("SAPWOOD_CACHE", str(tmp_path / "cache"))

    def put(entry: Sample) -> Sample:
        monkeypatch.setattr(table, "samples", lambda: {"tiny": entry})
        return entry

    return put


@pytest.fixture
def program(monkeypatch, tmp_path):
    """Puts a program into the path: a Python script that stands in for apt-get or npm and writes down its arguments."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    def put(name: str, body: str) -> Path:
        noted = tmp_path / f"{name}.arguments"
        head = f"#!{sys.executable}\nimport pathlib, shutil, sys\npathlib.Path({str(noted)!r}).write_text(' '.join(sys.argv[1:]))\n"
        (folder / name).write_text(head + body)
        (folder / name).chmod(0o755)
        return noted

    return put


# --------------------------------------------------------------------------- folders


def test_a_folder_takes_the_files_that_match_and_keeps_their_paths(tmp_path, listed):
    pages = {"p/html/a.html": b"A", "p/html/zh/b.html": "乙".encode(), "p/html/x.js": b"x", "p/other/c.html": b"C", "p/LICENSE": b"MIT"}
    archive = tar_of(tmp_path / "a.tgz", pages)
    listed(sample_of(archive, files={"p/LICENSE": "LICENSE"}, folders={"html": {"root": "p/html", "globs": ["*.html"]}}))
    folder = fetching.fetch("tiny", print, lambda entry, scratch: Path(shutil.copy(archive, scratch)))
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    del found[fetching.MARKER]
    assert found == {"LICENSE": b"MIT", "html/a.html": b"A", "html/zh/b.html": "乙".encode()}
    assert fetching.fetched("tiny")
    (folder / "html/a.html").write_bytes(b"changed")
    assert not fetching.fetched("tiny")


def test_a_changed_table_is_noticed_although_the_archive_is_the_same(tmp_path, listed):
    archive = tar_of(tmp_path / "a.tgz", {"p/a.html": b"A", "p/b.txt": b"B"})

    def copy(entry, scratch):
        return Path(shutil.copy(archive, scratch))

    listed(sample_of(archive, folders={"p": {"root": "p", "globs": ["*.html"]}}))
    fetching.fetch("tiny", print, copy)
    listed(sample_of(archive, folders={"p": {"root": "p", "globs": ["*"]}}))
    assert not fetching.fetched("tiny")
    folder = fetching.fetch("tiny", print, copy)
    assert sorted(path.name for path in (folder / "p").iterdir()) == ["a.html", "b.txt"]


def test_links_in_a_folder_are_left_out_and_counted(tmp_path):
    others = [link("p/s.html", tarfile.SYMTYPE), link("p/h.html", tarfile.LNKTYPE, "p/a.html"), link("p/f.html", tarfile.FIFOTYPE)]
    archive = tar_of(tmp_path / "a.tgz", {"p/a.html": b"A"}, *others)
    ready = tmp_path / "ready"
    ready.mkdir()
    taken = unpacking.unpack(sample_of(archive, folders={"p": {"root": "p", "globs": ["*"]}}), archive, ready)
    assert taken.links == 3
    assert [path.name for path in (ready / "p").iterdir()] == ["a.html"]


@pytest.mark.parametrize("name", ["p/../../evil", "p//etc/passwd", "p/a\\..\\b", "p/line\nbreak", "p/./../../evil"])
def test_a_member_that_leaves_its_folder_refuses_the_archive(tmp_path, name):
    archive = tar_of(tmp_path / "a.tgz", {"p/a.html": b"A", name: b"evil"})
    ready = tmp_path / "ready"
    ready.mkdir()
    with pytest.raises(InputError, match="leaves the archive"):
        unpacking.unpack(sample_of(archive, folders={"p": {"root": "p", "globs": ["*"]}}), archive, ready)
    assert not (tmp_path / "evil").exists()


def test_caps_on_members_and_bytes_hold(tmp_path, monkeypatch):
    archive = tar_of(tmp_path / "a.tgz", {f"p/{n}": b"12345" for n in range(10)})
    entry = sample_of(archive, folders={"p": {"root": "p", "globs": ["*"]}})
    for name, value, why in (("MOST_MEMBERS", 9, "more than 9 members"), ("LARGEST_TOTAL", 49, "more than 49 bytes together")):
        with monkeypatch.context() as patch:
            patch.setattr(unpacking, name, value)
            ready = tmp_path / name
            ready.mkdir()
            with pytest.raises(InputError, match=why):
                unpacking.unpack(entry, archive, ready)


def test_a_name_that_comes_twice_refuses_the_archive(tmp_path):
    archive = tmp_path / "a.tgz"
    with tarfile.open(archive, "w:gz") as out:
        for body in (b"one", b"two"):
            info = tarfile.TarInfo("p/a")
            info.size = len(body)
            out.addfile(info, io.BytesIO(body))
    (tmp_path / "ready").mkdir()
    with pytest.raises(InputError, match="in it twice"):
        unpacking.unpack(sample_of(archive, folders={"p": {"root": "p", "globs": ["*"]}}), archive, tmp_path / "ready")


def test_an_empty_folder_is_a_fault(tmp_path):
    archive = tar_of(tmp_path / "a.tgz", {"p/a.html": b"A"})
    (tmp_path / "ready").mkdir()
    with pytest.raises(InputError, match="no file below q"):
        unpacking.unpack(sample_of(archive, folders={"q": {"root": "q", "globs": ["*"]}}), archive, tmp_path / "ready")


def test_a_sample_holds_its_files_its_folders_and_what_is_below_them():
    entry = table.sample("debian-reference-en")
    assert all(entry.holds(place) for place in ("copyright", "debian-reference.pdf", "html", "html/ch01.en.html"))
    assert not any(entry.holds(place) for place in ("", "html/../copyright", "other", "copyright/x", "/html"))


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"files": {"a": "x/y"}},
        {"files": {"a": "x"}, "folders": {"x": {"root": "p", "globs": ["*"]}}},
        {"files": {"a": "x"}, "architecture": "all"},
        {"files": {"a": "x"}, "registry": "deb"},
    ],
)
def test_a_wrong_entry_of_the_table_is_refused(tmp_path, wrong):
    (tmp_path / "a").write_bytes(b"")
    with pytest.raises(ValidationError):
        sample_of(tmp_path / "a", **wrong)


def test_a_source_reads_a_folder_of_a_sample_and_refuses_what_is_not_there(tmp_path, listed):
    from sapwood.text.readers import quietly, read
    from sapwood.text.sources.files import Files

    archive = tar_of(tmp_path / "a.tgz", {"p/html/a.txt": "水".encode(), "p/html/zh/b.txt": b"B", "p/LICENSE": b"MIT"})
    listed(sample_of(archive, files={"p/LICENSE": "LICENSE"}, folders={"html": {"root": "p/html", "globs": ["*.txt"]}}))
    fetching.fetch("tiny", print, lambda entry, scratch: Path(shutil.copy(archive, scratch)))

    def texts(file: str) -> list[str]:
        files = Files(name="t", sample="tiny", file=file)
        return [row["text"] for batch in read(files, quietly(tmp_path)) for row in batch]

    assert texts("html") == ["水", "B"]
    assert texts("html/zh") == ["B"]
    for wrong in ("none", "html/none", "html/../html"):
        with pytest.raises(InputError):
            texts(wrong)
    assert "LICENSE, html/" in Files(name="t", sample="tiny", file="none").check(tmp_path)[0]


# --------------------------------------------------------------------------- Debian


def built(folder: Path) -> Path:
    """A Debian package with two pages, a copyright file, and a script that must not run."""
    tree = folder / "tree"
    (tree / "usr/share/doc/tiny/html").mkdir(parents=True)
    (tree / "DEBIAN").mkdir(mode=0o755)
    (tree / "DEBIAN/control").write_text(
        "Package: tiny\nVersion: 1:2.0-1\nArchitecture: all\nMaintainer: N <n@a.example>\nDescription: x\n"
    )
    (tree / "DEBIAN/preinst").write_text(f"#!/bin/sh\ntouch {folder}/trap\n")
    (tree / "DEBIAN/preinst").chmod(0o755)
    (tree / "usr/share/doc/tiny/copyright").write_text(COPYRIGHT)
    (tree / "usr/share/doc/tiny/html/a.html").write_text("<p>水</p>")
    (tree / "usr/share/doc/tiny/html/b.gz").write_bytes(gzip.compress(b"b"))
    (tree / "usr/share/doc/tiny/html/away.html").symlink_to("/etc/passwd")
    path = folder / "tiny_2.0-1_all.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "-b", str(tree), str(path)], check=True, capture_output=True)
    return path


def debian_sample(archive: Path, **fields) -> Sample:
    folders = {"html": {"root": "usr/share/doc/tiny/html", "globs": ["*.html"]}}
    files = {"usr/share/doc/tiny/copyright": "copyright"}
    return sample_of(archive, **{"registry": "deb", "form": "deb", "architecture": "all", "files": files, "folders": folders, **fields})


@needs_dpkg
def test_a_debian_package_is_asked_for_by_exact_version_shown_and_unpacked_without_its_scripts(tmp_path, listed, program):
    archive = built(tmp_path)
    noted = program("apt-get", f"shutil.copy({str(archive)!r}, '.')")
    listed(debian_sample(archive))
    said: list[str] = []
    folder = fetching.fetch("tiny", said.append)
    assert noted.read_text() == "-q download tiny=1:2.0-1"
    assert (folder / "html/a.html").read_text() == "<p>水</p>"
    assert sorted(path.name for path in (folder / "html").iterdir()) == ["a.html"]
    assert (folder / "copyright").read_text() == COPYRIGHT
    assert not (tmp_path / "trap").exists()
    assert any("copyright file says: GPL-2+" in line for line in said)
    assert any("1 links were left out" in line for line in said)


def test_a_mirror_with_another_version_says_both_ways_out(tmp_path, listed, program):
    (tmp_path / "a.deb").write_bytes(b"x")
    listed(debian_sample(tmp_path / "a.deb"))
    program("apt-get", "sys.stderr.write(\"E: Version '1:2.0-1' for 'tiny' was not found\\n\"); sys.exit(100)")
    with pytest.raises(InputError, match="the mirror has another version of tiny by now") as fault:
        fetching.fetch("tiny", print)
    assert "sapwood samples fetch tiny --available" in fault.value.next_step
    assert "--archive FILE takes tiny_1:2.0-1_all.deb" in fault.value.next_step


@needs_dpkg
def test_the_version_that_the_mirror_has_is_taken_when_asked_for_and_stands_from_then_on(tmp_path, listed, program):
    archive = built(tmp_path)
    entry = listed(debian_sample(archive, package="tiny==1:1.9-1", sha256="0" * 64))
    offer = f"'http://mirror.example/tiny.deb' tiny_1%3a2.0-1_all.deb {archive.stat().st_size} SHA256:{digest_of(archive)}"
    program("apt-get", f"print({offer!r}) if '--print-uris' in sys.argv else shutil.copy({str(archive)!r}, '.')")
    said: list[str] = []
    folder = fetching.fetch_available("tiny", said.append)
    assert (folder / "html/a.html").exists()
    assert "the mirror has tiny==1:2.0-1" in said[0]
    assert fetching.fingerprint("tiny") == digest_of(archive) != entry.sha256
    assert fetching.entry_of("tiny").package == "tiny==1:2.0-1"
    assert fetching.fetch("tiny", said.append) == folder
    listed(entry.model_copy(update={"sha256": "1" * 64}))
    assert fetching.fingerprint("tiny") == "1" * 64  # a newer table is not overruled by what was accepted for an older one


def test_a_pypi_sample_has_no_available_version():
    with pytest.raises(InputError, match="no Debian package"):
        fetching.fetch_available("china-law", print)


@pytest.mark.parametrize(
    ("stderr", "kind", "text"),
    [
        ("E: Unable to locate package tiny", NetworkError, "apt knows no package tiny"),
        ("E: Failed to fetch http://a.example/  No space left on device", ResourceError, "disk is full"),
        ("W: odd\nE: Failed to fetch http://a.example/ Could not connect", NetworkError, "Could not connect"),
    ],
)
def test_what_apt_says_becomes_one_clear_fault(tmp_path, stderr, kind, text):
    (tmp_path / "a.deb").write_bytes(b"")
    fault = debian._fault(debian_sample(tmp_path / "a.deb"), stderr)
    assert type(fault) is kind
    assert text in fault.what
    assert fault.next_step


@pytest.mark.parametrize(("registry", "tool"), [("deb", "apt-get"), ("npm", "npm")])
def test_a_machine_without_the_client_is_told_which_one_is_missing(tmp_path, listed, monkeypatch, registry, tool):
    (tmp_path / "a").write_bytes(b"")
    entry = debian_sample(tmp_path / "a") if registry == "deb" else sample_of(tmp_path / "a", files={"a": "a"})
    listed(entry)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NetworkError, match=f"this machine has no {tool}") as fault:
        fetching.fetch("tiny", print)
    assert "--archive" in fault.value.next_step


def test_prose_and_missing_copyright_files_are_said_so(tmp_path):
    for members, said in (
        ({"usr/share/doc/tiny/copyright": b"Upstream Author: N\n\nLicense: do what you like\n"}, "in prose"),
        ({"other": b""}, "no copyright file"),
        ({"usr/share/doc/tiny/copyright": (COPYRIGHT + "\nFiles: a\nLicense: MIT\n").encode()}, "GPL-2+, MIT"),
    ):
        archive = tar_of(tmp_path / "a.tgz", members)
        assert said in debian.licences(debian_sample(archive), archive)


# --------------------------------------------------------------------------- npm


def test_an_npm_package_is_packed_by_exact_version_without_scripts(tmp_path, listed, program):
    archive = tar_of(tmp_path / "tiny-2.0.0.tgz", {"package/zh.json": '["水"]'.encode()})
    noted = program("npm", f"shutil.copy({str(archive)!r}, sys.argv[-1])")
    listed(sample_of(archive, package="tiny==2.0.0", files={"package/zh.json": "zh.json"}))
    folder = fetching.fetch("tiny", print)
    assert json.loads((folder / "zh.json").read_text()) == ["水"]
    assert noted.read_text().startswith("pack tiny@2.0.0 --ignore-scripts --pack-destination ")


@pytest.mark.parametrize(
    ("stderr", "kind", "text"),
    [
        ("npm error code E404\nnpm error 404 Not Found", NetworkError, "registry does not have it (E404)"),
        ("npm ERR! code ETARGET", NetworkError, "registry does not have it (ETARGET)"),
        ("npm error code ECONNREFUSED", NetworkError, "could not download it (ECONNREFUSED)"),
        ("npm error code ENOSPC", ResourceError, "disk is full"),
    ],
)
def test_what_npm_says_becomes_one_clear_fault(stderr, kind, text):
    fault = npm._fault("tiny@1.0", stderr)
    assert type(fault) is kind
    assert text in fault.what


# --------------------------------------------------------------------------- the command


def test_the_command_takes_an_archive_from_elsewhere_only_if_it_is_the_one(tmp_path):
    (tmp_path / "wrong.tgz").write_bytes(b"not it")
    environment = {**os.environ, "SAPWOOD_CACHE": str(tmp_path / "cache")}

    def sapwood(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "sapwood.cli.main", "samples", "fetch", "naughty-words", *words]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)

    for words, said in (
        (("--archive", str(tmp_path / "wrong.tgz")), "the table says c34b05e10a97"),
        (("--archive", str(tmp_path / "none.tgz")), "no such file"),
        (("--archive", "x", "--available"), "exclude each other"),
        (("--available",), "no Debian package"),
    ):
        done = sapwood(*words)
        assert done.returncode == 4, done.stderr
        assert said in done.stderr
        assert "Traceback" not in done.stderr


def test_trees_are_told_apart_by_their_spec():
    one = Tree(root="p", globs=("*.html",))
    assert unpacking.spec(one) == unpacking.spec(Tree(root="p", globs=("*.html",)))
    assert unpacking.spec(one) != unpacking.spec(Tree(root="p", globs=("*",)))
