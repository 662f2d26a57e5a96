"""The tables of what happened in production: `responses` and `feedback`.

Times are UNIX seconds (UTC). Every free text in them was masked before it came here.
The store makes the tables when it is opened (`metadata.create_all` does so elsewhere).
"""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, Boolean, Column, Engine, Float, Index, Integer, MetaData, String, Table, Text

metadata = MetaData()

ORDER = BigInteger().with_variant(Integer, "sqlite")

responses = Table(
    "responses",
    metadata,
    Column("seq", ORDER, primary_key=True, autoincrement=True),
    Column("id", String(29), nullable=False, unique=True),
    Column("created", Float, nullable=False),
    Column("model", String(128), nullable=False),
    Column("version", Integer, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("bundle", String(64), nullable=False),
    Column("model_digest", String(64), nullable=False),
    Column("text", Text, nullable=False),
    Column("output", JSON, nullable=False),
    Column("masked", JSON, nullable=False),
    Column("latency_ms", Float, nullable=False),
    Column("key_id", String(64), nullable=False),
    Column("session_id", String(128), nullable=False),
    Index("responses_model_seq", "model", "seq"),
)

feedback = Table(
    "feedback",
    metadata,
    Column("seq", ORDER, primary_key=True, autoincrement=True),
    Column("id", String(128), nullable=False, unique=True),
    Column("content", String(64), nullable=False),  # digest of what was sent: tells a repeat from a clash
    Column("created_at", Float, nullable=False),
    Column("key_id", String(64), nullable=False),
    Column("name", String(64), nullable=False),
    Column("data_type", String(16), nullable=False),
    Column("value", Float),
    Column("string_value", Text),
    Column("explanation", Text, nullable=False),
    Column("source_type", String(16), nullable=False),
    Column("source_id", String(128), nullable=False),
    Column("trace_id", String(128)),
    Column("span_id", String(128)),
    Column("response_id", String(128)),
    Column("session_id", String(128)),
    Column("item_id", String(128)),
    Column("user_id", String(128)),
    Column("correction", String(512)),
    Column("model_version", Integer),
    Column("trusted", Boolean, nullable=False),
    Column("quarantine", Text, nullable=False),
    Column("consumed_by", String(128), nullable=False),
    Index("feedback_response", "response_id"),
    Index("feedback_key_day", "key_id", "created_at"),
)


def reads(engine: Engine) -> Engine:
    """The same engine for transactions that only read: the store's SQLite then takes no write lock for them."""
    return engine.execution_options(sapwood_reads=True)
