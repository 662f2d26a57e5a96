"""Feedback: what people and judges say about a served answer, kept as untrusted until its key says otherwise.

A score's `id` is the client's idempotency key. A `correction` is an expectation: the label the answer should have had;
only corrections become training examples. Two corrections of one response that disagree are not both kept in use: the
less trusted one goes to quarantine, and both do when they are trusted alike.

Not done here: no model of annotators, no detection of coordinated keys beyond the quota; a trusted key is believed.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

import rfc8785
from pydantic import BaseModel, ConfigDict, Field, model_validator
from sqlalchemy import Connection, Engine, RowMapping, and_, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from sapwood.errors import InputError, NotFound, SapwoodError, StoreError
from sapwood.watching.log import Masker, Response, ResponseLog, default_mask
from sapwood.watching.tables import feedback, reads, responses

ID = r"^[A-Za-z0-9._:-]{1,128}$"
DAY_S = 86_400


class Conflict(StoreError):
    """The id was already used for other content."""


class OverQuota(SapwoodError):
    """The key has said enough for today. `retry_after_s` is the time to the next UTC day."""

    exit_code = 6

    def __init__(self, what: str, retry_after_s: int) -> None:
        super().__init__(what, f"send it again in {retry_after_s} s, or raise the quota")
        self.retry_after_s = retry_after_s


class Source(BaseModel):
    """Who or what gave the score."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    source_type: Literal["HUMAN", "LLM_JUDGE", "CODE"] = Field("HUMAN", description="Kind of the source; only HUMAN can be trusted.")
    source_id: str = Field("", max_length=128, description="Who, in your own ids; personal data in it is masked.")


