"""Search: which values of some fields of a recipe make a score best (Optuna), confirmed with other seeds.

The proposals of a trial are a function of (seed, number of the trial, scores so far): with one worker a search that was stopped and
continued proposes what it would have proposed. A trial that was cut off continues, and the steps that it shares with others are reused.

What it does not do: it never opens rows that a gate judges by, so it cannot say how good the winner is on them; and fields that exist
only under a choice of another field are not searched (list whole blocks instead).
"""

from __future__ import annotations

import itertools
import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sapwood import recipe as recipes
from sapwood.errors import Interrupted, MissingExtra, SapwoodError
from sapwood.recipe import Recipe
from sapwood.recipe.study import Range, Search, Space, Study, filled
from sapwood.runs.monitor import StopFlag
from sapwood.runs.studies import kept as keeping
from sapwood.runs.studies.crew import Calls, Crew, Ended, Order
from sapwood.runs.studies.kept import Kept
from sapwood.store.local import LocalStore

Json = Any
HOPELESS = 3
"""Trials that fail one after the other before any succeeded: then the recipe is at fault, not the values."""


@dataclass(frozen=True)
class Trial:
    """One setting that was tried. `state`: done, pruned, failed, running. `score` is None until one is known."""

    number: int
    values: Mapping[str, Json]
    state: str
    score: float | None
    seconds: float = 0.0
    run: str = ""
    made: int = 0
    reused: int = 0
    saved_s: float = 0.0
    error: str = ""
    curve: tuple[float, ...] = ()
    """Scores at its evaluations."""


@dataclass(frozen=True)
class Repeats:
    """Scores of one setting by seed. `name`: "as written" or "trial N"."""

    name: str
    values: Mapping[str, Json]
    scores: tuple[float, ...]


@dataclass
class Searched:
    """What a search came to. `importance` may be empty: too few trials."""

    study: Study
    identifier: str
    trials: list[Trial]
    repeats: list[Repeats] = field(default_factory=list)
    importance: dict[str, float] = field(default_factory=dict)

    @property
    def ranked(self) -> list[Trial]:
        """Finished trials, the best first; of equals the earlier one."""
        sign = -1 if _asked(self.study).score.better == "higher" else 1
        done = [trial for trial in self.trials if trial.state == "done" and trial.score is not None]
        return sorted(done, key=lambda trial: (sign * (trial.score or 0.0), trial.number))


Tell = Callable[[str, Mapping[str, Json]], None]
"""`tell("trial", ...)`, `tell("repeat", ...)`: what happens, for a person or a program."""


def run(study: Study, store: LocalStore, kept: Kept, stop: StopFlag, tell: Tell) -> Searched:
    """Search until the budget is spent, then confirm. Raises `Interrupted` after saving when `stop` was set."""
    asked = _asked(study)
    searcher = _Searcher(study, store, kept, tell)
    crew = Crew(store.root, asked.workers, stop, kept.log)
    crew.work(Calls(searcher.next, searcher.ended, searcher.score))
    if stop.is_set():
        raise Interrupted(f"stopped after {len(searcher.trials('done'))} finished trials", "run the same command again to continue")
    found = Searched(study, kept.identifier, searcher.trials())
    if not found.ranked:
        errors = [trial.error for trial in found.trials if trial.error]
        raise SapwoodError(f"no trial of {len(found.trials)} finished: {errors[-1] if errors else 'all were pruned'}", f"see {kept.log}")
    found.repeats = _confirm(found, store, crew, tell)
    if stop.is_set():
        raise Interrupted("stopped while the winners were run again", "run the same command again to continue")
    found.importance = searcher.importance()
    return found


