"""Folders of files, columns and web archives become documents with their provenance; what is damaged is one failure."""

import bz2
import gzip
import json
import lzma
import os
from dataclasses import replace
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from pydantic import TypeAdapter, ValidationError

from sapwood.errors import InputError
from sapwood.testing import papers
from sapwood.text import rows
from sapwood.text.readers import quietly, read
from sapwood.text.sources.catalogue import AnySource, faults

adapt = TypeAdapter(AnySource).validate_python


def collected(workspace: Path, workers: int = 1, **spec):
    """(documents, failures as (locator, why), skipped reasons)."""
    failed, skipped = [], []
    quiet = quietly(workspace)
    reading = replace(quiet, failed=lambda *one: failed.append(one), skipped=skipped.append, workers=workers)
    found = [row for batch in read(adapt({"name": "s", **spec}), reading) for row in batch]
    return found, failed, skipped


@pytest.fixture
def manuals(tmp_path):
    folder = tmp_path / "in"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.txt").write_text("plain 文本")
    (folder / "b.html.gz").write_bytes(gzip.compress('<html lang="zh-TW"><title>頁</title><p>網頁的文字'.encode()))
    (folder / "c.pdf").write_bytes(papers.pdf(["page one", "第二页"], "PDF 标题"))
    (folder / "d.docx").write_bytes(papers.docx(["a paragraph"]))
    (folder / "sub" / "e.epub").write_bytes(papers.epub({"c.xhtml": "<html><body>chapter</body></html>"}, "Book", "en"))
    (folder / "sub" / "f.MD").write_text("# code\n\n    x = 1\n")
    (folder / "z.pdf").write_bytes(b"%PDF-1.7 broken")
    (folder / "skip.bin").write_bytes(b"\0")
    return tmp_path


def test_every_format_of_a_folder_is_a_document_with_path_title_and_language(manuals):
    found, failed, _ = collected(manuals, kind="files", path="in", license="CC0", language="en")
    assert [rows.meta(row)["path"] for row in found] == ["a.txt", "b.html.gz", "c.pdf", "d.docx", "sub/e.epub", "sub/f.MD"]
    assert [row["text"] for row in found] == [
        "plain 文本", "網頁的文字", "page one\n\n第二页", "a paragraph", "chapter", "# code\n\n    x = 1\n",
    ]  # fmt: skip
    assert [row["language"] for row in found] == ["en", "zh-TW", "en", "en", "en", "en"]
    assert rows.meta(found[2]) == {"pages": "2", "path": "c.pdf", "title": "PDF 标题"}
    assert found[2]["id"] == rows.document_id("s", "c.pdf")
    assert all(row["license"] == "CC0" and row["collected_at"].endswith("+00:00") for row in found)
    ((locator, why),) = failed
    assert (locator, why.partition(":")[0]) == ("z.pdf", "damaged")


def test_two_workers_give_what_one_gives(manuals):
    assert collected(manuals, 2, kind="files", path="in") == collected(manuals, 1, kind="files", path="in")


def test_one_file_is_a_source_and_glob_chooses(manuals):
    assert [row["text"] for row in collected(manuals, kind="files", path="in/d.docx")[0]] == ["a paragraph"]
    assert [row["text"] for row in collected(manuals, kind="files", path="in", glob="sub/*")[0]] == ["chapter", "# code\n\n    x = 1\n"]
    for path, words in (("in/skip.bin", "is not one of"), ("in/sub/none", "no such file")):
        assert words in faults([adapt({"kind": "files", "name": "s", "path": path})], manuals)[0]
    with pytest.raises(ValidationError, match="no encoding is called"):
        adapt({"kind": "files", "name": "s", "path": "in", "encoding": "klingon"})


def test_limits_of_a_source_are_failures_of_its_files(manuals):
    found, failed, _ = collected(manuals, kind="files", path="in", glob="c*", max_pages=1)
    assert not found
    assert failed == [("c.pdf", "too many pages: 2, the limit is 1")]
    with (manuals / "in" / "big.txt").open("wb") as out:
        out.truncate(1_000_001)
    assert collected(manuals, kind="files", path="in", glob="big*", max_mb=1)[1][0][1].startswith("too large: 1000001 bytes")


