"""Sources are read as what they say they are, or refused with the place of the fault."""

import json
import os
import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from sapwood.errors import InputError
from sapwood.text import decode, rows
from sapwood.text.readers import quietly, read
from sapwood.text.sources.catalogue import AnySource, faults
from sapwood.text.sources.lines import desegment, untag
from sapwood.text.sources.tables import JsonFile

adapt = TypeAdapter(AnySource).validate_python


def rows_of(workspace: Path, skipped: Counter[str] | None = None, size: int = 4096, **spec):
    source = adapt({"name": "s", **spec})
    return [row for batch in read(source, quietly(workspace, print, skipped), size) for row in batch]


def texts(workspace: Path, **spec) -> list[str]:
    return [row["text"] for row in rows_of(workspace, **spec)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_lines_in_either_encoding_give_the_same_documents(tmp_path, encoding):
    (tmp_path / "a.txt").write_text("这本书很好看\r\n\n房间太小了 and noisy\n", encoding=encoding, newline="")
    skipped: Counter[str] = Counter()
    found = rows_of(tmp_path, skipped, kind="lines", path="a.txt", label="bad", license="CC0", language="zh")
    assert [row["text"] for row in found] == ["这本书很好看", "房间太小了 and noisy"]
    assert skipped == {"blank": 1}
    assert json.loads(found[0]["meta"]) == {"label": "bad"}
    assert found[1]["id"] == rows.document_id("s", "3")
    assert found[0]["collected_at"].endswith("+00:00")
    assert (found[0]["license"], found[0]["language"]) == ("CC0", "zh")


def test_tagged_and_segmented_text_is_joined_as_its_script_is_written():
    assert untag("[中央/n 人民/n 电台/n]nt  用/p  Windows/nx  NT/nx  １/m  ／/w  2/m") == "中央人民电台用Windows NT１／2"
    assert desegment("我 买 iPhone 15 pro 手机") == "我买iPhone 15 pro手机"


def test_a_dialogue_line_becomes_one_turn_a_line_without_its_label(tmp_path):
    (tmp_path / "d.txt").write_text("1\t什么 时候 发货\t在 的 客官<s>好 的\n")
    assert texts(tmp_path, kind="lines", path="d.txt", format="segmented", skip_columns=1, turns=["\t", "<s>"]) == [
        "什么时候发货\n在的客官\n好的"
    ]


def test_csv_and_jsonl_carry_text_label_and_id(tmp_path):
    (tmp_path / "a.csv").write_text('n,text,mood\n7,"a, b\nc",good\n8,d,\n')
    (tmp_path / "a.jsonl").write_text('{"n": 7, "text": "a, b\\nc", "mood": "good"}\n\n{"n": 8, "text": "d", "mood": ""}\n')
    one = rows_of(tmp_path, kind="csv", path="a.csv", label_column="mood", id_column="n")
    two = rows_of(tmp_path, kind="jsonl", path="a.jsonl", label_field="mood", id_field="n")
    columns = ("id", "text", "meta")
    assert [[row[c] for c in columns] for row in one] == [[row[c] for c in columns] for row in two]
    assert one[0]["text"] == "a, b\nc"
    assert [rows.meta(row) for row in one] == [{"label": "good"}, {}]


def test_sqlite_rows_come_in_the_order_of_their_id_with_their_title(tmp_path):
    with sqlite3.connect(tmp_path / "a.db") as db:
        db.execute('CREATE TABLE "odd ""name" (id INTEGER, body TEXT, law TEXT, no TEXT)')
        db.executemany(
            'INSERT INTO "odd ""name" VALUES (?,?,?,?)', [(2, "二", "法", "第二条"), (1, "一", "法", None), (3, None, "法", "x")]
        )
    db.close()
    skipped: Counter[str] = Counter()
    found = rows_of(tmp_path, skipped, kind="sqlite", path="a.db", table='odd "name', text_column="body", title_columns=["law", "no"])
    assert [row["text"] for row in found] == ["法\n一", "法 第二条\n二"]
    assert rows.meta(found[1]) == {"title": "法 第二条"}
    assert skipped == {"blank": 1}


def test_files_of_a_known_kind_are_one_document_each(tmp_path):
    (tmp_path / "in" / "sub").mkdir(parents=True)
    (tmp_path / "in" / "b.md").write_text("# two\r\n")
    (tmp_path / "in" / "sub" / "a.txt").write_text("one")
    (tmp_path / "in" / "c.bin").write_text("no")
    assert texts(tmp_path, kind="files", path="in") == ["# two\n", "one"]
    assert texts(tmp_path, kind="files", path="in", glob="sub/*") == ["one"]


@pytest.mark.parametrize(
    ("body", "spec", "fault"),
    [
        (b"", {}, "the file is empty"),
        (b"ok\nbad\0", {}, "line 2, byte 6: a NUL byte"),
        (b"ok\ncaf\xe9\n", {}, "line 2, byte 6: neither UTF-8 nor, with enough evidence, GB18030"),
        ("这是很长的一行正常的中文文字\n".encode() + b"\xff\n", {}, "line 2, byte 43"),
        ("x".encode("utf-16") + b"\0", {}, "not utf-16 text"),
        (b"text\na,b\n", {"kind": "csv"}, "line 2 has 2 columns, the header has 1"),
        (b'text\n"a\n', {"kind": "csv"}, "unexpected end of data"),
        (b"body\na\n", {"kind": "csv"}, "no column 'text'"),
        (b"\ntext\na\n", {"kind": "csv"}, "the first line is blank"),
        (b" ,\ntext,b\na,b\n", {"kind": "csv"}, "the first line is blank"),
        (b"\n", {"kind": "csv"}, "the first line is blank"),
        (b"i,text\n1,a\n1,b\n", {"kind": "csv", "id_column": "i"}, "the id '1' is used twice"),
        (b"no database, but long enough to look at", {"kind": "sqlite", "table": "t"}, "not a readable SQLite file"),
        (b"one\n", {"skip_columns": 1}, "line 1 has 1 columns"),
    ],
)
def test_a_fault_names_the_file_and_the_place(tmp_path, body, spec, fault):
    (tmp_path / "f").write_bytes(body)
    with pytest.raises(InputError, match=r"^f: ") as raised:
        texts(tmp_path, **{"kind": "lines", "path": "f", **spec})
    assert fault in raised.value.what
    assert raised.value.next_step


def test_a_line_over_the_limit_is_refused_unread(tmp_path):
    with (tmp_path / "f").open("wb") as out:
        out.write(b"short\n")
        out.truncate(50)
    (tmp_path / "g").write_bytes(b"short\n" + b"x" * 40)
    with pytest.raises(InputError, match="line 2 is longer than 10 bytes"):
        decode.encoding_of(tmp_path / "g", longest_line=10)


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "missing.txt", "link.txt", "folder"])
def test_a_path_must_be_a_file_inside_the_workspace(tmp_path, path):
    workspace = tmp_path / "w"
    (workspace / "folder").mkdir(parents=True)
    (tmp_path / "out.txt").write_text("x")
    os.symlink(tmp_path / "out.txt", workspace / "link.txt")
    source = adapt({"kind": "lines", "name": "s", "path": path})
    assert len(faults([source], workspace)) == 1
    with pytest.raises(InputError):
        list(read(source, quietly(workspace)))