class Score(BaseModel):
    """One piece of feedback, as a client sends it. Exactly one target; `response_id` is the one served today."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())
    id: str | None = Field(None, pattern=ID, description="Your idempotency key; made for you when absent.")
    name: str = Field("correction", pattern=r"^[A-Za-z0-9._:-]{1,64}$", description="What is scored, such as correction or helpful.")
    data_type: Literal["NUMERIC", "CATEGORICAL", "BOOLEAN", "TEXT"] = Field(
        "CATEGORICAL", description="Which of value and string_value holds it."
    )
    value: float | None = Field(None, allow_inf_nan=False, description="The number; 0 or 1 for BOOLEAN.")
    string_value: str | None = Field(None, max_length=4000, description="The category or text.")
    explanation: str = Field("", max_length=4000, description="Why; masked before it is stored.")
    source: Source = Field(Source(), description="Who or what gave the score.")
    trace_id: str | None = Field(None, pattern=ID, description="Target: a trace. Not served yet.")
    span_id: str | None = Field(None, pattern=ID, description="Target: a span. Not served yet.")
    response_id: str | None = Field(None, pattern=ID, description="Target: a served answer.")
    session_id: str | None = Field(None, pattern=ID, description="Target: a session. Not served yet.")
    item_id: str | None = Field(None, pattern=ID, description="Target, with user_id: an item. Not served yet.")
    user_id: str | None = Field(None, pattern=ID, description="Goes with item_id.")
    correction: str | None = Field(None, min_length=1, max_length=512, description="The label the answer should have had.")
    model_version: int | None = Field(None, ge=1, description="The version that answered; filled from the response.")

    @model_validator(mode="after")
    def _one_target_one_value(self) -> Score:
        targets = [self.trace_id, self.span_id, self.response_id, self.session_id, self.item_id]
        if sum(target is not None for target in targets) != 1:
            raise ValueError("exactly one of response_id, trace_id, span_id, session_id, item_id must be given")
        if (self.item_id is None) != (self.user_id is None):
            raise ValueError("item_id and user_id go together")
        if self.data_type == "BOOLEAN" and self.value not in (0, 1):
            raise ValueError("a BOOLEAN needs value 0 or 1")
        if self.data_type == "NUMERIC" and self.value is None:
            raise ValueError("a NUMERIC needs value")
        if self.data_type in ("CATEGORICAL", "TEXT") and self.string_value is None and self.correction is None:
            raise ValueError(f"a {self.data_type} needs string_value or correction")
        return self


@dataclass(frozen=True)
class Feedback:
    """A stored record. `quarantine` is the reason it is out of use, `consumed_by` the cycle that used it; empty: none."""

    id: str
    created_at: float
    key_id: str
    name: str
    data_type: str
    value: float | None
    string_value: str | None
    explanation: str
    source_type: str
    source_id: str
    response_id: str | None
    correction: str | None
    model_version: int | None
    trusted: bool
    quarantine: str
    consumed_by: str


@dataclass(frozen=True)
class Correction:
    """One response with its corrected label: a training example to be. `ids` are all feedback records that agree on it."""

    ids: tuple[str, ...]
    response_id: str
    text: str
    label: str
    predicted: str
    version: int
    created_at: float
    trusted: bool


class FeedbackLog:
    """Feedback in the database of `engine`. `quota` is the most records one key may store in a UTC day."""

    def __init__(self, engine: Engine, quota: int = 2000, mask: Masker = default_mask, clock: Callable[[], float] = time.time) -> None:
        self.engine = engine
        self.quota = quota
        self.mask = mask
        self.clock = clock
        self.responses = ResponseLog(engine, mask)

    def add(self, scores: Sequence[Score], key_id: str = "", trusted: bool = False) -> list[Feedback]:
        """Store all or none. The same id with the same content gives the stored record again.

        Errors: `NotFound` (no such response), `InputError` (a label the model does not have), `Conflict`, `OverQuota`.
        Without a `key_id` (someone at the store itself) there is no quota.
        """
        answered = self.responses.find([score.response_id for score in scores if score.response_id])
        rows = [self._row(score, answered, key_id, trusted) for score in scores]
        with self.engine.begin() as tx:
            fresh = [row for row in rows if self._insert(tx, row)]  # writing first takes SQLite's write lock
            self._within_quota(tx, key_id)
            for row in fresh:
                _settle(tx, row)
            return [_feedback(_by_id(tx, row["id"])) for row in rows]

    def get(self, identifier: str) -> Feedback:
        """Raises `NotFound`."""
        with reads(self.engine).connect() as tx:
            row = tx.execute(select(feedback).where(feedback.c.id == identifier)).mappings().first()
        if row is None:
            raise NotFound(f"no feedback {identifier!r}", "sapwood feedback list")
        return _feedback(row)

    def recent(self, model: str = "", limit: int = 100) -> list[Feedback]:
        """The newest records (about answers of one model name), newest first."""
        query = select(feedback).order_by(feedback.c.seq.desc()).limit(limit)
        if model:
            query = query.join(responses, responses.c.id == feedback.c.response_id).where(responses.c.model == model)
        with reads(self.engine).connect() as tx:
            return [_feedback(row) for row in tx.execute(query).mappings()]

    def unconsumed(self, model: str, trusted_only: bool = True) -> list[Correction]:
        """Corrections no cycle has used yet, one a response, oldest first: not in quarantine, with a text on record."""
        query = (
            select(feedback, responses.c.text, responses.c.output, responses.c.version)
            .join(responses, responses.c.id == feedback.c.response_id)
            .where(responses.c.model == model, responses.c.text != "", _usable(), feedback.c.consumed_by == "")
            .order_by(feedback.c.seq)
        )
        if trusted_only:
            query = query.where(feedback.c.trusted)
        grouped: dict[str, list[RowMapping]] = {}
        with reads(self.engine).connect() as tx:
            for row in tx.execute(query).mappings():
                grouped.setdefault(row["response_id"], []).append(row)
        return [_correction(rows) for rows in grouped.values()]

    def consume(self, ids: Sequence[str], cycle: str) -> int:
        """Mark records as used by a cycle; how many are now its own. Repeating it changes nothing.

        Errors: `StoreError` when one of them is unknown or belongs to another cycle; then nothing is marked.
        """
        wanted = sorted(set(ids))
        with self.engine.begin() as tx:
            mine = 0
            for part in (wanted[i : i + 500] for i in range(0, len(wanted), 500)):
                free = feedback.c.consumed_by.in_(["", cycle])
                mine += tx.execute(update(feedback).where(feedback.c.id.in_(part), free).values(consumed_by=cycle)).rowcount
            if mine != len(wanted):
                raise StoreError(
                    f"{len(wanted) - mine} of {len(wanted)} feedback records are unknown or were used by another cycle", "start a new cycle"
                )
        return mine

    def counts(self, model: str) -> dict[str, int]:
        """How many records: total, corrections, trusted, quarantined, consumed, and unconsumed trusted corrections."""
        fresh = and_(_usable(), feedback.c.trusted, feedback.c.consumed_by == "", responses.c.text != "")
        tallies = {
            "corrections": feedback.c.correction.is_not(None),
            "trusted": feedback.c.trusted,
            "quarantined": feedback.c.quarantine != "",
            "consumed": feedback.c.consumed_by != "",
            "unconsumed": fresh,
        }
        columns = [func.count().filter(condition).label(name) for name, condition in tallies.items()]
        query = select(func.count().label("total"), *columns).select_from(feedback)
        query = query.join(responses, responses.c.id == feedback.c.response_id).where(responses.c.model == model)
        with reads(self.engine).connect() as tx:
            return {name: int(n) for name, n in tx.execute(query).mappings().one().items()}

    def _row(self, score: Score, answered: dict[str, Response], key_id: str, trusted: bool) -> dict[str, Any]:
        if score.response_id is None:
            raise InputError("only response_id can be a target today", "send response_id")
        response = answered.get(score.response_id)
        if response is None:
            raise NotFound(f"no response {score.response_id!r}", "ids are in the x-response-ids header of /predict")
        _fits(score, response)
        sent = score.model_dump(exclude={"id", "source"}) | score.source.model_dump()
        content = hashlib.sha256(rfc8785.dumps(sent | {"key_id": key_id})).hexdigest()
        masked = {name: self._masked(sent[name]) for name in ("explanation", "string_value", "source_id")}
        return (
            sent
            | masked
            | {
                "id": score.id or f"fb-{secrets.token_hex(12)}",
                "content": content,
                "created_at": self.clock(),
                "key_id": key_id,
                "model_version": response.version,
                "trusted": trusted and score.source.source_type == "HUMAN",
                "quarantine": "",
                "consumed_by": "",
            }
        )

    def _masked(self, text: str | None) -> str | None:
        return self.mask(text)[0] if text else text  # a masker that raises stops the record: nothing is stored

    def _insert(self, tx: Connection, row: dict[str, Any]) -> bool:
        """Whether it is new. The same id with other content is a `Conflict`."""
        make = postgresql.insert if self.engine.dialect.name == "postgresql" else sqlite.insert
        if tx.execute(make(feedback).values(row).on_conflict_do_nothing(index_elements=["id"])).rowcount:
            return True
        if _by_id(tx, row["id"])["content"] != row["content"]:
            raise Conflict(f"feedback {row['id']!r} already exists with other content", "choose a new id for new feedback")
        return False

    def _within_quota(self, tx: Connection, key_id: str) -> None:
        now = self.clock()
        today = now - now % DAY_S
        said = tx.scalar(select(func.count()).where(feedback.c.key_id == key_id, feedback.c.created_at >= today))
        if key_id and (said or 0) > self.quota:
            raise OverQuota(f"key {key_id} may store {self.quota} feedback records a day", int(today + DAY_S - now) + 1)


def _fits(score: Score, response: Response) -> None:
    labels = {scored.label for scored in response.output}
    if score.correction is not None and score.correction not in labels:
        raise InputError(f"{score.correction!r} is not a label of {response.model}", f"labels are {', '.join(sorted(labels))}")
    if score.model_version is not None and score.model_version != response.version:
        raise InputError(f"{response.id} was answered by version {response.version}, not {score.model_version}", "leave model_version out")


def _usable() -> Any:
    return and_(feedback.c.correction.is_not(None), feedback.c.quarantine == "")


def _settle(tx: Connection, row: dict[str, Any]) -> None:
    """Quarantine what the new correction disagrees with, itself, or both: the less trusted side loses."""
    if row["correction"] is None:
        return
    others = select(feedback.c.id, feedback.c.trusted, feedback.c.consumed_by).where(
        feedback.c.response_id == row["response_id"], _usable(), feedback.c.correction != row["correction"]
    )
    for other in tx.execute(others).mappings().all():
        if other["trusted"] >= row["trusted"]:
            _quarantine(tx, row["id"], other["id"])
        if other["trusted"] <= row["trusted"] and not other["consumed_by"]:
            _quarantine(tx, other["id"], row["id"])


def _quarantine(tx: Connection, identifier: str, other: str) -> None:
    tx.execute(update(feedback).where(feedback.c.id == identifier).values(quarantine=f"disagrees with {other}"))


def _by_id(tx: Connection, identifier: str) -> RowMapping:
    return tx.execute(select(feedback).where(feedback.c.id == identifier)).mappings().one()


def _feedback(row: RowMapping) -> Feedback:
    return Feedback(**{f.name: row[f.name] for f in fields(Feedback)})


def _correction(rows: list[RowMapping]) -> Correction:
    first = rows[0]
    return Correction(
        ids=tuple(row["id"] for row in rows),
        response_id=first["response_id"],
        text=first["text"],
        label=first["correction"],
        predicted=first["output"][0]["label"],
        version=first["version"],
        created_at=first["created_at"],
        trusted=all(row["trusted"] for row in rows),
    )