@pytest.mark.parametrize(
    ("suffix", "packing", "pack"),
    [
        (".gz", "gzip", gzip.compress),
        (".bz2", "bzip2", bz2.compress),
        (".xz", "xz", lzma.compress),
        (".zst", "zstandard", zstandard.compress),
    ],
)
def test_a_packed_file_that_is_damaged_is_named_so_and_plain_text_under_its_name_is_read(tmp_path, suffix, packing, pack):
    (tmp_path / "in").mkdir()
    whole = pack("文本 and text".encode() * 99)
    bodies = {"begin": whole[1:], "end": whole[:-6], "noise": b"\xff\xfb\0\x90" * 9}
    for name, body in bodies.items():
        (tmp_path / "in" / f"{name}.txt{suffix}").write_bytes(body)
    (tmp_path / "in" / f"whole.txt{suffix.upper()}").write_bytes(whole)
    (tmp_path / "in" / f"page.html{suffix}").write_bytes(bodies["noise"])
    (tmp_path / "in" / f"unpacked.txt{suffix}").write_text("不是压缩的 text", encoding="utf-8")
    found, failed, _ = collected(tmp_path, kind="files", path="in")
    assert [row["text"] for row in found] == ["不是压缩的 text", "文本 and text" * 99]
    assert {place.partition(".")[0]: why.partition(":")[0] for place, why in failed} == dict.fromkeys(
        (*bodies, "page"), f"damaged {packing} data"
    )


def test_endings_of_other_types_are_bounded_and_do_not_depend_on_the_order_of_the_folder(manuals):
    before = adapt({"kind": "files", "name": "s", "path": "in"}).fingerprint(manuals)
    for number in range(30):
        (manuals / "in" / f"a.x{number:02}").write_text("x")
    (manuals / "in" / "b.x29").write_text("x")
    _, _, skipped = collected(manuals, kind="files", path="in")
    assert skipped == ["other type"] * 11 + [f"other type: {end}" for end in (".bin", *(f".x{n:02}" for n in range(18)), ".x29", ".x29")]
    assert adapt({"kind": "files", "name": "s", "path": "in"}).fingerprint(manuals) != before


def test_links_are_recorded_and_not_followed(manuals):
    folder = manuals / "in"
    (manuals / "secret.txt").write_text("secret")
    os.symlink(manuals / "secret.txt", folder / "out.txt")
    os.symlink("a.txt", folder / "same.txt")
    os.symlink("loop.txt", folder / "loop.txt")
    os.symlink("..", folder / "sub" / "up")
    os.mkfifo(folder / "pipe.txt")
    found, failed, _ = collected(manuals, kind="files", path="in")
    assert len(found) == 6
    why = dict(failed)
    assert why["out.txt"] == why["sub/up"].replace("not followed; its target is read at its own place", "it leaves the folder")
    assert why["out.txt"] == "link: it leaves the folder"
    assert why["same.txt"].startswith("link: not followed")
    assert why["loop.txt"].startswith("link: it leads nowhere")
    assert why["pipe.txt"].startswith("not a plain file")


def test_a_name_that_is_no_utf8_is_still_a_file(tmp_path):
    (tmp_path / "in").mkdir()
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/in/\xff\xfe.html")).write_text("<p>words")
    found, failed, _ = collected(tmp_path, kind="files", path="in")
    assert (rows.meta(found[0])["path"], failed) == (r"\xff\xfe.html", [])


def test_the_fingerprint_follows_names_and_contents_of_folders(manuals, tmp_path):
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "in" / "t.parquet")
    (tmp_path / "in" / "w.warc").write_bytes(papers.warc([("http://a.example/", "text/html", b"<p>x")]))
    specs = [adapt({"kind": kind, "name": "s", "path": "in"}) for kind in ("files", "parquet", "huggingface", "warc")]
    seen = [spec.fingerprint(manuals) for spec in specs]
    assert [spec.fingerprint(manuals) for spec in specs] == seen
    (manuals / "in" / "a.txt").rename(manuals / "in" / "a2.txt")
    assert specs[0].fingerprint(manuals) != seen[0]
    (manuals / "in" / "t.parquet").rename(manuals / "in" / "t2.parquet")
    (manuals / "in" / "w2.warc").write_bytes(b"")
    assert all(spec.fingerprint(manuals) != old for spec, old in zip(specs, seen, strict=True))
    assert all(spec.size(manuals) > 0 for spec in specs)