@pytest.mark.parametrize("spec", [{}, {"path": "a", "sample": "b", "file": "c"}, {"sample": "china-law"}, {"path": "a", "tpye": 1}])
def test_a_source_says_exactly_one_place_and_no_unknown_field(spec):
    with pytest.raises(ValidationError):
        adapt({"kind": "lines", "name": "s", **spec})


def test_faults_tell_double_names_and_unknown_samples(tmp_path):
    specs = [{"kind": "lines", "name": "a", "sample": s, "file": "x"} for s in ("china-law", "chinalaw")]
    found = faults([adapt(spec) for spec in specs], tmp_path)
    assert len(found) == 3
    assert "its files are laws.db" in found[1]
    assert "did you mean china-law?" in found[2]


def test_the_fingerprint_follows_the_content_only(tmp_path):
    (tmp_path / "in").mkdir()
    file = tmp_path / "in" / "a.txt"
    file.write_text("one")
    specs = [adapt({"kind": "lines", "name": "a", "path": "in/a.txt"}), adapt({"kind": "files", "name": "b", "path": "in"})]
    before = [spec.fingerprint(tmp_path) for spec in specs]
    os.utime(file, (1, 1))
    assert [spec.fingerprint(tmp_path) for spec in specs] == before
    file.write_text("two")
    assert all(new != old for new, old in zip([s.fingerprint(tmp_path) for s in specs], before, strict=True))


@given(
    words=st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n"), max_size=30), min_size=1, max_size=20),
    size=st.integers(1, 7),
)
def test_documents_do_not_change_with_the_batch_size(tmp_path_factory, words, size):
    folder = tmp_path_factory.mktemp("w")
    (folder / "f").write_text("start\n" + "\n".join(words), encoding="utf-8", newline="")
    spec = {"kind": "lines", "path": "f", "limit": 9}
    assert rows_of(folder, size=size, **spec) == rows_of(folder, **spec)


