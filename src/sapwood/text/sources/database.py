"""Rows of a SQL database, through SQLAlchemy: one document a row of a table or of a query.

The database's URL comes from an environment variable that the recipe names, so no password stands in a recipe, a run or an artifact.
A SQLite file of the workspace is named by its path. Rows are read in the order of their id through a cursor on the server where the
driver has one (PostgreSQL, MySQL), 500 at once. Nothing is written: SQLite is opened read-only, PostgreSQL and MySQL get a read-only
transaction, and only one SELECT is accepted; for other databases give an account that may only read.

With `since_column` the fingerprint is its highest value and the number of rows, so an unchanged table is not read again. A change that
leaves both as they were is not seen. Without it, a SQLite file of the workspace is told by its bytes and those of its write-ahead log.
A killed reading begins anew, because the rows may have changed. Memory: 100 bytes a row.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self
from urllib.parse import quote

from pydantic import Field, model_validator

from sapwood.errors import InputError, NetworkError, SapwoodError
from sapwood.text.sources.source import Reading, Row, Source, place
from sapwood.text.sources.tables import identified, sqlite_digest, timed

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection, Select

AT_ONCE = 500
READ_ONLY = {"postgresql": "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY", "mysql": "SET TRANSACTION READ ONLY"}
DRIVERS = {"postgresql": "psycopg[binary]", "mysql": "pymysql", "mariadb": "pymysql", "oracle": "oracledb", "mssql": "pyodbc"}
SELECT = re.compile(r"\s*(select|with)\b", re.IGNORECASE)


class Database(Source):
    """One document a row of a table or query."""

    kind: Literal["database"] = Field("database", description="Rows of a SQL database.")
    variable: str = Field(
        "",
        pattern=r"^([A-Za-z_]\w*)?$",
        description="Environment variable with the database's URL, such as postgresql://reader:...@host/sales.",
    )
    path: str = Field("", description="SQLite file, relative to the workspace, instead of a variable.")
    table: str = Field("", description="Table or view to read, with its schema if it has one (sales.tickets).")
    query: str = Field("", description="One SELECT to read, instead of a table.")
    text_column: str = Field("text", min_length=1, description="Column with the text.")
    id_column: str = Field("id", min_length=1, description="Column that identifies a row; rows are read in its order.")
    label_column: str = Field("", description="Column with the label, written to meta.label.")
    time_column: str = Field("", description="Column with the time of the row, written to collected_at.")
    since_column: str = Field(
        "", description="Column that grows with every change, such as updated_at; unchanged, the rows are not read again."
    )

    @model_validator(mode="after")
    def _one_of_each(self) -> Self:
        if bool(self.variable) == bool(self.path):
            raise ValueError("give either variable or path")
        if bool(self.table) == bool(self.query):
            raise ValueError("give either table or query")
        if self.query and (not SELECT.match(self.query) or ";" in self.query.rstrip().removesuffix(";")):
            raise ValueError("query must be one SELECT")
        return self

    def check(self, workspace: Path) -> list[str]:
        try:
            _url(self, workspace)
        except SapwoodError as fault:
            return [f"source {self.name}: {fault.what.removeprefix(f'source {self.name}: ')}; {fault.next_step}"]
        return []

    def fingerprint(self, workspace: Path) -> str | None:
        if not self.since_column:
            return sqlite_digest(place(self, workspace)) if self.path else None
        import sqlalchemy as sql

        with _connected(self, workspace) as connection:
            _columns(self, connection, (self.since_column,))
            mark: Any = sql.select(sql.func.max(sql.column(self.since_column)), sql.func.count()).select_from(_rows_of(self))
            highest, count = connection.execute(mark).one()
            return hashlib.sha256(f"{_named(_url(self, workspace))}\0{highest!s}\0{count}".encode()).hexdigest()

    def size(self, workspace: Path) -> int:
        return place(self, workspace).stat().st_size if self.path else 0

    def rows(self, reading: Reading) -> Iterator[Row]:
        return identified(_read(self, reading), Path(self.table or "query"))


def _read(source: Database, reading: Reading) -> Iterator[Row]:
    with _connected(source, reading.workspace) as connection:
        named = [source.id_column, source.text_column, source.label_column, source.time_column]
        _columns(source, connection, tuple(name for name in named if name))
        streamed = connection.execution_options(stream_results=True, yield_per=AT_ONCE)
        for ident, text, label, time in streamed.execute(_select(source)):
            if ident is None:
                raise InputError(f"source {source.name}: a row has no {source.id_column}", "name a column that identifies every row")
            meta = {"label": str(label)} if label not in (None, "") else {}
            yield Row(str(ident), _text(text), meta, collected_at=timed(time, meta))


def _select(source: Database) -> Select[Any]:
    import sqlalchemy as sql

    ident: Any = sql.column(source.id_column)
    columns = [sql.column(name) if name else sql.null() for name in (source.label_column, source.time_column)]
    # the names were found among the columns and are quoted, so nothing of them is run as SQL
    return sql.select(ident, sql.column(source.text_column), *columns).select_from(_rows_of(source)).order_by(ident)


def _rows_of(source: Database) -> Any:
    import sqlalchemy as sql

    if source.query:
        inner = source.query.rstrip().removesuffix(";").replace(":", r"\:")  # a colon is no parameter here
        return sql.text(f"({inner}\n) AS rows_of_query")
    schema, _, name = source.table.rpartition(".")
    return sql.table(name, schema=schema or None)


def _columns(source: Database, connection: Connection, wanted: tuple[str, ...]) -> None:
    """Raises `InputError` for a table or column that is not there, with those that are."""
    import sqlalchemy as sql

    try:
        empty: Any = connection.execute(sql.select(sql.literal_column("*")).select_from(_rows_of(source)).where(sql.false()))
    except sql.exc.DBAPIError as fault:
        if source.query:
            raise InputError(f"source {source.name}: the query is refused ({_said(fault)})", "mend the query") from None
        schema = source.table.rpartition(".")[0] or None
        looked = sql.inspect(connection.engine)
        tables = sorted([*looked.get_table_names(schema), *looked.get_view_names(schema)])
        shown = ", ".join(tables[:50]) or "none"
        raise InputError(f"source {source.name}: no table {source.table!r} ({_said(fault)})", f"tables are {shown}") from None
    found = list(empty.keys())
    for name in wanted:
        if name not in found:
            raise InputError(f"source {source.name}: no column {name!r}", f"columns are {', '.join(found)}")


# --------------------------------------------------------------------------- connections


@contextmanager
def _connected(source: Database, workspace: Path) -> Iterator[Connection]:
    """A connection whose transaction is rolled back at the end. Faults of the database become errors without its password."""
    import sqlalchemy as sql
    from sqlalchemy.pool import NullPool

    url = _url(source, workspace)
    try:
        engine = sql.create_engine(url, poolclass=NullPool)
    except (sql.exc.NoSuchModuleError, ModuleNotFoundError) as fault:
        package = DRIVERS.get(url.get_backend_name(), "a SQLAlchemy driver for it")
        raise InputError(f"source {source.name}: no driver for {url.drivername} ({fault})", f"pip install '{package}'") from None
    try:
        with engine.connect() as connection:
            if statement := READ_ONLY.get(connection.dialect.name):
                connection.execute(sql.text(statement))
            yield connection
    except sql.exc.OperationalError as fault:
        raise NetworkError(
            f"source {source.name}: {_named(url)} does not answer ({_said(fault, url)})", "check the URL and the server"
        ) from None
    except sql.exc.SQLAlchemyError as fault:
        raise InputError(
            f"source {source.name}: {_named(url)}: {_said(fault, url)}", "check the table, the query and the account"
        ) from None
    finally:
        engine.dispose()


def _url(source: Database, workspace: Path) -> URL:
    import sqlalchemy as sql

    if source.path:
        found = place(source, workspace)
        if found.stat().st_size == 0:
            raise InputError(f"source {source.name}: {source.path} is empty", "check that it was written completely")
        return sql.make_url(f"sqlite:///file:{quote(str(found))}?mode=ro&uri=true")
    stated = os.environ.get(source.variable, "")
    if not stated:
        raise InputError(f"source {source.name}: the environment variable {source.variable} is not set", "set it to the database's URL")
    try:
        url = sql.make_url(stated)
    except sql.exc.ArgumentError:  # its message may hold the password
        shape = "dialect://user:password@host/database"
        raise InputError(f"source {source.name}: {source.variable} holds no database URL", f"write it as {shape}") from None
    if url.get_backend_name() == "sqlite" and url.database and not url.database.startswith("file:"):
        return sql.make_url(f"sqlite:///file:{quote(str(Path(url.database).resolve()))}?mode=ro&uri=true")
    return url


def _named(url: URL) -> str:
    """The database without user and password."""
    return f"{url.get_backend_name()}://{url.host or ''}{f':{url.port}' if url.port else ''}/{url.database or ''}"


def _said(fault: Exception, url: URL | None = None) -> str:
    """The database's own words in one line, without the statement and without the password."""
    said = " ".join(str(getattr(fault, "orig", None) or fault).split())[:300]
    return said.replace(str(url.password), "***") if url is not None and url.password else said


# --------------------------------------------------------------------------- values


def _text(value: Any) -> str:
    """A cell as text. Bytes are UTF-8 with faults replaced; half a surrogate pair becomes U+FFFD."""
    if value is None:
        return ""
    if isinstance(value, bytes | memoryview):
        return bytes(value).decode("utf-8", "replace")
    return str(value).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