def test_parquet_rows_carry_label_id_and_meta(tmp_path):
    (tmp_path / "in").mkdir()
    table = pa.table({"body": ["one", None, "", "二", "x" * 10], "no": [1, 2, 3, 4, 5], "mood": ["good", "bad", "", "", None]})
    pq.write_table(table, tmp_path / "in" / "b.parquet", row_group_size=2)
    (tmp_path / "in" / "a.parquet").write_bytes(b"PAR1 no")
    spec = {"kind": "parquet", "path": "in", "text_column": "body", "label_column": "mood", "meta_columns": ["no"]}
    found, failed, skipped = collected(tmp_path, **spec)
    assert [(row["text"], rows.meta(row)) for row in found] == [
        ("one", {"label": "good", "no": "1"}),
        ("二", {"no": "4"}),
        ("x" * 10, {"no": "5"}),
    ]
    assert [row["id"] for row in found] == [rows.document_id("s", f"b.parquet#{n}") for n in (0, 3, 4)]
    assert [(place, why.partition(":")[0]) for place, why in failed] == [("a.parquet", "damaged")]
    assert skipped == ["no text", "blank"]
    assert collected(tmp_path, **spec, id_column="no")[0][1]["id"] == rows.document_id("s", "4")
    assert collected(tmp_path, **{**spec, "text_column": "no"})[1][1] == ("b.parquet", "no text: column 'no' holds int64")


def test_documents_of_ours_read_back_as_a_parquet_source(tmp_path):
    (tmp_path / "in").mkdir()
    made = [rows.document("old", str(n), f"text {n} 中文", meta={"title": "t"}) for n in range(2000)]
    rows.write(tmp_path / "in", rows.table(made))
    found, _, _ = collected(tmp_path, kind="parquet", path="in", id_column="id", meta_columns=["source"])
    assert [row["text"] for row in found] == [row["text"] for row in made]
    assert rows.meta(found[0]) == {"source": "old"}


def test_a_saved_data_set_and_its_data_files_give_the_same_documents(tmp_path):
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["bad", "good"])})
    data = datasets.Dataset.from_dict({"text": ["one", "第二", "three"], "label": [1, 0, 1]}, features=features)
    datasets.DatasetDict({"train": data, "test": data.select([0])}).save_to_disk(tmp_path / "saved")
    (tmp_path / "hub" / "data").mkdir(parents=True)
    data.to_parquet(tmp_path / "hub" / "data" / "train-00000-of-00001.parquet")
    (tmp_path / "hub" / "data" / "test.jsonl.gz").write_bytes(gzip.compress(b'{"text": "one", "label": "good"}\n'))
    told = {}
    for path in ("saved", "hub"):
        for split in ("train", "test", ""):
            found, failed, _ = collected(tmp_path, kind="huggingface", path=path, split=split, label_column="label")
            assert not failed
            told[path, split] = sorted((row["text"], rows.meta(row)["label"]) for row in found)
    assert told["saved", "train"] == told["hub", "train"] == [("one", "good"), ("three", "good"), ("第二", "bad")]
    assert told["saved", "test"] == told["hub", "test"] == [("one", "good")]
    assert told["saved", ""] == told["hub", ""]
    assert (
        "no data file of split 'dev'" in faults([adapt({"kind": "huggingface", "name": "s", "path": "hub", "split": "dev"})], tmp_path)[0]
    )