def test_streamed_rows_have_the_bytes_of_rows_written_whole(tmp_path, monkeypatch):
    from sapwood.text import writer

    made = [rows.document("s", str(i), f"text {i}") for i in range(20_000)]
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    rows.write(tmp_path / "a", rows.table(made))
    with writer.Writer(tmp_path / "b") as out:
        for at in range(0, len(made), 777):
            out.add(made[at : at + 777])
    assert [s.read_bytes() for s in rows.shards(tmp_path / "a")] == [s.read_bytes() for s in rows.shards(tmp_path / "b")]
    assert out.count == 20_000


def test_a_json_file_gives_one_document_an_entry_with_its_title(tmp_path):
    (tmp_path / "a.json").write_text(
        '{"x": {"extract": "the text", "title": "Name"}, "y": {"extract": "更多", "title": "名"}}', encoding="utf-8"
    )
    source = JsonFile(name="s", path="a.json", text_field="extract", title_field="title")
    found = [row for batch in read(source, quietly(tmp_path)) for row in batch]
    assert [row["text"] for row in found] == ["Name\nthe text", "名\n更多"]
    assert found[0]["id"] == rows.document_id("s", "x")


def test_a_json_file_that_holds_something_else_says_so(tmp_path):
    for text, words in (("[1]", "is no object"), ('"a"', "no list"), ("{", "no JSON"), ('[{"b": 1}]', "no key 'text'")):
        (tmp_path / "a.json").write_text(text)
        with pytest.raises(InputError, match=words):
            list(read(JsonFile(name="s", path="a.json"), quietly(tmp_path)))


# --------------------------------------------------------------------------- other columns and the time


TABLE = [
    {"n": "1", "text": "The parcel came late", "customer": "ann", "written": "2026-03-01T09:30:00+02:00", "mood": "bad"},
    {"n": "2", "text": "发票没有收到", "customer": "王", "written": "2026-03-02", "mood": ""},
    {"n": "3", "text": "發票 has a wrong title", "customer": "", "written": "soon", "mood": "bad"},
    {"n": "4", "text": "def f(): pass", "customer": "ann", "written": "", "mood": ""},
]
COLUMNS = {"meta_columns": ["customer", "mood"], "time_column": "written"}
FIELDS = {"meta_fields": ["customer", "mood"], "time_field": "written"}
KINDS = [("csv", COLUMNS), ("sqlite", {"table": "t", "id_column": "n", **COLUMNS}), ("jsonl", FIELDS), ("json", FIELDS)]


def written(path: Path, kind: str, table: list[dict[str, str]] = TABLE) -> None:
    if kind == "csv":
        lines = [",".join(table[0]), *(",".join(row.values()) for row in table)]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    elif kind == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in table), encoding="utf-8")
    elif kind == "json":
        path.write_text(json.dumps(table), encoding="utf-8")
    else:
        with closing(sqlite3.connect(path)) as db, db:
            db.execute(f"CREATE TABLE t ({', '.join(table[0])})")
            db.executemany(f"INSERT INTO t VALUES ({', '.join('?' * len(table[0]))})", [tuple(row.values()) for row in table])


@pytest.mark.parametrize(("kind", "spec"), KINDS)
def test_named_columns_are_in_meta_and_the_time_is_the_rows_own(tmp_path, kind, spec):
    written(tmp_path / "f", kind)
    found = rows_of(tmp_path, kind=kind, path="f", **spec)
    assert [rows.meta(row) for row in found] == [
        {"customer": "ann", "mood": "bad"},
        {"customer": "王"},
        {"mood": "bad", "time": "soon"},
        {"customer": "ann"},
    ]
    assert [row["collected_at"] for row in found] == ["2026-03-01T07:30:00+00:00", "2026-03-02T00:00:00+00:00", "", ""]


@pytest.mark.parametrize(("kind", "spec"), KINDS)
@pytest.mark.parametrize("wrong", ["meta", "time"])
def test_a_column_that_is_missing_is_told_with_those_that_are_there(tmp_path, kind, spec, wrong):
    written(tmp_path / "f", kind)
    name = next(key for key in spec if key.startswith(wrong))
    with pytest.raises(InputError, match="'absent'") as raised:
        rows_of(tmp_path, kind=kind, path="f", **{**spec, name: ["mood", "absent"] if wrong == "meta" else "absent"})
    assert "n, text, customer, written, mood" in raised.value.next_step


@pytest.mark.parametrize("kind", ["jsonl", "json"])
def test_a_key_that_some_entries_lack_is_no_fault(tmp_path, kind):
    written(tmp_path / "f", kind, [{"text": "a"}, {"text": "b", "customer": "ann"}])
    assert [rows.meta(row) for row in rows_of(tmp_path, kind=kind, path="f", meta_fields=["customer"])] == [{}, {"customer": "ann"}]