class _Searcher:
    """Asks Optuna for settings and tells it their scores. Called by one thread at a time."""

    def __init__(self, study: Study, store: LocalStore, kept: Kept, tell: Tell) -> None:
        self.study, self.asked, self.store, self.tell = study, _asked(study), store, tell
        self.optuna = _optuna()
        self.kept = self.optuna.create_study(
            study_name=study.name,
            storage=f"sqlite:///{kept.database}",
            direction="maximize" if self.asked.score.better == "higher" else "minimize",
            pruner=_pruner(self.optuna, self.asked),
            load_if_exists=True,
        )
        self.seed = study.recipe.seed
        self.grid = _grid(self.asked) if self.asked.sampler == "grid" else []
        if not self.kept.trials and not self.grid and (written := _as_written(study)):
            self.kept.enqueue_trial(written)
        self.cut_off = [trial for trial in self.kept.trials if trial.state.name == "RUNNING"]
        self.open: dict[int, Any] = {}
        self.unread: SapwoodError | None = None
        self.began: dict[int, float] = {}
        self.sat = time.monotonic()
        self.before = float(self.kept.user_attrs.get("seconds", 0.0))

    def next(self) -> Order | None:
        if self.unread and not self.trials("done"):
            raise self.unread  # every trial would be read in the same way
        if self._hopeless():
            return None
        if self.cut_off:
            from optuna.trial import Trial as Open

            trial = Open(self.kept, self.cut_off.pop(0)._trial_id)  # the same number and values again: its steps continue
        else:
            number = sum(trial.state.name != "WAITING" for trial in self.kept.trials)
            minutes = (self.before + time.monotonic() - self.sat) / 60
            if number >= min(self.asked.budget.trials, len(self.grid) or math.inf) or minutes >= (self.asked.budget.minutes or math.inf):
                return None
            if self.grid:
                self.kept.enqueue_trial(self.grid[number])
            self.kept.sampler = _sampler(self.optuna, self.asked, self.seed, number)
            trial = self.kept.ask()
        values = {path: _suggested(trial, path, space) for path, space in self.asked.over.items()}
        trial.set_user_attr("values", values)
        self.open[trial.number], self.began[trial.number] = trial, time.monotonic()
        watch = (self.asked.score.step, self.asked.score.watched)
        text = filled(self.study.recipe, values, f"{self.study.name}/trial-{trial.number + 1}")
        return Order(trial.number, text, self.study.file, self.study.recipe.workspace, watch)

    def score(self, order: Order, at: int, value: float) -> bool:
        """Note an evaluation; whether the trial goes on."""
        trial = self.open[order.name]
        if not math.isfinite(value) or at in self.kept.trials[order.name].intermediate_values:
            return True
        trial.report(value, at)
        return self.asked.prune.kind == "none" or not trial.should_prune()

    def ended(self, order: Order, ended: Ended) -> None:
        from optuna.trial import TrialState

        if ended.state == "interrupted":
            return  # it stays open in the database and is continued
        trial = self.open.pop(order.name)
        seconds = time.monotonic() - self.began.pop(order.name)
        error, score = ended.error, None
        if ended.state == "done":
            run = self.store.records.run(ended.run)
            trial.set_user_attr("labour", vars(keeping.labour(self.store, run)))
            try:
                score = keeping.read_number(self.store, run, self.asked.score)
            except SapwoodError as fault:
                error, self.unread = fault.what, fault
        state = {"pruned": TrialState.PRUNED}.get(ended.state, TrialState.FAIL if score is None or not math.isfinite(score) else None)
        for name, value in (("seconds", seconds), ("run", ended.run), ("error", error)):
            trial.set_user_attr(name, value)
        self.kept.tell(trial, None if state else score, state=state)
        self.kept.set_user_attr("seconds", self.before + time.monotonic() - self.sat)
        told = next(one for one in self.trials() if one.number == order.name)
        best = self.kept.best_value if any(one.state == "done" for one in self.trials()) else None
        self.tell("trial", {**vars(told), "best": best, "of": min(self.asked.budget.trials, len(self.grid) or self.asked.budget.trials)})

    def trials(self, state: str = "") -> list[Trial]:
        """What was tried so far, in order."""
        return [trial for one in self.kept.trials if one.state.name != "WAITING" and (trial := _trial(one)) and state in ("", trial.state)]

    def _hopeless(self) -> bool:
        states = [trial.state for trial in self.trials() if trial.state != "running"]
        return len(states) >= HOPELESS and set(states) == {"failed"}

    def importance(self) -> dict[str, float]:
        """Share of the score's variance that each field explains (fANOVA, Hutter et al. 2014); empty with fewer than four whole trials."""
        done = self.trials("done")
        if len(done) < 4 or len({trial.score for trial in done}) < 2:
            return {}
        evaluator = self.optuna.importance.FanovaImportanceEvaluator(seed=self.seed)
        found = self.optuna.importance.get_param_importances(self.kept, evaluator=evaluator)
        return {path: float(share) for path, share in found.items()}


def _asked(study: Study) -> Search:
    assert isinstance(study.asked, Search)
    return study.asked


def _optuna() -> Any:
    try:
        import optuna
    except ImportError:
        raise MissingExtra("optuna", "search", "a search") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _pruner(optuna: Any, asked: Search) -> Any:
    prune = asked.prune
    if prune.kind == "hyperband":
        return optuna.pruners.HyperbandPruner(min_resource=max(1, prune.evaluations))
    if prune.kind == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=prune.trials, n_warmup_steps=prune.evaluations)
    return optuna.pruners.NopPruner()


