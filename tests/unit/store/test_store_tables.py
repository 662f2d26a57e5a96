"""Migrations run in order, once; a database of a newer program is not touched."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, create_engine, inspect, text

from sapwood.errors import StoreError
from sapwood.store import tables
from sapwood.store.local import LocalStore


def test_migrations_run_in_order_and_once(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'x.db'}")
    ran: list[int] = []
    steps = (lambda connection: ran.append(1), lambda connection: ran.append(2))
    assert tables.prepare(engine, migrations=()) is True
    assert tables.prepare(engine, migrations=steps) is False
    assert tables.prepare(engine, migrations=steps) is False
    assert ran == [1, 2]


def test_a_new_database_needs_no_migration(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'x.db'}")
    assert tables.prepare(engine, migrations=(lambda connection: pytest.fail("it ran"),))


def test_a_migration_that_fails_changes_nothing(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")

    def failing(connection) -> None:
        connection.execute(text("create table half (n integer)"))
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        tables.prepare(store.engine, migrations=(failing,))
    assert "half" not in inspect(store.engine).get_table_names()
    assert LocalStore(tmp_path / "store").artifacts() == []


def test_a_database_of_a_newer_program_is_refused(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    with store.engine.begin() as connection:
        connection.execute(tables.schema.update().values(version=tables.VERSION + 1))
    with pytest.raises(StoreError, match="this Sapwood knows up to") as refused:
        LocalStore(tmp_path / "store").artifacts()
    assert "upgrade" in refused.value.next_step


def test_tables_of_other_rooms_are_made_also_in_an_old_database(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'x.db'}")
    tables.prepare(engine)
    other = MetaData()
    Table("extra", other, Column("n", Integer))
    tables.prepare(engine, (other,))
    tables.prepare(engine, (other,))
    assert "extra" in inspect(engine).get_table_names()


def test_the_local_database_is_durable_and_patient(tmp_path: Path) -> None:
    with LocalStore(tmp_path / "store").engine.connect() as connection:
        pragmas = {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous", "busy_timeout")}
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "busy_timeout": 30_000}


def test_who_only_reads_waits_for_nobody(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    run = store.records.start_run("run", {})
    with store.engine.begin() as writing:
        writing.execute(tables.runs.update().values(name="changed"))
        assert store.records.run(run.id).name == "run"
    assert store.records.run(run.id).name == "changed"
