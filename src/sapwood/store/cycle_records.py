"""Cycles: turns of the loop, as a state machine in the database. Each step is one compare-and-set transaction.

collecting -> building -> training -> judging -> canary -> promoted
     \\           \\           \\          \\         └----> rolled_back
      └-----------┴-----------┴----------┴---------------> rejected
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, Row, insert, select, update
from sqlalchemy.exc import IntegrityError

from sapwood.errors import InputError, NotFound, Refused
from sapwood.stage import Json
from sapwood.store.registry import checked_model_name
from sapwood.store.run_records import timed_id
from sapwood.store.tables import cycles, reads

NEXT: dict[str, tuple[str, ...]] = {
    "collecting": ("building", "rejected"),
    "building": ("training", "rejected"),
    "training": ("judging", "rejected"),
    "judging": ("canary", "rejected"),
    "canary": ("promoted", "rolled_back"),
    "promoted": (),
    "rolled_back": (),
    "rejected": (),
}
FIRST = "collecting"


@dataclass(frozen=True)
class Cycle:
    """One turn. `history` is a list of {state, at}; `data` is what the steps left for the next ones."""

    id: str
    key: str
    model: str
    state: str
    data: dict[str, Json]
    history: list[dict[str, Json]]
    opened: float
    updated: float

    @property
    def open(self) -> bool:
        return bool(NEXT[self.state])


class CycleRecords:
    """Cycles in a database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._reads = reads(engine)

    def open_cycle(self, model: str, key: str, data: dict[str, Json] | None = None) -> Cycle:
        """A new cycle; the one of this key if there is one. `Refused` while another open cycle holds the model's name."""
        checked_model_name(model)
        now = time.time()
        cycle = Cycle(timed_id(now), key, model, FIRST, dict(data or {}), [{"state": FIRST, "at": now}], now, now)
        try:
            with self._engine.begin() as connection:
                known = connection.execute(select(cycles).where(cycles.c.key == key)).first()
                if known is None:
                    connection.execute(insert(cycles).values(**vars(cycle), holds=model))
        except IntegrityError:
            holder = next((one for one in self.cycles(model) if one.open), None)
            if holder is not None and holder.key != key:
                raise Refused(f"cycle {holder.id} ({holder.state}) holds the name {model}", "let it finish, or reject it") from None
            return self.open_cycle(model, key, data)  # opened, or let go, by another process just now
        found = cycle if known is None else _cycle(known)
        if found.model != model:
            raise InputError(f"cycle {found.id} of key {key} is about {found.model}, not {model}", "use another key")
        return found

    def advance_cycle(self, id: str, expected: str, state: str, **data: Json) -> Cycle:
        """Move a cycle from `expected` to `state` and add `data`; the same state twice adds data only.
        `Refused` when it is elsewhere or the move is none of the machine's."""
        if expected not in NEXT or state not in NEXT:
            raise InputError(f"{expected} -> {state}: no such state", f"states are {', '.join(NEXT)}")
        if state not in NEXT[expected] and not (state == expected and NEXT[state]):
            raise Refused(f"a cycle does not go from {expected} to {state}", f"from {expected}: {', '.join(NEXT[expected]) or 'nowhere'}")
        with self._engine.begin() as connection:
            before = _find(connection, id)
            now = time.time()
            history = before.history if state == expected else [*before.history, {"state": state, "at": now}]
            values = {"state": state, "data": {**before.data, **data}, "history": history, "updated": now}
            values["holds"] = before.model if NEXT[state] else None
            here = (cycles.c.id == id) & (cycles.c.state == expected) & (cycles.c.updated == before.updated)
            if connection.execute(update(cycles).where(here).values(**values)).rowcount == 0:
                raise Refused(f"cycle {id} is {before.state}, not {expected}", "another process moved it; look again")
            return _find(connection, id)

    def cycles(self, model: str = "") -> list[Cycle]:
        """Cycles of a model, or of all, oldest first."""
        query = select(cycles).order_by(cycles.c.opened, cycles.c.id)
        with self._reads.connect() as connection:
            return [_cycle(row) for row in connection.execute(query.where(cycles.c.model == model) if model else query)]

    def cycle(self, id: str) -> Cycle:
        """One cycle, or `NotFound`."""
        with self._reads.connect() as connection:
            return _find(connection, id)


def _find(connection: Connection, id: str) -> Cycle:
    row = connection.execute(select(cycles).where(cycles.c.id == id)).first()
    if row is None:
        raise NotFound(f"no cycle {id}", "see them: sapwood cycle")
    return _cycle(row)


def _cycle(row: Row[Any]) -> Cycle:
    return Cycle(**{name: value for name, value in row._mapping.items() if name != "holds"})