def _sampler(optuna: Any, asked: Search, seed: int, number: int) -> Any:
    """A fresh sampler for each trial, so that stopping and continuing changes nothing."""
    drawn = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
    if asked.sampler == "tpe":
        whole = max(4, min(10, asked.budget.trials // 3))
        return optuna.samplers.TPESampler(seed=drawn, n_startup_trials=whole)
    return optuna.samplers.RandomSampler(seed=drawn)


def _plain(values: list[Json]) -> bool:
    return all(value is None or isinstance(value, bool | int | float | str) for value in values)


def _suggested(trial: Any, path: str, space: Space) -> Json:
    """The value to run: of a range rounded to four digits, so that it can be read and written."""
    if not isinstance(space, Range):
        drawn = trial.suggest_categorical(path, _choices(space))
        return drawn if _plain(space) else json.loads(drawn)
    if space.whole:
        return trial.suggest_int(path, int(space.low), int(space.high), step=int(space.step or 1), log=space.log)
    drawn = trial.suggest_float(path, space.low, space.high, step=space.step, log=space.log)
    return float(min(max(float(f"{drawn:.4g}"), space.low), space.high))


def _choices(space: list[Json]) -> list[Json]:
    return space if _plain(space) else [json.dumps(value, ensure_ascii=False, sort_keys=True) for value in space]


def _grid(asked: Search) -> list[dict[str, Json]]:
    """Every point, the last path turning fastest."""
    axes = []
    for space in asked.over.values():
        if isinstance(space, Range):
            count = int((space.high - space.low) / (space.step or 1) + 1e-9) + 1
            axes.append([space.low + place * (space.step or 1) for place in range(count)])
        else:
            axes.append(_choices(space))
    return [dict(zip(asked.over, point, strict=True)) for point in itertools.product(*axes)]


def _as_written(study: Study) -> dict[str, Json]:
    """The recipe's own values as the first trial, where the space holds them; else nothing."""
    found: dict[str, Json] = {}
    for path, space in _asked(study).over.items():
        own = _at(study.recipe, path)
        if isinstance(space, Range):
            if isinstance(own, bool) or not isinstance(own, int | float) or not space.low <= own <= space.high or space.step:
                return {}
            found[path] = own
            continue
        alike = [place for place, value in enumerate(space) if value == own or _at(study.variant({path: value}), path) == own]
        if not alike:
            return {}
        found[path] = _choices(space)[alike[0]]
    return found


def _at(recipe: Recipe, path: str) -> Json:
    """A field of the filled recipe: a block is compared with its defaults written out."""
    place: Json = recipes.filled(recipe)
    for part in path.split("."):
        place = place.get(part) if isinstance(place, dict) else None
    return place


STATES = {"COMPLETE": "done", "PRUNED": "pruned", "FAIL": "failed", "RUNNING": "running"}


def _trial(frozen: Any) -> Trial:
    told = frozen.user_attrs
    labour = told.get("labour", {"made": 0, "reused": 0, "saved_s": 0.0})
    curve = tuple(value for _, value in sorted(frozen.intermediate_values.items()))
    values, state = told.get("values", {}), STATES[frozen.state.name]
    score = frozen.value if state == "done" else None
    return Trial(
        frozen.number,
        values,
        state,
        score,
        told.get("seconds", 0.0),
        told.get("run", ""),
        error=told.get("error", ""),
        curve=curve,
        **labour,
    )


# --------------------------------------------------------------------------- the winners again


def _confirm(found: Searched, store: LocalStore, crew: Crew, tell: Tell) -> list[Repeats]:
    """The recipe as written and the best trials with seeds that chose nothing. A stopped confirmation starts again and reuses its runs."""
    asked = _asked(found.study)
    seeds = [found.study.recipe.seed + 1 + place for place in range(asked.confirm.seeds)]
    settings = [("as written", {}), *((f"trial {trial.number + 1}", dict(trial.values)) for trial in found.ranked[: asked.confirm.top])]
    steps = asked.confirm.steps or [asked.score.step]
    orders = []
    for name, values in settings:
        for seed in seeds:
            fields = {**values, **{f"stages.{step}.seed": seed for step in steps}}
            text = filled(found.study.recipe, fields, f"{found.study.name}/{name.replace(' ', '-')}/seed-{seed}")
            orders.append(Order((name, seed), text, found.study.file, found.study.recipe.workspace))
    scores: dict[tuple[str, int], float] = {}

    def ended(order: Order, how: Ended) -> None:
        if how.state == "done":
            scores[order.name] = keeping.read_number(store, store.records.run(how.run), asked.score)
            tell("repeat", {"name": order.name[0], "seed": order.name[1], "score": scores[order.name], "run": how.run})
        elif how.state == "failed":
            raise how.blame(f"{order.name[0]} with seed {order.name[1]}", f"sapwood why {how.run or 'last'}")

    waiting = iter(orders)
    crew.work(Calls(lambda: next(waiting, None), ended))
    if len(scores) < len(orders):
        return []
    return [Repeats(name, values, tuple(scores[name, seed] for seed in seeds)) for name, values in settings] if seeds else []
