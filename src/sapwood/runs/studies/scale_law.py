"""The scaling law of a recipe: a ladder of small runs over size and data, the fit, and what it says of runs that it did not see.

The rungs are whole runs, each with its own schedule: points on the way of one long run are not rungs, because their rate has not come
down. The store is the record of what is done: a ladder that was stopped reuses its finished rungs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from sapwood.errors import InputError, Interrupted, SapwoodError
from sapwood.metrics import scaling
from sapwood.metrics.scaling import Law
from sapwood.recipe.study import Purse, ScaleLaw, Study, filled
from sapwood.runs.monitor import StopFlag
from sapwood.runs.studies import kept as keeping
from sapwood.runs.studies.crew import Calls, Crew, Ended, Order
from sapwood.runs.studies.kept import Kept
from sapwood.runs.studies.search import Tell
from sapwood.store.local import LocalStore

WIDE = 1000.0
"""An optimum known to no better than this factor is not told: of seven rungs one came out as 19 parameters and 188 billion tokens."""


@dataclass(frozen=True)
class Rung:
    """One run of the ladder. `seconds` is the wall time of its training step when it was made."""

    size: int
    amount: int
    seed: int
    parameters: float
    tokens: float
    loss: float
    seconds: float
    run: str
    reused: bool

    @property
    def flops(self) -> float:
        return scaling.OPERATIONS * self.parameters * self.tokens


@dataclass(frozen=True)
class Foretold:
    """A held-out rung: what was measured, what the law of the smaller rungs says, and what the nearest of them had."""

    rung: Rung
    loss: float
    low: float
    high: float
    nearest: float


@dataclass(frozen=True)
class Bought:
    """What a budget buys at best. `seconds` is None without a speed."""

    asked: Purse
    flops: float
    parameters: float
    parameters_low: float
    parameters_high: float
    tokens: float
    loss: float
    low: float
    high: float
    seconds: float | None


@dataclass(frozen=True)
class Scaled:
    """What the ladder came to. `law` is of all rungs, `law_held` of those that were not held out."""

    study: Study
    identifier: str
    rungs: list[Rung]
    law: Law
    draws: list[Law]
    law_held: Law
    foretold: list[Foretold]
    bought: list[Bought]
    start_s: float
    speed: float
    """Seconds before the first step, and operations a second, fitted to the rungs."""

    @property
    def splits(self) -> bool:
        """Whether the ladder tells how to split compute: the best N at the compute of the largest rung is known within a factor of `WIDE`."""
        return _known(self.draws, max(rung.flops for rung in self.rungs))


def run(study: Study, store: LocalStore, kept: Kept, stop: StopFlag, tell: Tell) -> Scaled:
    """Climb the ladder and fit. Raises `Interrupted` when `stop` was set, `SapwoodError` when a rung fails."""
    rungs = _climb(study, store, kept, stop, tell)
    asked = study.asked
    assert isinstance(asked, ScaleLaw)
    n, d, loss = arrays(rungs)
    if len(set(n.tolist())) < 2 or len(set(d.tolist())) < 2:
        raise InputError("the rungs have one size, or one amount of data", "mend `sizes` and `amounts`, or where their numbers are read")
    law = scaling.fit(n, d, loss)
    spread = scaling.draws(law, n, d, loss, seed=study.recipe.seed)
    law_held, foretold = _foretell(rungs, asked.held_out * asked.seeds, study.recipe.seed)
    start, speed = scaling.speed(scaling.OPERATIONS * n * d, np.array([rung.seconds for rung in rungs]))
    bought = [_buy(purse, law, spread, start, speed) for purse in asked.budgets]
    return Scaled(study, kept.identifier, rungs, law, spread, law_held, foretold, bought, start, speed)


def _climb(study: Study, store: LocalStore, kept: Kept, stop: StopFlag, tell: Tell) -> list[Rung]:
    """Every rung, the cheapest first as they are written."""
    asked = study.asked
    assert isinstance(asked, ScaleLaw)
    step = asked.loss.step
    orders = []
    for amount, more in enumerate(asked.amounts):
        for size, values in enumerate(asked.sizes):
            for place in range(asked.seeds):
                seed = study.recipe.seed + place
                fields = {**values, **more, f"stages.{step}.seed": seed}
                text = filled(study.recipe, fields, f"{study.name}/size-{size + 1}/data-{amount + 1}/seed-{seed}")
                orders.append(Order((size, amount, seed), text, study.file, study.recipe.workspace))
    found: list[Rung] = []

    def ended(order: Order, how: Ended) -> None:
        if how.state == "failed":
            raise how.blame(f"the rung of size {order.name[0] + 1} and data {order.name[1] + 1}", f"see {kept.log}")
        if how.state != "done":
            return
        run = store.records.run(how.run)
        made: dict[str, Any] = next(one for one in run.steps if one["step"] == step)
        parameters, tokens, loss = (keeping.read_number(store, run, number) for number in (asked.parameters, asked.tokens, asked.loss))
        if not (math.isfinite(loss) and min(parameters, tokens, loss) > 0):
            raise SapwoodError(f"run {run.id}: N={parameters:g}, D={tokens:g}, loss={loss:g}; all must be above 0", "mend the paths")
        size, amount, seed = order.name
        rung = Rung(size, amount, seed, parameters, tokens, loss, float(made["seconds"]), run.id, made["state"] == "reused")
        found.append(rung)
        tell("rung", {**vars(rung), "done": len(found), "of": len(orders)})

    waiting = iter(orders)
    Crew(store.root, asked.workers, stop, kept.log).work(Calls(lambda: next(waiting, None), ended))
    if stop.is_set():
        raise Interrupted(f"stopped after {len(found)} of {len(orders)} rungs", "run the same command again to continue")
    return sorted(found, key=lambda rung: (rung.size, rung.amount, rung.seed))


def arrays(rungs: list[Rung]) -> tuple[Any, Any, Any]:
    """N, D and L as float arrays."""
    n, d, loss = np.array([(rung.parameters, rung.tokens, rung.loss) for rung in rungs], dtype=np.float64).T
    return n, d, loss


def _foretell(rungs: list[Rung], count: int, seed: int) -> tuple[Law, list[Foretold]]:
    """Fit without the `count` rungs of the most compute, and predict them."""
    ordered = sorted(rungs, key=lambda rung: rung.flops)
    known, hidden = ordered[: len(ordered) - count], ordered[len(ordered) - count :]
    n, d, loss = arrays(known)
    law = scaling.fit(n, d, loss)
    spread = scaling.draws(law, n, d, loss, seed=seed) if hidden else []
    found = []
    for rung in hidden:
        low, high = scaling.interval([float(one.loss(rung.parameters, rung.tokens)) for one in spread])
        near = min(known, key=lambda one: _distance(one, rung))
        found.append(Foretold(rung, float(law.loss(rung.parameters, rung.tokens)), low, high, near.loss))
    return law, found


def _distance(one: Rung, other: Rung) -> float:
    return abs(math.log(one.parameters / other.parameters)) + abs(math.log(one.tokens / other.tokens))


def _known(spread: list[Law], flops: float) -> bool:
    low, high = scaling.interval([one.best(flops)[0] for one in spread])
    return math.isfinite(low) and high / low < WIDE


def _buy(purse: Purse, law: Law, spread: list[Law], start: float, speed: float) -> Bought:
    """The best split of a budget between parameters and tokens. Seconds become operations at the speed that the rungs had."""
    if purse.flops is not None:
        flops = purse.flops
    else:
        assert purse.seconds is not None
        flops = max(1.0, (purse.seconds - start) * speed)
    n, d, loss = law.best(flops)
    each = [one.best(flops) for one in spread]
    sizes, losses = scaling.interval([one[0] for one in each]), scaling.interval([one[2] for one in each])
    if not _known(spread, flops):
        n = d = loss = math.nan
    return Bought(purse, flops, n, *sizes, d, loss, *losses, start + flops / speed if math.isfinite(speed) else None)
