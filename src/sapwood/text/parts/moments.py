"""Moments from the ways that rows write them, as microseconds since 1970 in UTC.

ISO 8601 (a date, or a date and time), a year or a month alone (its first moment), `2024/1/5`, `2024年1月5日`, e-mail and RSS dates
(RFC 5322), and Unix time in seconds or milliseconds (10 or 13 digits). A time without a zone is taken as UTC.
It does not guess at 05/01/2024, which is a different day in different countries.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

NEVER = np.iinfo(np.int64).min
"""Stands for a row that tells no time."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LAST = (datetime.max.replace(tzinfo=UTC) - EPOCH) // timedelta(seconds=1)
DATE = re.compile(r"(\d{4})(?:[-/.年](\d{1,2})(?:[-/.月](\d{1,2})日?|月)?|年)?")


def moments(values: Sequence[str]) -> Array:
    """int64[n]: microseconds, or `NEVER` where a value is empty or not a time."""
    return np.fromiter(map(moment, values), dtype=np.int64, count=len(values))


@lru_cache(4096)
def moment(value: str) -> int:
    """Microseconds since 1970, or `NEVER`."""
    value = value.strip()
    if re.fullmatch(r"\d{10}|\d{13}", value):
        return int(value) * (1_000_000 if len(value) == 10 else 1000)
    found = _date(value) or _iso(value) or _mail(value)
    if found is None:
        return int(NEVER)
    past = (found if found.tzinfo else found.replace(tzinfo=UTC)) - EPOCH
    return past // timedelta(microseconds=1)


def written(moment: int) -> str:
    """ISO 8601 in UTC, to the second; a bare date at midnight."""
    found = EPOCH + timedelta(seconds=min(moment // 1_000_000, LAST))
    return found.strftime("%Y-%m-%d") if moment % 86_400_000_000 == 0 else found.strftime("%Y-%m-%dT%H:%M:%SZ")


def _date(value: str) -> datetime | None:
    parts = DATE.fullmatch(value)
    try:
        return datetime(*(int(part or 1) for part in parts.groups())) if parts else None  # type: ignore[arg-type, misc]
    except ValueError:
        return None


def _iso(value: str) -> datetime | None:
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        return None


def _mail(value: str) -> datetime | None:
    try:
        return parsedate_to_datetime(value)
    except ValueError:
        return None
