"""Hostile files in a process of their own: each is refused or recorded by its name and a reason, within a cap of time and memory, and a
good file beside it is still read. Sizes that take long to write are scaled; `make soak` runs the full ones."""

import bz2
import gzip
import json
import lzma
import os
import signal
import subprocess
import sys
import time
import zipfile
import zlib
from io import BytesIO
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from sapwood.artifact import Documents
from sapwood.store.local import LocalStore
from sapwood.testing import papers
from sapwood.text import rows
from sapwood.text.sources import journal

GOOD = "a good file beside them, 旁边的好文件"
MEMORY = 1_500_000_000
RECIPE = """
name: hostile
stages:
  texts:
    stage: collect
    sources: [{kind: KIND, name: texts, path: PLACE}]
"""


def command(workspace: Path, kind: str, place: str) -> list[str]:
    (workspace / "r.yaml").write_text(RECIPE.replace("KIND", kind).replace("PLACE", place))
    return [sys.executable, "-m", "sapwood.cli.main", "run", "r.yaml", "--store", "store"]


DRIVER = """
import atexit, json, re, resource, sys
from pathlib import Path
from sapwood.errors import SapwoodError
from sapwood.stages.collect import Collect
from sapwood.artifact import Documents
from sapwood.store.local import LocalStore
from sapwood.testing.stages import make_work

def note() -> None:
    # not ru_maxrss of itself: that begins at what its parent held when it started it
    own = int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
    (workspace / "peak").write_text(str(max(own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)))

workspace, kind, place, store = Path.cwd(), *sys.argv[1:]
atexit.register(note)
stage = Collect.model_validate({"sources": [{"kind": kind, "name": "texts", "path": place}]})
try:
    found = stage.run(make_work(LocalStore(workspace / store), workspace / "scratch", workspace))
except SapwoodError as error:
    print(error, file=sys.stderr)
    sys.exit(error.exit_code)
(workspace / "found.json").write_text(json.dumps([found.documents.digest, found.failed.digest]))
"""


def run(workspace: Path, seconds: float, kind: str = "files", place: str = "in", expect: int = 0) -> str:
    """What collecting said on standard error. Checks exit code, time, peak memory with that of the children, and that no fault escaped."""
    began = time.monotonic()
    with (workspace / "err").open("wb") as err:
        process = subprocess.run([sys.executable, "-c", DRIVER, kind, place, "store"], cwd=workspace, stderr=err)
    told = (workspace / "err").read_text(errors="replace")
    assert process.returncode == expect, told
    assert "Traceback" not in told
    assert time.monotonic() - began < seconds, f"took {time.monotonic() - began:.0f} s"
    peak = int((workspace / "peak").read_text()) * 1024
    assert peak < MEMORY, f"peak of {peak / 1e6:.0f} MB"
    return told


def outputs(workspace: Path) -> tuple[dict[str, str], dict[str, str]]:
    """(path or address to text, path to reason) of what was collected last."""
    store = LocalStore(workspace / "store")
    kept, lost = (rows.read(store.open(Documents(digest))).to_pylist() for digest in json.loads((workspace / "found.json").read_text()))
    texts = {rows.meta(row).get("path", row["url"]): row["text"] for row in kept}
    return texts, {rows.meta(row)["path"]: rows.meta(row)["reason"] for row in lost}


def check(workspace: Path, seconds: float, reasons: dict[str, str], good: dict[str, str] | None = None) -> None:
    """Collect the folder `in`: these files fail with reasons that begin so, these and only these are read."""
    (workspace / "in" / "good.txt").write_text(GOOD, encoding="utf-8")
    run(workspace, seconds)
    kept, lost = outputs(workspace)
    assert kept == {"good.txt": GOOD, **(good or {})}
    assert set(lost) == set(reasons)
    assert {name: why for name, why in lost.items() if not why.startswith(reasons[name])} == {}


@pytest.fixture
def inbox(tmp_path):
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


