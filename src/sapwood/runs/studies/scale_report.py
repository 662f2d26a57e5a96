"""The report of a scaling law: the five numbers, the curves, the held-out rungs, the frontier, and what budgets buy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sapwood import report
from sapwood.metrics import scaling
from sapwood.report import Block
from sapwood.runs.charts import short
from sapwood.runs.studies.scale_law import Bought, Rung, Scaled

Json = Any
NAMES = {"e": "E, what no size and no data takes away", "a": "A", "b": "B", "alpha": "a, power of parameters", "beta": "b, power of tokens"}


UNTOLD = (
    "How to split compute between size and data cannot be told from this ladder: either power may be near nothing. No frontier is drawn; "
    "longer runs and sizes further apart would tell."
)


def write(found: Scaled, folder: Path, took: float) -> None:
    """Write `report.json` of the study. `took` is the wall time of this sitting."""
    ends = {name: scaling.interval([getattr(law, name) for law in found.draws]) for name in NAMES}
    data = {
        "law": {name: {"value": getattr(found.law, name), "low": _finite(ends[name][0]), "high": _finite(ends[name][1])} for name in NAMES},
        "rungs": [{**vars(rung), "flops": rung.flops} for rung in found.rungs],
        "held_out": [
            {
                "run": one.rung.run,
                "measured": one.rung.loss,
                "predicted": one.loss,
                "error": _error(one.loss, one.rung.loss),
                "nearest_error": _error(one.nearest, one.rung.loss),
            }
            for one in found.foretold
        ],
        "bought": [{name: _finite(value) for name, value in vars(one).items() if name != "asked"} for one in found.bought],
        "speed": {"start_s": found.start_s, "flops": _finite(found.speed)},
        "seconds": round(took, 1),
        "figures": _figures(found),
    }
    rows = [[NAMES[name], getattr(found.law, name), _pair(*ends[name], "g")] for name in NAMES]
    note = (
        "Fitted to every rung by Huber's loss in log loss; intervals by a bootstrap of the residuals, widened for the five numbers fitted."
    )
    blocks = [
        report.text(_told(found)),
        report.table("L(N, D) = E + A / N^a + B / D^b", ["number", "value", "95 % interval"], rows, note),
        *_held_out(found),
        _by_tokens(found),
        *([_frontier(found), _split(found)] if found.splits else [report.text(UNTOLD)]),
        *_bought(found),
        _rungs(found),
    ]
    report.write(folder, f"Scaling law: {found.study.description or found.study.name}", _summary(found), data, blocks)


def _summary(found: Scaled) -> str:
    law = found.law
    told = (
        f"{len(found.rungs)} rungs, {short(min(r.parameters for r in found.rungs))} to {short(max(r.parameters for r in found.rungs))} parameters "
        f"and {short(min(r.tokens for r in found.rungs))} to {short(max(r.tokens for r in found.rungs))} tokens: "
        f"L = {law.e:.3g} + {law.a:.3g} / N^{law.alpha:.2f} + {law.b:.3g} / D^{law.beta:.2f}."
    )
    if found.foretold:
        errors = [abs(_error(one.loss, one.rung.loss)) for one in found.foretold]
        naive = [abs(_error(one.nearest, one.rung.loss)) for one in found.foretold]
        told += (
            f" Fitted to the smaller rungs it foretells the {len(errors)} of the most compute to {np.mean(errors):.2%} on average; "
            f"the nearest rung's own loss is off by {np.mean(naive):.2%}."
        )
    return told


def _told(found: Scaled) -> str:
    return (
        "N are parameters, D tokens trained on, L the held-out loss in nats; compute is 6 N D operations. "
        f"On this machine a run took {found.start_s:.1f} s and then {short(found.speed)} operations a second, over all rungs; "
        "small models reach less of the machine than large ones, so a far larger run will be quicker than this says.\n\n"
        "The law holds between the rungs, and a little past them as far as the held-out rungs show. Where an interval is wide, the "
        "ladder is too short to tell that number: add sizes or data, not decimals."
    )


def _held_out(found: Scaled) -> list[Block]:
    if not found.foretold:
        return []
    rows = [
        [
            short(one.rung.parameters),
            short(one.rung.tokens),
            round(one.rung.loss, 4),
            round(one.loss, 4),
            _pair(one.low, one.high, ".4f"),
            f"{_error(one.loss, one.rung.loss):+.2%}",
            f"{_error(one.nearest, one.rung.loss):+.2%}",
        ]
        for one in found.foretold
    ]
    columns = ["N", "D", "measured", "foretold", "95 % of the fit", "error", "error of the nearest rung"]
    note = (
        "The law was fitted without these, the rungs of the most compute. The interval is the fit's alone; a run varies with its seed too."
    )
    return [report.table("Held-out rungs", columns, rows, note)]


def _by_tokens(found: Scaled) -> Block:
    """Measured losses of each size over tokens, and the law through them."""
    hidden = {one.rung.run for one in found.foretold}
    low, high = min(r.tokens for r in found.rungs), max(r.tokens for r in found.rungs)
    grid = np.geomspace(low / 1.2, high * 3, 60)
    series, points, hollow = {}, {}, {}
    for size in sorted({rung.size for rung in found.rungs}):
        mine = [rung for rung in found.rungs if rung.size == size]
        name = f"{size + 1}: N = {short(_size(found.rungs, size))}"
        series[name] = list(zip(grid.tolist(), found.law.loss(mine[0].parameters, grid).tolist(), strict=True))
        points[name] = [(rung.tokens, rung.loss) for rung in mine if rung.run not in hidden]
        hollow[name] = [(rung.tokens, rung.loss) for rung in mine if rung.run in hidden]
    note = "Dots were measured (hollow ones held out of the first fit); the lines are the law of all rungs, drawn to three times the data."
    return report.lines("Loss by data", "tokens", "held-out loss", series, note, report.marked(points, hollow, "x"))


def _flops(found: Scaled) -> Any:
    low, high = min(rung.flops for rung in found.rungs), max(rung.flops for rung in found.rungs)
    return np.geomspace(low, high * 30, 60)


def _frontier(found: Scaled) -> Block:
    """Loss by compute: each rung, and the least loss that any split of the compute could reach."""
    best = [(float(c), found.law.best(float(c))[2]) for c in _flops(found)]
    sizes = sorted({rung.size for rung in found.rungs})
    points = {
        f"{size + 1}: N = {short(_size(found.rungs, size))}": [(rung.flops, rung.loss) for rung in found.rungs if rung.size == size]
        for size in sizes
    }
    note = "The line is the compute-optimal frontier by the law: no split of that compute between size and data should get below it."
    return report.lines("Loss by compute", "operations (6 N D)", "held-out loss", {"frontier": best}, note, report.marked(points, {}, "x"))


def _split(found: Scaled) -> Block:
    """How the best split of compute grows."""
    grid = [(float(c), *found.law.best(float(c))[:2]) for c in _flops(found)]
    series = {"parameters": [(c, n) for c, n, _ in grid], "tokens": [(c, d) for c, _, d in grid]}
    both = found.law.alpha + found.law.beta
    power = f"N grows as C^{found.law.beta / both:.2f} and D as C^{found.law.alpha / both:.2f}." if both > 0 else ""
    return report.lines("The best split of compute", "operations (6 N D)", "count", series, power, report.marked({}, {}, "xy"))


def _bought(found: Scaled) -> list[Block]:
    if not found.bought:
        return []
    rows = [_bought_row(one) for one in found.bought]
    columns = ["budget", "operations", "parameters", "95 % interval", "tokens", "tokens each", "loss", "95 % interval", "about"]
    return [
        report.table(
            "What a budget buys", columns, rows, "At the best split by the law; past the rungs this is a guess that grows with distance."
        )
    ]


def _bought_row(one: Bought) -> list[Json]:
    asked = f"{one.asked.seconds:,.0f} s" if one.asked.seconds is not None else f"{short(one.asked.flops or 0)} operations"
    took = f"{one.seconds:,.0f} s" if one.seconds is not None else ""
    if not math.isfinite(one.parameters):
        return [asked, short(one.flops), "cannot be told", "", "", "", "", "", took]
    sizes = f"{short(one.parameters_low)} to {short(one.parameters_high)}" if math.isfinite(one.parameters_low) else "unknown"
    each = round(one.tokens / one.parameters, 2)
    return [
        asked,
        short(one.flops),
        short(one.parameters),
        sizes,
        short(one.tokens),
        each,
        round(one.loss, 3),
        _pair(one.low, one.high, ".3f"),
        took,
    ]


def _rungs(found: Scaled) -> Block:
    columns = ["N", "D", "operations", "loss", "law", "seed", "s", "run"]
    rows = [
        [
            short(r.parameters),
            short(r.tokens),
            short(r.flops),
            round(r.loss, 4),
            round(float(found.law.loss(r.parameters, r.tokens)), 4),
            r.seed,
            round(r.seconds, 1),
            r.run,
        ]
        for r in found.rungs
    ]
    return report.table("Rungs", columns, rows, "`s`: wall time of the training step when it was made.")


def _figures(found: Scaled) -> list[dict[str, Json]]:
    tiles: list[dict[str, Json]] = [{"label": "rungs", "value": len(found.rungs), "note": "", "state": ""}]
    if found.foretold:
        errors = [abs(_error(one.loss, one.rung.loss)) for one in found.foretold]
        tiles.append({"label": "error on held-out rungs", "value": f"{np.mean(errors):.2%}", "note": f"{len(errors)} rungs", "state": ""})
    for one in found.bought[:2]:
        if math.isfinite(one.parameters):
            label = f"{one.asked.seconds:,.0f} s buy" if one.asked.seconds is not None else f"{short(one.flops)} operations buy"
            tiles.append(
                {
                    "label": label,
                    "value": f"loss {one.loss:.2f}",
                    "note": f"{short(one.parameters)} parameters, {short(one.tokens)} tokens",
                    "state": "",
                }
            )
    return tiles


def _size(rungs: Sequence[Rung], size: int) -> float:
    return float(np.mean([rung.parameters for rung in rungs if rung.size == size]))


def _error(foretold: float, measured: float) -> float:
    return foretold / measured - 1


def _pair(low: float, high: float, form: str) -> str:
    if not (math.isfinite(low) and math.isfinite(high)):
        return "unknown"
    return f"{low:.3g} to {high:.3g}" if form == "g" else f"{low:{form}} to {high:{form}}"


def _finite(value: Json) -> Json:
    return value if not isinstance(value, float) or math.isfinite(value) else None
