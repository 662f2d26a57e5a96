"""The response log: every served answer, with the digests that made it, and its input with personal data masked.

Masking comes before the database: `append` masks each text itself. It fails closed: a text whose masking raises is
stored as an empty string with `masked == {"unmaskable": 1}`, so the answer stays traceable and its text never rests.

Not done here: no retention, no sampling, no encryption; a mask misses what its table does not know.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, NamedTuple

from sqlalchemy import Engine, RowMapping, insert, select

from sapwood.errors import NotFound
from sapwood.watching.tables import reads, responses

Masker = Callable[[str], tuple[str, Mapping[str, int]]]
"""`text -> (masked text, how many of each entity type were masked)`."""

UNMASKABLE = "unmaskable"
logger = logging.getLogger(__name__)


class Scored(NamedTuple):
    """One label of an answer and its probability."""

    label: str
    score: float


@dataclass(frozen=True)
class Response:
    """One served answer. `created` is UNIX seconds; `output` holds every label of the model, best first."""

    id: str
    created: float
    model: str
    version: int
    revision: int
    bundle: str
    model_digest: str
    text: str
    output: tuple[Scored, ...]
    latency_ms: float
    masked: Mapping[str, int] = field(default_factory=dict)
    key_id: str = ""
    session_id: str = ""

    @property
    def label(self) -> str:
        """The best label."""
        return self.output[0].label


def response_id() -> str:
    """`resp-` and 24 random hex characters."""
    return f"resp-{secrets.token_hex(12)}"


def default_mask(text: str) -> tuple[str, Mapping[str, int]]:
    """`sapwood.text.pii.mask`, imported at the first text."""
    from sapwood.text import pii

    return pii.mask(text)


class ResponseLog:
    """Responses in the database of `engine`. `mask` is applied to every text before it is written."""

    def __init__(self, engine: Engine, mask: Masker = default_mask) -> None:
        self.engine = engine
        self.mask = mask

    def append(self, answers: Sequence[Response]) -> list[Response]:
        """Store all of them in one transaction, or none; what was stored is returned (masked)."""
        stored = [self._masked(answer) for answer in answers]
        if stored:
            with self.engine.begin() as connection:
                connection.execute(insert(responses), [_columns(answer) for answer in stored])
        return stored

    def get(self, identifier: str) -> Response:
        """The response with that id. Raises `NotFound`."""
        found = self.find([identifier]).get(identifier)
        if found is None:
            raise NotFound(f"no response {identifier!r}", "ids are in the x-response-ids header of /predict")
        return found

    def find(self, identifiers: Sequence[str]) -> dict[str, Response]:
        """Those of the ids that are stored."""
        with reads(self.engine).connect() as connection:
            rows = connection.execute(select(responses).where(responses.c.id.in_(identifiers))).mappings().all()
        return {row["id"]: _response(row) for row in rows}

    def recent(self, model: str = "", limit: int = 100) -> list[Response]:
        """The newest responses (of one model name), newest first."""
        query = select(responses).order_by(responses.c.seq.desc()).limit(limit)
        if model:
            query = query.where(responses.c.model == model)
        with reads(self.engine).connect() as connection:
            return [_response(row) for row in connection.execute(query).mappings()]

    def _masked(self, answer: Response) -> Response:
        try:
            text, counts = self.mask(answer.text)
        except Exception as fault:  # any fault of a masker means one thing: this text must not be written
            logger.error("masking failed, text of %s not stored: %s", answer.id, type(fault).__name__)
            return replace(answer, text="", masked={UNMASKABLE: 1})
        return replace(answer, text=text, masked=dict(counts))


def _columns(answer: Response) -> dict[str, Any]:
    return asdict(answer) | {"output": [scored._asdict() for scored in answer.output], "masked": dict(answer.masked)}


def _response(row: RowMapping) -> Response:
    kept = {f.name: row[f.name] for f in fields(Response)}
    return Response(**kept | {"output": tuple(Scored(o["label"], o["score"]) for o in row["output"])})
