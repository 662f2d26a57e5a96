"""Records of runs and actions."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Engine, Row, insert, select, update
from sqlalchemy.exc import IntegrityError

from sapwood.errors import InputError, NotFound
from sapwood.stage import Json
from sapwood.store.tables import actions, reads, runs

LATEST = "last"
STATUSES = ("running", "done", "failed", "interrupted")


@dataclass(frozen=True)
class Run:
    """One execution of a recipe or a step. Times are seconds since 1970; `finished` is None while it runs.

    A step is {step, name, key, state, seconds, inputs, outputs}. A run that was killed stays `running`; `LocalStore.status_of` tells.
    """

    id: str
    name: str
    recipe: dict[str, Json]
    started: float
    finished: float | None
    status: str
    seconds: float
    environment: dict[str, Json] = field(default_factory=dict)
    steps: list[dict[str, Json]] = field(default_factory=list)


def timed_id(now: float) -> str:
    """An id that sorts by time (UTC): YYYYMMDD-HHMMSS-xxxx."""
    return f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime(now))}-{secrets.token_hex(2)}"


class RunRecords:
    """Runs and actions in a database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._reads = reads(engine)

    def start_run(self, name: str, recipe: dict[str, Json], environment: dict[str, Json] | None = None) -> Run:
        """Begin a run. `recipe` is the filled one."""
        now = time.time()
        while True:
            values: dict[str, Any] = {"id": timed_id(now), "name": name, "status": "running", "started": now, "recipe": recipe}
            try:
                with self._engine.begin() as connection:
                    connection.execute(insert(runs).values(**values, environment=environment or {}, steps=[]))
            except IntegrityError:
                continue  # the same second and the same 4 characters: draw again
            return self.run(values["id"])

    def update_run(self, run: str, steps: list[dict[str, Json]] | None = None, environment: dict[str, Json] | None = None) -> Run:
        """Replace the steps or the environment of a run."""
        return self._change(run, {k: v for k, v in {"steps": steps, "environment": environment}.items() if v is not None})

    def finish_run(self, run: str, status: str, seconds: float | None = None) -> Run:
        """End a run as done, failed or interrupted. `seconds` it took; without it, the time since it started."""
        if status not in STATUSES[1:]:
            raise InputError(f"{status!r} is not how a run ends", f"one of {', '.join(STATUSES[1:])}")
        return self._change(run, {"status": status, "finished": time.time(), "seconds": seconds})

    def _change(self, run: str, values: dict[str, Any]) -> Run:
        if values:
            with self._engine.begin() as connection:
                if connection.execute(update(runs).where(runs.c.id == run).values(**values)).rowcount == 0:
                    raise NotFound(f"no run {run}", "see them: sapwood show")
        return self.run(run)

    def run(self, prefix: str = LATEST) -> Run:
        """The run whose id starts with `prefix`, or the last one."""
        query = select(runs).order_by(runs.c.started.desc(), runs.c.id.desc()).limit(2)
        if prefix != LATEST:
            query = query.where(runs.c.id.startswith(prefix, autoescape=True))
        with self._reads.connect() as connection:
            found = connection.execute(query).all()
        exact = [row for row in found if row.id == prefix]
        if not found or not prefix:
            raise NotFound("no run yet" if prefix == LATEST else f"no run {prefix!r}", "see them: sapwood show")
        if prefix != LATEST and len(found) > 1 and not exact:
            raise InputError(f"several runs start with {prefix}", "give more characters")
        return _run(exact[0] if exact else found[0])

    def runs(self, limit: int = 50) -> list[Run]:
        """The newest runs first."""
        query = select(runs).order_by(runs.c.started.desc(), runs.c.id.desc()).limit(limit)
        with self._reads.connect() as connection:
            return [_run(row) for row in connection.execute(query)]

    # ------------------------------------------------------------------ actions

    def action(self, key: str) -> dict[str, Json] | None:
        """What is on record under an action's key: {key, name, step, run, result, created}."""
        with self._reads.connect() as connection:
            row = connection.execute(select(actions).where(actions.c.key == key)).first()
        return None if row is None else dict(row._mapping)

    def record_action(self, key: str, name: str, step: str, run: str, result: dict[str, Json]) -> dict[str, Json]:
        """Record what an action did. The first record of a key stays; it is returned."""
        values = {"key": key, "name": name, "step": step, "run": run, "result": result, "created": time.time()}
        try:
            with self._engine.begin() as connection:
                connection.execute(insert(actions).values(**values))
        except IntegrityError:
            pass  # done before, or by another process just now
        found = self.action(key)
        assert found is not None
        return found


def _run(row: Row[Any]) -> Run:
    values = dict(row._mapping)
    if values["seconds"] is None:
        end = values["finished"] if values["finished"] is not None else time.time()
        values["seconds"] = max(0.0, end - values["started"])
    return Run(**values)
