"""The model registry: names, numbered versions, and aliases such as champion and challenger, with their history."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, func, insert, select, update

from sapwood.errors import InputError, NotFound
from sapwood.store.layout import checked_digest
from sapwood.store.tables import alias_moves, aliases, reads, versions

_NAME = re.compile(r"\w[\w.-]{0,63}")


@dataclass(frozen=True)
class Version:
    """A numbered version of a model name. `bundle`, `model`, `verdict` and `parity` are digests; the last two may be empty."""

    name: str
    number: int
    bundle: str
    model: str
    verdict: str
    parity: str
    run: str
    created: float


@dataclass(frozen=True)
class AliasMove:
    """One change of an alias. `previous` is None the first time."""

    name: str
    alias: str
    previous: int | None
    number: int
    reason: str
    created: float


def checked_model_name(name: str) -> str:
    """A name of a model, alias or deployment: letters of any script, digits, dot, dash, underscore; at most 64."""
    if not _NAME.fullmatch(name):
        raise InputError(f"{name!r} cannot be a name", "use letters, digits, dot, dash and underscore, 64 at most")
    return name


class Registry:
    """Versions and aliases in a database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._reads = reads(engine)

    def register(self, name: str, bundle: str, model: str, verdict: str = "", parity: str = "", run: str = "") -> Version:
        """A new version, or the one that this bundle already has under the name."""
        checked_model_name(name)
        for digest in (bundle, model, *(d for d in (verdict, parity) if d)):
            checked_digest(digest)
        with self._engine.begin() as connection:
            known = connection.execute(select(versions).where(versions.c.name == name, versions.c.bundle == bundle)).first()
            if known is not None:
                return Version(**known._mapping)
            number = 1 + (connection.execute(select(func.max(versions.c.number)).where(versions.c.name == name)).scalar() or 0)
            made = Version(name, number, bundle, model, verdict, parity, run, time.time())
            connection.execute(insert(versions).values(**vars(made)))
        return made

    def names(self) -> list[str]:
        """Every model name, sorted."""
        with self._reads.connect() as connection:
            return list(connection.execute(select(versions.c.name).distinct().order_by(versions.c.name)).scalars())

    def versions(self, name: str) -> list[Version]:
        """The versions of a name, oldest first; none when nobody registered it."""
        with self._reads.connect() as connection:
            rows = connection.execute(select(versions).where(versions.c.name == name).order_by(versions.c.number)).all()
        return [Version(**row._mapping) for row in rows]

    def version(self, name: str, number: int) -> Version:
        """One version, or `NotFound`."""
        with self._reads.connect() as connection:
            return find_version(connection, name, number)

    def alias(self, name: str, alias: str) -> Version | None:
        """The version that an alias points to."""
        query = select(versions).join(aliases, (aliases.c.name == versions.c.name) & (aliases.c.number == versions.c.number))
        with self._reads.connect() as connection:
            row = connection.execute(query.where(aliases.c.name == name, aliases.c.alias == alias)).first()
        return None if row is None else Version(**row._mapping)

    def aliases(self, name: str) -> dict[str, int]:
        """alias -> version number."""
        with self._reads.connect() as connection:
            rows = connection.execute(select(aliases).where(aliases.c.name == name).order_by(aliases.c.alias)).all()
        return {row.alias: row.number for row in rows}

    def set_alias(self, name: str, alias: str, number: int, reason: str = "") -> Version:
        """Point an alias to a version. Pointing it where it points changes nothing."""
        checked_model_name(alias)
        here: Any = (aliases.c.name == name) & (aliases.c.alias == alias)
        with self._engine.begin() as connection:
            version = find_version(connection, name, number)
            previous = connection.execute(select(aliases.c.number).where(here)).scalar()
            if previous == number:
                return version
            if previous is None:
                connection.execute(insert(aliases).values(name=name, alias=alias, number=number))
            else:
                connection.execute(update(aliases).where(here).values(number=number))
            connection.execute(insert(alias_moves).values(**vars(AliasMove(name, alias, previous, number, reason, time.time()))))
        return version

    def alias_history(self, name: str, alias: str = "") -> list[AliasMove]:
        """Every change of an alias, or of all aliases of a name, oldest first."""
        query = select(alias_moves).where(alias_moves.c.name == name).order_by(alias_moves.c.id)
        with self._reads.connect() as connection:
            rows = connection.execute(query.where(alias_moves.c.alias == alias) if alias else query).all()
        return [AliasMove(**{k: v for k, v in row._mapping.items() if k != "id"}) for row in rows]


def find_version(connection: Connection, name: str, number: int) -> Version:
    """One version inside a transaction, or `NotFound`."""
    row = connection.execute(select(versions).where(versions.c.name == name, versions.c.number == number)).first()
    if row is None:
        raise NotFound(f"model {name} has no version {number}", "see them: sapwood show NAME")
    return Version(**row._mapping)
