"""What repeated seeds say: an interval for a mean, and for the difference of two means over the same seeds.

Student's t, since seeds are few. What it does NOT cover: that another set of rows would give other scores (see `intervals`), and that
a winner was chosen because it scored high; give it seeds that did not choose.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import stdtrit

from sapwood.metrics.intervals import LEVEL, Interval


def mean(values: Sequence[float], level: float = LEVEL) -> Interval:
    """Mean and t interval of one score by seed. One seed has an interval without ends: nothing is known of the spread."""
    found = np.asarray(values, dtype=np.float64)
    value = float(found.mean())
    if len(found) < 2:
        return Interval(value, -math.inf, math.inf)
    half = float(stdtrit(len(found) - 1, (1 + level) / 2) * found.std(ddof=1) / math.sqrt(len(found)))
    return Interval(value, value - half, value + half)


def difference(ours: Sequence[float], theirs: Sequence[float], level: float = LEVEL) -> Interval:
    """ours - theirs, paired by seed. Raises `ValueError` when they have not as many."""
    if len(ours) != len(theirs):
        raise ValueError(f"{len(ours)} scores against {len(theirs)}")
    return mean(np.asarray(ours, dtype=np.float64) - np.asarray(theirs, dtype=np.float64), level)  # type: ignore[arg-type]