def test_a_damaged_arrow_file_is_one_failure_and_its_neighbour_is_read(tmp_path):
    datasets.Dataset.from_dict({"text": ["one"]}).save_to_disk(tmp_path / "d")
    (tmp_path / "d" / "data-9.arrow").write_bytes(b"ARROW1 nonsense")
    found, failed, _ = collected(tmp_path, kind="huggingface", path="d")
    assert [row["text"] for row in found] == ["one"]
    assert [(place, why.partition(":")[0]) for place, why in failed] == [("data-9.arrow", "damaged")]


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_web_archive_gives_pages_with_address_and_time(tmp_path, pack):
    pages = [
        ("http://a.example/1", "text/html; charset=utf-8", b'<html lang="en"><title>T</title><p>first'),
        ("http://a.example/2", "text/html; charset=utf-8", "<p>这个网页的编码写错了，是中文的".encode("gbk")),
        ("http://a.example/3", "image/png", b"\x89PNG"),
        ("http://a.example/4", "text/plain", "plain 文本".encode()),
        ("http://a.example/5", "text/html", b"<p>bad \xff\xfe\0"),
    ]
    (tmp_path / "w.warc.gz").write_bytes(pack(papers.warc(pages)))
    found, failed, skipped = collected(tmp_path, kind="warc", path="w.warc.gz")
    assert [(row["url"][-1], row["text"]) for row in found] == [
        ("1", "first"),
        ("2", "这个网页的编码写错了，是中文的"),
        ("4", "plain 文本"),
    ]
    assert (found[0]["collected_at"], found[0]["language"]) == ("2024-05-01T10:00:00+00:00", "en")
    assert rows.meta(found[0]) == {"title": "T"}
    assert found[0]["id"] == rows.document_id("s", "urn:uuid:00000000-0000-4000-8000-000000000000")
    assert [place[-1] for place, _ in failed] == ["4"]
    assert skipped == ["no page: not HTML, text or PDF"]


def test_an_archive_that_breaks_off_keeps_what_was_read(tmp_path):
    body = papers.warc([(f"http://a.example/{n}", "text/html", b"<p>words") for n in range(3)])
    (tmp_path / "a.warc.gz").write_bytes(gzip.compress(body)[:-40])
    (tmp_path / "b.warc").write_bytes(b"no archive at all")
    found, failed, _ = collected(tmp_path, kind="warc", path=".")
    assert [place for place, _ in failed] == ["a.warc.gz", "b.warc"]
    assert all(why.startswith("damaged") for _, why in failed)
    assert len(found) <= 3
    (tmp_path / "c.warc").write_bytes(papers.warc([("http://a.example/", "text/html", b"<p>x")], "404 Not Found") + body + body)
    found, failed, skipped = collected(tmp_path, kind="warc", path="c.warc")
    assert (len(found), len(failed), skipped) == (3, 3, ["no page: the answer was not 200"])
    assert {why for _, why in failed} == {"repeated: another record has the same id"}


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_tables_and_lines_read_packed_files(tmp_path, suffix):
    pack = gzip.compress if suffix else bytes
    (tmp_path / f"a.csv{suffix}").write_bytes(pack("text,n\n這是一個很好的測試，我們的文字,1\n".encode("big5")))
    (tmp_path / f"a.jsonl{suffix}").write_bytes(pack(json.dumps({"text": "half \ud800"}).encode()))
    (tmp_path / f"a.json{suffix}").write_bytes(pack(b'[{"text": "j"}]'))
    (tmp_path / f"a.txt{suffix}").write_bytes(pack("line".encode("utf-16")))
    found = {kind: collected(tmp_path, kind=kind, path=f"a.{end}{suffix}")[0][0]["text"] for kind, end in
             (("csv", "csv"), ("jsonl", "jsonl"), ("json", "json"), ("lines", "txt"))}  # fmt: skip
    assert found == {"csv": "這是一個很好的測試，我們的文字", "jsonl": "half \ufffd", "json": "j", "lines": "line"}
    assert collected(tmp_path, kind="csv", path=f"a.csv{suffix}", encoding="big5")[0][0]["text"].startswith("這")
    with pytest.raises(InputError, match="not utf-8 text"):
        collected(tmp_path, kind="csv", path=f"a.csv{suffix}", encoding="utf-8")
