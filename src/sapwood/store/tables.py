"""Tables of the store (SQLAlchemy Core) and their ordered migrations. Nothing here is special to SQLite.

Times are seconds since 1970 in UTC. `artifacts` is an index that `reindex` rebuilds; every other table is the truth.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Connection,
    Engine,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    inspect,
)

from sapwood.errors import StoreError

metadata = MetaData()

READS = "sapwood_reads"
"""Execution option of an engine whose transactions only read (see `reads`)."""

SERIAL = BigInteger().with_variant(Integer, "sqlite")

schema = Table("schema", metadata, Column("version", Integer, primary_key=True))

artifacts = Table(
    "artifacts",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("kind", String(32), nullable=False, index=True),
    Column("files", Integer, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("created", Float, nullable=False),
)

results = Table(
    "results",
    metadata,
    Column("id", SERIAL, primary_key=True),
    Column("key", String(200), nullable=False, index=True),
    Column("name", String(200), nullable=False, index=True),
    Column("recorded", Float, nullable=False),
    Column("body", JSON, nullable=False),
)

edges = Table(
    "edges",
    metadata,
    Column("result", SERIAL, primary_key=True),
    Column("side", String(3), primary_key=True),  # in or out
    Column("digest", String(64), primary_key=True),
)
Index("edges_by_digest", edges.c.digest, edges.c.side)

runs = Table(
    "runs",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("status", String(16), nullable=False),
    Column("started", Float, nullable=False, index=True),
    Column("finished", Float),
    Column("seconds", Float),
    Column("recipe", JSON, nullable=False),
    Column("environment", JSON, nullable=False),
    Column("steps", JSON, nullable=False),
)

actions = Table(
    "actions",
    metadata,
    Column("key", String(200), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("step", String(200), nullable=False),
    Column("run", String(32), nullable=False),
    Column("result", JSON, nullable=False),
    Column("created", Float, nullable=False),
)

versions = Table(
    "versions",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("bundle", String(64), nullable=False),
    Column("model", String(64), nullable=False),
    Column("verdict", String(64), nullable=False),
    Column("parity", String(64), nullable=False),
    Column("run", String(32), nullable=False),
    Column("created", Float, nullable=False),
    UniqueConstraint("name", "bundle"),
)

aliases = Table(
    "aliases",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("alias", String(64), primary_key=True),
    Column("number", Integer, nullable=False),
)

alias_moves = Table(
    "alias_moves",
    metadata,
    Column("id", SERIAL, primary_key=True),
    Column("name", String(64), nullable=False, index=True),
    Column("alias", String(64), nullable=False),
    Column("previous", Integer),
    Column("number", Integer, nullable=False),
    Column("reason", String, nullable=False),
    Column("created", Float, nullable=False),
)

deployments = Table(
    "deployments",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("revision", Integer, primary_key=True, autoincrement=False),
    Column("routes", JSON, nullable=False),
    Column("note", String, nullable=False),
    Column("created", Float, nullable=False),
)

acknowledgements = Table(
    "acknowledgements",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("revision", Integer, primary_key=True, autoincrement=False),
    Column("gateway", String(200), primary_key=True),
    Column("created", Float, nullable=False),
)

cycles = Table(
    "cycles",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("key", String(200), nullable=False, unique=True),
    Column("model", String(64), nullable=False, index=True),
    Column("holds", String(64), unique=True),  # the model's name while the cycle is open, else NULL: one open cycle a name
    Column("state", String(16), nullable=False),
    Column("data", JSON, nullable=False),
    Column("history", JSON, nullable=False),
    Column("opened", Float, nullable=False),
    Column("updated", Float, nullable=False),
)


def reads(engine: Engine) -> Engine:
    """The same engine for transactions that only read: where writers are many or one, they are not made to wait."""
    return engine.execution_options(**{READS: True})


MIGRATIONS: tuple[Callable[[Connection], None], ...] = ()
"""Step n (from 0) takes a database from version n + 1 to n + 2. Each runs in the transaction that raises the version."""

VERSION = 1 + len(MIGRATIONS)


def prepare(engine: Engine, extra: tuple[MetaData, ...] = (), migrations: tuple[Callable[[Connection], None], ...] = MIGRATIONS) -> bool:
    """Create or migrate the tables, `extra` ones of higher rooms too. True when the database was new."""
    with engine.begin() as connection:
        present = set(inspect(connection).get_table_names())
        fresh = schema.name not in present
        if fresh:
            metadata.create_all(connection)
            connection.execute(schema.insert().values(version=1 + len(migrations)))
        else:
            _migrate(connection, migrations)
        for other in extra:
            if not set(other.tables) <= present:
                other.create_all(connection)
    return fresh


def _migrate(connection: Connection, migrations: tuple[Callable[[Connection], None], ...]) -> None:
    version = connection.execute(schema.select()).scalar_one()
    known = 1 + len(migrations)
    if version > known:
        raise StoreError(f"the store's database has version {version}, this Sapwood knows up to {known}", "upgrade sapwood")
    for number in range(version, known):
        migrations[number - 1](connection)
        connection.execute(schema.update().values(version=number + 1))
