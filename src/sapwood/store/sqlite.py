"""The embedded database: one SQLite file in WAL mode with full sync, for many processes of one host.

A transaction takes the write lock when it begins, so that reading and then writing in it cannot be overtaken; what only
reads says so with `reads(engine)` and then blocks nobody.
"""

from __future__ import annotations

import json
import os
import sqlite3
import weakref
from collections.abc import Callable
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from sqlalchemy import Engine, MetaData, create_engine, event
from sqlalchemy.engine import Connection, ExceptionContext

from sapwood.errors import Corrupt, ResourceError, StoreError
from sapwood.store import tables
from sapwood.store.layout import Layout, disk_full
from sapwood.store.leases import locked

WAIT_S = 30
_ROOMS = ("sapwood.watching.tables", "sapwood.serving.tables")
"""Rooms below the store that keep their records in the same database."""


def connect(layout: Layout, fill: Callable[[Engine], object]) -> Engine:
    """The engine, its tables made or migrated. A new database is given to `fill` before anybody else sees it."""
    engine = create_engine(
        f"sqlite:///{layout.database}",
        connect_args={"timeout": WAIT_S},
        json_serializer=partial(json.dumps, ensure_ascii=False),
    )
    event.listen(engine, "connect", _on_connect)
    event.listen(engine, "begin", _on_begin)
    event.listen(engine, "handle_error", partial(_on_error, layout), retval=True)
    weak = weakref.ref(engine)
    os.register_at_fork(after_in_child=lambda: _forget_connections(weak))
    with locked(layout.root / "leases" / "schema.lock"):
        if tables.prepare(engine, _rooms()):
            fill(engine)
    return engine


def check(engine: Engine) -> list[str]:
    """What SQLite's own integrity check finds."""
    with tables.reads(engine).connect() as connection:
        found = [str(row[0]) for row in connection.exec_driver_sql("PRAGMA integrity_check")]
    return [] if found == ["ok"] else [f"sapwood.db: {fault}" for fault in found]


def _rooms() -> tuple[MetaData, ...]:
    return tuple(import_module(name).metadata for name in _ROOMS if find_spec(name) is not None)


def _on_connect(connection: sqlite3.Connection, _: Any) -> None:
    connection.isolation_level = None  # transactions are begun by us, below
    cursor = connection.cursor()
    for pragma in (f"busy_timeout={WAIT_S * 1000}", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _on_begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN" if connection.get_execution_options().get(tables.READS) else "BEGIN IMMEDIATE")


def _on_error(layout: Layout, context: ExceptionContext) -> BaseException | None:
    """Say what is wrong with the file in Sapwood's words; other errors pass."""
    text = str(context.original_exception)
    if "disk is full" in text:
        full: ResourceError = disk_full(layout.root, str(layout.database))
        return full
    if "malformed" in text or "not a database" in text:
        return Corrupt(f"{layout.database}: {text}", "restore it, or move it away and run: sapwood store reindex")
    if "is locked" in text:
        return StoreError(f"{layout.database}: another process has held it for {WAIT_S} s", "find it with: fuser sapwood.db")
    if "readonly" in text or "unable to open" in text or "disk I/O error" in text:
        return StoreError(f"{layout.database}: {text}", "check the disk, and who owns the folder")
    return None


def _forget_connections(engine: weakref.ref[Engine]) -> None:
    """A child process must not use its parent's connections."""
    alive = engine()
    if alive is not None:
        alive.dispose(close=False)