def test_a_time_that_no_calendar_has_in_utc_stays_in_meta(tmp_path):
    (tmp_path / "f").write_text("text,when\na,0001-01-01T00:00:00+05:00\n")
    (found,) = rows_of(tmp_path, kind="csv", path="f", time_column="when")
    assert (found["collected_at"], rows.meta(found)) == ("", {"time": "0001-01-01T00:00:00+05:00"})


def test_groups_of_a_csv_can_be_split_by_a_column(tmp_path):
    import pyarrow as pa

    from sapwood.text import fields

    written(tmp_path / "f", "csv")
    found = pa.Table.from_pylist(rows_of(tmp_path, kind="csv", path="f", **COLUMNS))
    fields.required("meta.customer", found.schema)
    assert fields.values(found, "meta.customer") == ["ann", "王", "", "ann"]


# --------------------------------------------------------------------------- logs of SQLite


@contextmanager
def logged(path: Path) -> Iterator[sqlite3.Connection]:
    """A database with one row in its file and one, committed, in its write-ahead log, which stays while the connection is open."""
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA wal_autocheckpoint=0")
        with db:
            db.execute("CREATE TABLE t (id INTEGER, text TEXT)")
            db.execute("INSERT INTO t VALUES (1, 'in the file')")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        with db:
            db.execute("INSERT INTO t VALUES (2, '在日志里')")
        yield db


def test_rows_in_a_write_ahead_log_are_read(tmp_path):
    with logged(tmp_path / "a.db"):
        assert (tmp_path / "a.db-wal").stat().st_size
        before = [(tmp_path / name).read_bytes() for name in ("a.db", "a.db-wal")]
        assert texts(tmp_path, kind="sqlite", path="a.db", table="t") == ["in the file", "在日志里"]
        assert [(tmp_path / name).read_bytes() for name in ("a.db", "a.db-wal")] == before
    assert texts(tmp_path, kind="sqlite", path="a.db", table="t") == ["in the file", "在日志里"]


def test_a_row_added_to_the_log_changes_the_fingerprint(tmp_path):
    source = adapt({"kind": "sqlite", "name": "s", "path": "a.db", "table": "t"})
    with logged(tmp_path / "a.db") as db:
        file, first = (tmp_path / "a.db").read_bytes(), source.fingerprint(tmp_path)
        assert source.fingerprint(tmp_path) == first
        with db:
            db.execute("INSERT INTO t VALUES (3, 'later')")
        assert (tmp_path / "a.db").read_bytes() == file
        assert source.fingerprint(tmp_path) != first
    (tmp_path / "b").mkdir()
    shutil.copy(tmp_path / "a.db", tmp_path / "b" / "a.db")
    assert source.fingerprint(tmp_path / "b") == source.fingerprint(tmp_path), "without a log only the file counts"


def test_a_log_that_cannot_be_opened_is_refused_and_not_left_out(tmp_path):
    (tmp_path / "b").mkdir()
    with logged(tmp_path / "a.db"):
        for name in ("a.db", "a.db-wal"):
            shutil.copy(tmp_path / name, tmp_path / "b" / name)
    (tmp_path / "b" / "a.db-shm").symlink_to(
        "nowhere/at/all"
    )  # what SQLite must write there cannot be written, as in a folder that is read-only
    with pytest.raises(InputError, match=r"the changes in a\.db-wal cannot be read") as raised:
        texts(tmp_path / "b", kind="sqlite", path="a.db", table="t")
    assert "make its folder writable" in raised.value.next_step


def test_a_transaction_that_a_crash_cut_off_is_refused_and_not_read_half(tmp_path):
    (tmp_path / "b").mkdir()
    with closing(sqlite3.connect(tmp_path / "a.db")) as db:
        with db:
            db.execute("CREATE TABLE t (id INTEGER, text TEXT)")
            db.executemany("INSERT INTO t VALUES (?, ?)", [(number, "before " * 100) for number in range(200)])
        db.execute("PRAGMA cache_size=1")
        db.execute("UPDATE t SET text = replace(text, 'before', 'halfway')")
        for name in ("a.db", "a.db-journal"):
            shutil.copy(tmp_path / name, tmp_path / "b" / name)
    with pytest.raises(InputError, match=r"the changes in a\.db-journal cannot be read") as raised:
        texts(tmp_path / "b", kind="sqlite", path="a.db", table="t")
    assert raised.value.next_step


def test_an_id_used_twice_in_sqlite_asks_for_another_column(tmp_path):
    with closing(sqlite3.connect(tmp_path / "a.db")) as db, db:
        db.execute("CREATE TABLE t (id INTEGER, text TEXT)")
        db.executemany("INSERT INTO t VALUES (1, ?)", [("a",), ("b",)])
    with pytest.raises(InputError, match="the id '1' is used twice") as raised:
        texts(tmp_path, kind="sqlite", path="a.db", table="t")
    assert "all different" in raised.value.next_step
    assert "empty" not in raised.value.next_step
