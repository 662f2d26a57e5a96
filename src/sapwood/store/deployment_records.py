"""Deployment records: which versions of a model answer which share of traffic. A gateway follows the newest revision."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, Row, insert, select
from sqlalchemy.exc import IntegrityError

from sapwood.errors import InputError, NotFound
from sapwood.stage import Json
from sapwood.store.registry import checked_model_name, find_version
from sapwood.store.tables import acknowledgements, deployments, reads

ROLES = ("serve", "canary", "shadow")


@dataclass(frozen=True)
class Deployment:
    """One revision. A route is {version, share, role}: shares of serve and canary add up to 1; a shadow's share is of all
    traffic, which it sees without answering. The name is the model's."""

    name: str
    revision: int
    routes: list[dict[str, Json]]
    note: str
    created: float


class DeploymentRecords:
    """Deployments and acknowledgements in a database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._reads = reads(engine)

    def deploy(self, name: str, routes: Sequence[Mapping[str, Json]], note: str = "") -> Deployment:
        """A new revision; the current one if its routes are the same."""
        wanted = checked_routes(checked_model_name(name), routes)
        with self._engine.begin() as connection:
            for route in wanted:
                find_version(connection, name, route["version"])
            current = _newest(connection, name)
            if current is not None and current.routes == wanted:
                return current
            made = Deployment(name, 1 + (current.revision if current else 0), wanted, note, time.time())
            connection.execute(insert(deployments).values(**vars(made)))
        return made

    def deployment(self, name: str) -> Deployment | None:
        """The current revision, or None when the name was never deployed."""
        with self._reads.connect() as connection:
            return _newest(connection, name)

    def deployments(self, name: str = "") -> list[Deployment]:
        """Every revision of a name, oldest first; of all names without one."""
        query = select(deployments).order_by(deployments.c.name, deployments.c.revision)
        with self._reads.connect() as connection:
            return [_deployment(row) for row in connection.execute(query.where(deployments.c.name == name) if name else query)]

    def acknowledge(self, name: str, revision: int, gateway: str) -> None:
        """A gateway says that it has loaded a revision. Saying it again changes nothing."""
        known = select(deployments.c.revision).where(deployments.c.name == name, deployments.c.revision == revision)
        try:
            with self._engine.begin() as connection:
                if connection.execute(known).first() is None:
                    raise NotFound(f"{name} has no revision {revision}", "see them: sapwood show NAME")
                values = {"name": name, "revision": revision, "gateway": gateway, "created": time.time()}
                connection.execute(insert(acknowledgements).values(**values))
        except IntegrityError:
            pass  # said before

    def acknowledged(self, name: str, revision: int) -> list[str]:
        """The gateways that have loaded a revision, sorted."""
        table = acknowledgements.c
        query = select(table.gateway).where(table.name == name, table.revision == revision).order_by(table.gateway)
        with self._reads.connect() as connection:
            return list(connection.execute(query).scalars())


def checked_routes(name: str, routes: Sequence[Mapping[str, Json]]) -> list[dict[str, Json]]:
    """Routes in one order, so that the same ones compare equal. `InputError` when they cannot be followed."""
    checked = [_checked_route(name, route) for route in routes]
    pairs = [(route["role"], route["version"]) for route in checked]
    answering = [route["share"] for route in checked if route["role"] != "shadow"]
    if len(set(pairs)) < len(pairs):
        raise InputError(f"deployment {name}: a version stands twice in one role", "add its shares up")
    if "serve" not in (role for role, _ in pairs) or abs(sum(answering) - 1) > 1e-6:
        raise InputError(f"deployment {name}: shares of serve and canary add up to {sum(answering):g}, not 1", "one route at least serves")
    return sorted(checked, key=lambda route: (ROLES.index(route["role"]), route["version"]))


def _checked_route(name: str, route: Mapping[str, Json]) -> dict[str, Json]:
    version, share, role = route.get("version"), route.get("share", 1.0), route.get("role", "serve")
    if set(route) - {"version", "share", "role"} or role not in ROLES:
        raise InputError(f"deployment {name}: {dict(route)} is no route", f"a route has version, share and role ({', '.join(ROLES)})")
    if not isinstance(version, int) or isinstance(version, bool):
        raise InputError(f"deployment {name}: version {version!r} is not a number", "versions are numbered: sapwood show NAME")
    if not isinstance(share, int | float) or isinstance(share, bool) or not 0 <= share <= 1:
        raise InputError(f"deployment {name}: share {share!r} is not between 0 and 1")
    return {"version": version, "share": float(share), "role": role}


def _newest(connection: Connection, name: str) -> Deployment | None:
    query = select(deployments).where(deployments.c.name == name).order_by(deployments.c.revision.desc()).limit(1)
    row = connection.execute(query).first()
    return None if row is None else _deployment(row)


def _deployment(row: Row[Any]) -> Deployment:
    return Deployment(**row._mapping)
