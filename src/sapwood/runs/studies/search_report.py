"""The report of a search: the winner against the recipe as written, the history, what mattered, and every trial."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from sapwood import report
from sapwood.metrics import seeds
from sapwood.metrics.intervals import Interval
from sapwood.recipe.study import Range, Search, Space, moving_rows
from sapwood.report import Block
from sapwood.runs.studies.search import Searched, Trial
from sapwood.runs.studies.telling import short_names, shown, values

Json = Any


def write(found: Searched, folder: Path, took: float) -> None:
    """Write `report.json` of the study. `took` is the wall time of this sitting."""
    asked = found.study.asked
    assert isinstance(asked, Search)
    best = found.ranked[0]
    intervals = {one.name: seeds.mean(one.scores) for one in found.repeats}
    gaps = {one.name: seeds.difference(one.scores, found.repeats[0].scores) for one in found.repeats[1:]}
    overrides = [f"{path}={_written(value)}" for path, value in best.values.items()]
    data = {
        "best": {"trial": best.number + 1, "values": dict(best.values), "score": best.score, "run": best.run},
        "overrides": overrides,
        "score": asked.score.model_dump(mode="json"),
        "trials": [{**vars(trial), "values": dict(trial.values), "curve": list(trial.curve)} for trial in found.trials],
        "repeats": [{"name": one.name, "scores": list(one.scores), "values": dict(one.values)} for one in found.repeats],
        "against_as_written": {name: _ends(gap) for name, gap in gaps.items()},
        "importance": found.importance,
        "seconds": round(took, 1),
        "figures": _figures(found, gaps),
    }
    blocks = [
        report.text(_told(found, overrides)),
        *_confirmed(found, intervals, gaps),
        _history(found),
        _coordinates(found, asked),
        *_importance(found),
        _table(found),
    ]
    report.write(folder, f"Search: {found.study.description or found.study.name}", _summary(found, gaps), data, blocks)


def _summary(found: Searched, gaps: Mapping[str, Interval]) -> str:
    best, name = found.ranked[0], _name(found)
    counts = {state: sum(trial.state == state for trial in found.trials) for state in ("done", "pruned", "failed")}
    states = ", ".join(f"{count} {'finished' if state == 'done' else state}" for state, count in counts.items() if count)
    ties = sum(f"{trial.score:.4f}" == f"{best.score:.4f}" for trial in found.ranked) - 1
    also = f"; {ties} other{'s' * (ties > 1)} scored the same" if ties else ""
    told = f"{len(found.trials)} trials ({states}): best {name} {best.score:.4f} with {values(best.values)}{also}."
    for gap in list(gaps.values())[:1]:
        told += f" With {len(found.repeats[0].scores)} fresh seeds it is {_against(gap, _better(found))}."
    return told


def _against(gap: Interval, higher: bool) -> str:
    size = f"{gap.value:+.4f} against the recipe as written"
    if not math.isfinite(gap.low):
        return f"{size} (one seed: no interval)"
    verdict = _verdict(gap, higher)
    advice = "; keep the recipe as written" if verdict == "worse" else ""
    return f"{size}, 95 % interval {gap.low:+.4f} to {gap.high:+.4f}: {verdict}{advice}"


def _verdict(gap: Interval, higher: bool) -> str:
    """What the interval of winner minus recipe as written allows to say."""
    if gap.low > 0 or gap.high < 0:
        return "better" if (gap.low > 0) is higher else "worse"
    return "not told apart from it"


def _told(found: Searched, overrides: Sequence[str]) -> str:
    steps = [(trial.made, trial.reused, trial.saved_s) for trial in found.trials]
    made, reused, saved = (sum(column) for column in zip(*steps, strict=True))
    flags = " ".join(f"--set '{one}'" for one in overrides)
    return (
        f"The best values, for `sapwood run`: {flags}\n\n"
        f"Of {made + reused:,} steps of the finished trials {reused:,} were on record and not made again; those had taken {saved:,.0f} s in all. "
        "The score was taken on development rows, which chose the winner: on rows that chose nothing it will be lower. "
        "No trial opened the rows that a gate judges by." + _moving(found)
    )


def _moving(found: Searched) -> str:
    rows = ", ".join(str(ref) for ref in moving_rows(found.study))
    return (
        f"\n\nThe searched fields change {rows}: trials were scored on different rows, so small gaps between them say little."
        if rows
        else ""
    )


def _confirmed(found: Searched, intervals: Mapping[str, Interval], gaps: Mapping[str, Interval]) -> list[Block]:
    if not found.repeats:
        return []
    rows = []
    for one in found.repeats:
        mean, gap = intervals[one.name], gaps.get(one.name)
        apart = f"{gap.value:+.4f} [{gap.low:+.4f}, {gap.high:+.4f}]" if gap and math.isfinite(gap.low) else ""
        rows.append([one.name, values(one.values) or "-", round(mean.value, 4), _pair(mean), apart, len(one.scores)])
    note = "Student's t over seeds that took no part in the search; the same development rows. `against` is paired by seed."
    columns = ["setting", "values", _name(found), "95 % interval", "against as written", "seeds"]
    return [report.table("Run again with other seeds", columns, rows, note)]


def _pair(mean: Interval) -> str:
    return f"[{mean.low:.4f}, {mean.high:.4f}]" if math.isfinite(mean.low) else "unknown"


def _history(found: Searched) -> Block:
    done = [trial for trial in found.trials if trial.score is not None]
    higher, best, line = _better(found), math.nan, []
    for trial in done:
        score = trial.score or 0.0
        best = score if math.isnan(best) else max(best, score) if higher else min(best, score)
        line.append((float(trial.number + 1), best))
    pruned = [(float(t.number + 1), t.curve[-1]) for t in found.trials if t.state == "pruned" and t.curve]
    points = {"a trial": [(float(trial.number + 1), float(trial.score or 0.0)) for trial in done]}
    marks = report.marked(points, {"pruned, at its last evaluation": pruned} if pruned else {})
    return report.lines("History", "trial", _name(found), {"best so far": line}, "", marks)


def _coordinates(found: Searched, asked: Search) -> Block:
    """One axis a field and one for the score, which is drawn so that better is up."""
    names = short_names(list(asked.over))
    done = found.ranked
    scores = [trial.score or 0.0 for trial in done]
    low, high = min(scores), max(scores)
    span = (high - low) or 1.0
    up = _better(found)
    axes = [{"name": names[path], "ticks": _ticks(space)} for path, space in asked.over.items()]
    ends = (low, high) if up else (high, low)
    axes.append({"name": _name(found), "ticks": [(0.0, f"{ends[0]:.4f}"), (1.0, f"{ends[1]:.4f}")]})
    rows = []
    for place, trial in enumerate(done):
        share = ((trial.score or 0.0) - low) / span
        places = [_place(space, trial.values[path]) for path, space in asked.over.items()]
        rank = "best" if place == 0 else "top" if place < max(1, len(done) // 4) + 1 else "other"
        rows.append({"places": [*places, share if up else 1 - share], "rank": rank})
    return report.parallel(
        "Every finished trial", axes, rows, "A line is a trial; better is up. Pruned trials have no score and are left out."
    )


def _place(space: Space, value: Json) -> float | None:
    if not isinstance(space, Range):
        return space.index(value) / max(1, len(space) - 1) if value in space else None
    if space.log:
        return (math.log(value) - math.log(space.low)) / (math.log(space.high) - math.log(space.low))
    return float((value - space.low) / (space.high - space.low))


def _ticks(space: Space) -> list[tuple[float, str]]:
    if not isinstance(space, Range):
        return [(place / max(1, len(space) - 1), shown(value)[:40]) for place, value in enumerate(space)]
    middle = math.sqrt(space.low * space.high) if space.log else (space.low + space.high) / 2
    return [(0.0, shown(space.low)), (0.5, f"{middle:.3g}"), (1.0, shown(space.high))]


def _importance(found: Searched) -> list[Block]:
    if not found.importance:
        return [report.text("Which field mattered cannot be told from so few finished trials.")]
    names = short_names(list(found.importance))
    rows = [(names[path], round(share, 4), None, None) for path, share in found.importance.items()]
    done = sum(trial.state == "done" for trial in found.trials)
    note = f"Share of the score's variance by fANOVA (Hutter et al. 2014) over {done} finished trials: within the searched ranges only."
    return [report.bars("What mattered", rows, "", f"{note} With fewer than some 50 trials it is a hint." if done < 50 else note)]


def _table(found: Searched) -> Block:
    asked = found.study.asked
    assert isinstance(asked, Search)
    names = short_names(list(asked.over))
    columns = ["trial", *names.values(), _name(found), "state", "s", "reused"]
    rows = [_row(trial, list(names)) for trial in sorted(found.trials, key=lambda trial: trial.number)]
    return report.table("Trials", columns, rows, "`reused`: steps that were on record, of all steps of the trial. `s`: its wall time.")


def _row(trial: Trial, paths: list[str]) -> list[Json]:
    score = round(trial.score, 4) if trial.score is not None else ""
    told = trial.state if trial.state != "failed" else f"failed: {trial.error.splitlines()[0][:60] if trial.error else ''}"
    shared = f"{trial.reused}/{trial.made + trial.reused}" if trial.made + trial.reused else ""
    return [trial.number + 1, *(shown(trial.values.get(path, "")) for path in paths), score, told, round(trial.seconds, 1), shared]


def _figures(found: Searched, gaps: Mapping[str, Interval]) -> list[dict[str, Json]]:
    best = found.ranked[0]
    tiles = [{"label": f"best {_name(found)}", "value": f"{best.score:.4f}", "note": values(best.values), "state": ""}]
    for gap in list(gaps.values())[:1]:
        state = {"better": "ok", "worse": "fail"}.get(_verdict(gap, _better(found)), "warn")
        note = (
            f"95 %: {gap.low:+.4f} to {gap.high:+.4f}, {len(found.repeats[0].scores)} fresh seeds" if math.isfinite(gap.low) else "one seed"
        )
        tiles.append({"label": "against as written", "value": f"{gap.value:+.4f}", "note": note, "state": state})
    reused = sum(trial.reused for trial in found.trials)
    tiles.append(
        {"label": "steps reused", "value": f"{reused:,}", "note": f"of {reused + sum(t.made for t in found.trials):,}", "state": ""}
    )
    return tiles


def _name(found: Searched) -> str:
    asked = found.study.asked
    assert isinstance(asked, Search)
    return asked.score.paths[0].rpartition(".")[2]


def _better(found: Searched) -> bool:
    asked = found.study.asked
    assert isinstance(asked, Search)
    return asked.score.better == "higher"


def _ends(gap: Interval) -> dict[str, float | None]:
    """An interval for JSON, which has no infinity."""
    return {name: value if math.isfinite(value) else None for name, value in gap.as_dict().items()}


def _written(value: Json) -> str:
    """A value as `--set` takes it."""
    return str(yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=1000)).removesuffix("...\n").strip()