def write(file: Path, piece: bytes, times: int) -> None:
    with file.open("wb") as out:
        for _ in range(times):
            out.write(piece)


def packed(opener, file: Path, megabytes: int) -> None:
    with opener(file, "wb") as out:
        for _ in range(megabytes):
            out.write(b" " * (1 << 20))


def objects(*bodies: bytes) -> bytes:
    """A PDF of these objects without a table of places, which readers mend; the first is the catalogue."""
    found = b"".join(b"%d 0 obj\n%b\nendobj\n" % (number, body) for number, body in enumerate(bodies, 1))
    return b"%PDF-1.4\n" + found + b"trailer << /Root 1 0 R /Size %d >>\n%%%%EOF\n" % (len(bodies) + 1)


def nested_pdfs(folder: Path, size: int) -> dict[str, str]:
    """PDFs of about `size` bytes that nest without end: arrays, dictionaries, page trees; and what each must fail with."""
    half = size // 2
    page = b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>"
    leaf = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] /Contents 4 0 R >>"
    catalog = b"<< /Type /Catalog /Pages 2 0 R >>"
    (folder / "array.pdf").write_bytes(objects(catalog, page, leaf, b"[" * half + b"]" * half))
    (folder / "root.pdf").write_bytes(objects(b"<< /Type /Catalog /Pages " + b"<< /A " * (size // 12) + b">> " * (size // 12)))
    count = size // 60
    tree = [b"<< /Type /Pages /Kids [%d 0 R] /Count 1 >>" % (number + 1) for number in range(2, count)]
    (folder / "tree.pdf").write_bytes(objects(catalog, *tree, leaf.replace(b"/Contents 4 0 R", b"")))
    return {"array.pdf": "no text", "root.pdf": "no text", "tree.pdf": "damaged"}


def test_deeply_nested_pdfs_are_recorded(tmp_path, inbox):
    check(tmp_path, 60, nested_pdfs(inbox, 4 << 20))


@pytest.mark.soak
def test_deeply_nested_pdfs_of_44_mb_are_recorded(tmp_path, inbox):
    check(tmp_path, 400, {**nested_pdfs(inbox, 44 << 20), "array.pdf": "too costly"})  # past the reader's 1 GB


def test_pdfs_that_repeat_themselves_or_swell_are_recorded(tmp_path, inbox):
    catalog = b"<< /Type /Catalog /Pages 2 0 R >>"
    leaf = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] /Contents 4 0 R /Resources << /XObject << /X 4 0 R >> >> >>"
    pages = b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>"
    (inbox / "cycle.pdf").write_bytes(objects(catalog, b"<< /Type /Pages /Kids [2 0 R 2 0 R] /Count 2 >>"))
    (inbox / "count.pdf").write_bytes(objects(catalog, b"<< /Type /Pages /Kids [3 0 R] /Count 2000000000 >>", leaf))
    swell = zlib.compress(b"q " * (200 << 20), 9)
    stream = b"<< /Length %d /Filter /FlateDecode >>\nstream\n%b\nendstream" % (len(swell), swell)
    (inbox / "swell.pdf").write_bytes(objects(catalog, pages, leaf, stream))
    form = (
        b"<< /Type /XObject /Subtype /Form /BBox [0 0 9 9] /Resources << /XObject << /X 4 0 R >> >> /Length 5 >>\nstream\n/X Do\nendstream"
    )
    (inbox / "form.pdf").write_bytes(objects(catalog, pages, leaf, form))
    check(tmp_path, 200, {"cycle.pdf": "damaged", "count.pdf": "no text", "swell.pdf": "too costly", "form.pdf": "no text"})


def check_packed_bombs(workspace: Path, folder: Path, megabytes: int, seconds: float) -> None:
    packed(gzip.open, folder / "a.txt.gz", megabytes)
    packed(bz2.open, folder / "b.html.bz2", megabytes)
    packed(lzma.open, folder / "c.pdf.xz", megabytes)
    packed(zstandard.open, folder / "d.md.zst", megabytes)
    (folder / "e.txt.gz").write_bytes(gzip.compress(gzip.compress(b"inside twice")))
    (folder / "f.txt.gz").write_bytes(gzip.compress(b"cut off before its end" * 9)[:-9])
    bombs = {"a.txt.gz": "too long", "b.html.bz2": "bzip2 bomb", "c.pdf.xz": "xz bomb", "d.md.zst": "too long"}
    check(workspace, seconds, {**bombs, "e.txt.gz": "not text: line 1, byte", "f.txt.gz": "damaged gzip data"})


def test_packed_bombs_are_refused_while_they_unpack(tmp_path, inbox):
    check_packed_bombs(tmp_path, inbox, 100, 60)


@pytest.mark.soak
def test_packed_bombs_of_4_gb_are_refused_while_they_unpack(tmp_path, inbox):
    check_packed_bombs(tmp_path, inbox, 4096, 300)


def test_a_packed_table_that_is_a_bomb_is_refused(tmp_path):
    lines = (b'{"text": "a"}' + b" " * 4000 + b"\n") * 5000
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(lines * 4))
    assert "gzip bomb" in run(tmp_path, 60, "jsonl", "a.jsonl.gz", expect=4)


def lying(archive: bytes) -> bytes:
    """The zip archive with every stated size of its members set to 10 bytes."""
    with zipfile.ZipFile(BytesIO(archive)) as opened:
        sizes = {info.file_size for info in opened.infolist() if info.file_size > 10}
    for size in sizes:
        archive = archive.replace(size.to_bytes(4, "little"), (10).to_bytes(4, "little"))
    return archive


def test_zip_bombs_and_xml_bombs_are_refused(tmp_path, inbox):
    laughs = "<!DOCTYPE r [<!ENTITY a 'ha'>" + "".join(
        f"<!ENTITY {b} '{f'&{a};' * 10}'>" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    )
    types = '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>'
    reading = '<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]><r>&x;</r>'
    swollen = b"<w>" + b" " * (100 << 20)
    (inbox / "bomb.docx").write_bytes(papers.archive({"word/document.xml": swollen}))
    (inbox / "lies.docx").write_bytes(lying(papers.archive({"word/document.xml": swollen, "[Content_Types].xml": types})))
    (inbox / "laughs.docx").write_bytes(papers.archive({"[Content_Types].xml": types, "word/document.xml": f"{laughs}]><r>&i;</r>"}))
    (inbox / "reads.docx").write_bytes(papers.archive({"[Content_Types].xml": types, "word/document.xml": reading}))
    (inbox / "utf16.docx").write_bytes(papers.archive({"word/document.xml": reading.encode("utf-16")}))
    (inbox / "deep.docx").write_bytes(papers.archive({"word/document.xml": "<r>" * 100_000 + "</r>" * 100_000}))
    (inbox / "laughs.epub").write_bytes(papers.archive({"META-INF/container.xml": f"{laughs}]><r>&i;</r>"}))
    (inbox / "many.epub").write_bytes(papers.archive({f"{number}.xhtml": "x" for number in range(10_001)}))
    (inbox / "away.epub").write_bytes(papers.epub({"../../../../etc/passwd": "<p>a member of that name, nothing more"}))
    (inbox / "page.epub").write_bytes(papers.epub({"a.xhtml": f"{laughs}]><html><body><p>&i;"}))
    reasons = {
        "bomb.docx": "zip bomb", "lies.docx": "damaged", "laughs.docx": "entities declared", "reads.docx": "entities declared",
        "utf16.docx": "entities declared", "deep.docx": "nested too deep", "laughs.epub": "entities declared",
        "many.epub": "too many members", "away.epub": "damaged",
    }  # fmt: skip
    check(tmp_path, 90, {**reasons, "page.epub": "entities declared"})


def test_deep_and_broken_pages_are_recorded_or_read(tmp_path, inbox):
    write(inbox / "deep.html", b"<div>", 200_000)
    (inbox / "balanced.html").write_bytes(b"<b>" * 100_000 + b"</b>" * 100_000)
    write(inbox / "brackets.html", b"<", 500_000)
    write(inbox / "long.html", b"word " * 1000, 2100)
    check(
        tmp_path,
        120,
        {"deep.html": "nested too deep", "balanced.html": "nested too deep", "long.html": "too long"},
        {"brackets.html": "<" * 500_000},
    )


def test_encodings_are_read_right_or_refused_by_name(tmp_path, inbox):
    hans, hant = "这个网页的编码写错了，是中文的文字。", "這個網頁的編碼寫錯了，是中文的文字。"
    (inbox / "gbk.html").write_bytes(f"<meta charset=utf-8><p>{hans}".encode("gbk"))
    (inbox / "gbk.txt").write_bytes(hans.encode("gbk"))
    (inbox / "big5.txt").write_bytes(hant.encode("big5"))
    (inbox / "big5.html").write_bytes(f"<meta charset=gb2312><p>{hant}".encode("big5"))
    (inbox / "utf8.html").write_bytes(f"<meta charset=big5><p>{hant}".encode())
    (inbox / "nul.txt").write_bytes(b"one\ntwo\0three")
    (inbox / "nul.html").write_bytes(b"<p>one\0two")
    (inbox / "surrogate.txt").write_bytes("中文字文字中文字文字".encode() + b"\xed\xa0\x80")
    (inbox / "cyrillic.txt").write_bytes("Эта книга объясняет, как обучить модель".encode("cp1251"))
    (inbox / "damaged.txt").write_bytes(f"{hans * 3}".encode()[:-1] + b"\xff and on")
    (inbox / "noise.txt").write_bytes(bytes(range(128, 256)) * 9)
    read = {"gbk.html": hans, "gbk.txt": hans, "big5.txt": hant, "big5.html": hant, "utf8.html": hant}
    lost = {
        "nul.txt": "not text: line 2, byte 7: a NUL byte", "nul.html": "not text: line 1, byte 6: a NUL byte",
        "surrogate.txt": "encoding: line 1, byte 30: damaged UTF-8",
        "cyrillic.txt": "encoding: line 1, byte 0: neither UTF-8 nor, with enough evidence, GB18030, Big5, Shift-JIS, EUC-KR, Windows-1252",
        "damaged.txt": "encoding: line 1, byte", "noise.txt": "encoding: line 1, byte 0: neither",
    }  # fmt: skip
    check(tmp_path, 60, lost, read)


def test_links_that_circle_or_leave_are_recorded(tmp_path, inbox):
    (tmp_path / "secret.txt").write_text("secret")
    (inbox / "sub").mkdir()
    os.symlink("../../secret.txt", inbox / "sub" / "away.txt")
    os.symlink("self.txt", inbox / "self.txt")
    os.symlink("..", inbox / "sub" / "up")
    os.symlink("/", inbox / "root")
    reasons = {
        "sub/away.txt": "link: it leaves",
        "self.txt": "link: it leads nowhere",
        "sub/up": "link: not followed",
        "root": "link: it leaves",
    }
    check(tmp_path, 60, reasons)


@pytest.mark.parametrize(
    ("kind", "body", "words"),
    [
        ("json", b"[" * 2_000_000, "is no JSON"),
        ("jsonl", b'{"text": "' + b"x" * (60 << 20), "line 1 is longer than"),
        ("csv", b'text\n"' + b"x" * (60 << 20), "line 2 is longer than"),
        ("lines", b"one\n" + b"x" * (60 << 20), "line 2 is longer than"),
    ],
)
def test_a_table_that_nests_or_never_ends_is_refused(tmp_path, kind, body, words):
    (tmp_path / "texts").write_bytes(body)
    assert words in run(tmp_path, 60, kind, "texts", expect=4)


def test_a_broken_line_of_json_is_one_recorded_failure_and_the_others_are_kept(tmp_path):
    bad = (b'{"text": ' + b"[" * 2_000_000, b'{"text"', b"[1]", b'{"body": "a"}', b'{"text": 5}')
    (tmp_path / "texts").write_bytes(b'{"text": "first"}\n' + b"\n".join(bad) + '\n{"text": "最后"}\n'.encode())
    run(tmp_path, 60, "jsonl", "texts")
    kept = LocalStore(tmp_path / "store").open(Documents(json.loads((tmp_path / "found.json").read_text())[0]))
    assert rows.read(kept).column("text").to_pylist() == ["first", "最后"]
    _, lost = outputs(tmp_path)
    reasons = ["no JSON", "no JSON", "no JSON object", "no key 'text'", "'text' is not a string"]
    assert [lost[f"texts: line {n}"].startswith(why) for n, why in enumerate(reasons, 2)] == [True] * 5


def test_json_lines_of_which_none_has_the_text_are_an_error_that_shows_them(tmp_path):
    (tmp_path / "texts").write_bytes(b'{"txt": "a"}\n' * 3)
    told = run(tmp_path, 60, "jsonl", "texts", expect=4)
    assert "nothing of it can be read (3 failed)" in told
    assert "texts: line 1: no key 'text': keys are txt" in told


@pytest.mark.soak
@pytest.mark.parametrize("kind", ["lines", "csv", "jsonl"])
def test_a_line_of_1_gb_is_refused_packed_too(tmp_path, kind):
    write(tmp_path / "texts", b"x" * (1 << 20), 1024)
    assert "line 1 is longer than" in run(tmp_path, 60, kind, "texts", expect=4)
    packed(zstandard.open, tmp_path / "texts", 1024)
    run(tmp_path, 60, kind, "texts", expect=4)


def test_columns_and_archives_that_swell_cost_no_memory(tmp_path, inbox):
    value = pa.array(["x" * 9_000_000, "short"])
    coded = pa.DictionaryArray.from_arrays(pa.array([0, 0, 0, 1] * 6, pa.int32()), value)
    pq.write_table(pa.table({"text": coded}), inbox / "a.parquet")
    (inbox / "b.parquet").write_bytes((inbox / "a.parquet").read_bytes()[:-200])
    run(tmp_path, 200, "parquet", "in")
    assert set(outputs(tmp_path)[1]) == {"b.parquet"}
    bomb = [("http://a.example/", "text/html", b" " * (100 << 20)), ("http://b.example/", "text/html", b"<p>words")]
    (tmp_path / "w.warc.gz").write_bytes(gzip.compress(papers.warc(bomb), 1))
    run(tmp_path, 60, "warc", "w.warc.gz")
    kept, lost = outputs(tmp_path)
    assert kept == {"http://b.example/": "words"}
    assert list(lost.values()) == ["too large: the page has more than 20 MB (max_mb)"]


def test_a_killed_collect_goes_on_and_gives_the_same_bytes(tmp_path, inbox):
    for number in range(120):
        (inbox / f"{number:03}.pdf").write_bytes(papers.pdf([f"page {page} of 文件 {number}" for page in range(150)]))
    process = subprocess.Popen(command(tmp_path, "files", "in"), cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 120
    while time.monotonic() < end and process.poll() is None:
        found = list((tmp_path / "store").rglob(journal.NAME))
        if found and found[0].stat().st_size > 100_000:
            break
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "it was to be killed before its end"
    (left,) = (tmp_path / "store").rglob(journal.NAME)
    lines = left.read_bytes().count(b"\n")
    assert 1 < lines < 120
    subprocess.run(command(tmp_path, "files", "in"), cwd=tmp_path, check=True, capture_output=True)
    assert not list((tmp_path / "store").rglob(journal.NAME))
    made = list(LocalStore(tmp_path / "store").results("collect"))[-1].outputs
    run(tmp_path, 120)
    assert [made["documents"].digest, made["failed"].digest] == json.loads((tmp_path / "found.json").read_text())
