"""Study files: a recipe, what to vary in it, and what to measure. Checked whole before anything runs, like recipes.

    study: search                  # or scale-law
    name: reviews-search
    over:
      stages.tuned.optimiser.lr: {low: 1.0e-5, high: 1.0e-3, log: true}
      stages.tuned.method.r: [4, 8, 16]
    score: {of: tuned, number: dev.max.macro_f1}
    recipe: reviews.yaml           # another file; or `seed`, `resources` and `stages` follow here, as in any recipe

A study runs a recipe only as far as the step that it reads its number from. It refuses a number that was taken on rows that a gate
judges by. What it does NOT see: the same rows under another name, such as a second `collect` of the file that became the test set.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from sapwood import plugins
from sapwood import recipe as recipes
from sapwood.errors import InputError, Problem, RecipeError
from sapwood.recipe import Recipe, Ref, Step
from sapwood.stage import Stage, inputs, outputs

Json = Any
RECIPE_KEYS = ("sapwood", "seed", "resources", "stages", "actions")
"""Keys of a study file that are the recipe's, where it is written in the same file."""
JUDGES = ("evaluate", "score")
"""Stages whose `examples` are judged on."""


class _Block(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Range(_Block):
    """Numbers from `low` to `high`, both included; whole numbers where both are."""

    low: int | float = Field(description="Smallest value.")
    high: int | float = Field(description="Largest value.")
    log: bool = Field(False, description="Draw evenly in the logarithm: for rates and sizes.")
    step: int | float | None = Field(None, gt=0, description="Distance between two values; not with log.")

    @model_validator(mode="after")
    def _ordered(self) -> Range:
        if not self.low < self.high:
            raise ValueError("low must be less than high")
        if self.log and (self.low <= 0 or self.step is not None):
            raise ValueError("log needs a low above 0 and no step")
        return self

    @property
    def whole(self) -> bool:
        return isinstance(self.low, int) and isinstance(self.high, int) and not isinstance(self.step, float)


Space = Range | Annotated[list[Json], Field(min_length=1)]


class Number(_Block):
    """A number in a step's report. `dev.max.macro_f1` is the largest `macro_f1` of the list `dev`; also min, first and last, or a place."""

    of: str = Field(description="The step whose report holds it; `step.port` where a step has several reports.")
    number: str | list[str] = Field(description="Where in the report's data; several are multiplied.")

    @property
    def step(self) -> str:
        return self.of.partition(".")[0]

    @property
    def paths(self) -> list[str]:
        return [self.number] if isinstance(self.number, str) else self.number


class Score(Number):
    """What is to be made better, taken on development rows."""

    better: Literal["higher", "lower"] = Field("higher", description="Which way is better.")
    watch: str = Field("", description="Metric told while training, for pruning; by default dev_ and the last part of `number`.")

    @property
    def watched(self) -> str:
        return self.watch or f"dev_{self.paths[0].rpartition('.')[2]}"


class Pruning(_Block):
    """Stop trials that fall behind: worse than the median at the same evaluation, or by successive halving (Li et al. 2018)."""

    kind: Literal["median", "hyperband", "none"] = Field("median", description="The rule.")
    trials: int = Field(4, ge=0, description="Whole trials before the median counts.")
    evaluations: int = Field(1, ge=0, description="Evaluations that every trial is given.")


class Budget(_Block):
    """Where the search ends. Without a limit on the clock it is the trials alone."""

    trials: int = Field(20, ge=1, description="Trials, those of earlier sittings included.")
    minutes: float | None = Field(None, gt=0, description="No trial begins after so many minutes, earlier sittings included.")


class Confirm(_Block):
    """The winners and the recipe as written, run again with other seeds."""

    seeds: int = Field(3, ge=0, le=100, description="Fresh seeds; 0 confirms nothing.")
    top: int = Field(1, ge=1, le=10, description="How many of the best trials.")
    steps: list[str] = Field([], description="Steps that take the other seeds; by default the one that is scored.")


class Search(_Block):
    """Which values of some fields make a score best."""

    study: Literal["search"]
    over: dict[str, Space] = Field(min_length=1, description="Dotted path of a field: a list of values, or a range.")
    score: Score = Field(description="What is to be made better.")
    sampler: Literal["tpe", "random", "grid"] = Field("tpe", description="tpe learns from earlier trials (Bergstra et al. 2011).")
    budget: Budget = Field(Budget(), description="Where it ends.")
    prune: Pruning = Field(Pruning(), description="Which trials are stopped early.")
    confirm: Confirm = Field(Confirm(), description="How the winners are run again.")
    workers: int = Field(1, ge=1, le=64, description="Trials at a time, each in a process of its own.")

    @field_validator("over")
    @classmethod
    def _numbers(cls, over: dict[str, Space]) -> dict[str, Space]:
        """YAML reads 1e-4, without a dot, as text."""
        return {path: space if isinstance(space, Range) else [_number(value) for value in space] for path, space in over.items()}

    @model_validator(mode="after")
    def _listed(self) -> Search:
        ranged = [path for path, space in self.over.items() if isinstance(space, Range) and (space.step is None)]
        if self.sampler == "grid" and ranged:
            raise ValueError(f"a grid needs a list of values, or a range with a step: {', '.join(ranged)}")
        return self

    @property
    def numbers(self) -> tuple[Number, ...]:
        return (self.score,)


class Purse(_Block):
    """A budget to be spent on one model: floating-point operations, or seconds on this machine."""

    flops: float | None = Field(None, gt=0, description="Operations, counted as 6 x parameters x tokens.")
    seconds: float | None = Field(None, gt=0, description="Seconds of training at the speed that the rungs had.")

    @model_validator(mode="after")
    def _one(self) -> Purse:
        if (self.flops is None) == (self.seconds is None):
            raise ValueError("give flops or seconds")
        return self


class ScaleLaw(_Block):
    """How loss falls with parameters and tokens, from a ladder of small runs."""

    study: Literal["scale-law"]
    sizes: list[dict[str, Json]] = Field(min_length=2, description="Each a model size: dotted paths and their values.")
    amounts: list[dict[str, Json]] = Field(min_length=2, description="Each an amount of data: dotted paths and their values.")
    loss: Number = Field(description="Held-out loss of a rung.")
    parameters: Number = Field(description="N of a rung.")
    tokens: Number = Field(description="D of a rung: tokens trained on.")
    held_out: int = Field(2, ge=0, description="Rungs of the most compute, predicted from the others.")
    seeds: int = Field(1, ge=1, le=20, description="Runs of each rung, each with another seed.")
    budgets: list[Purse] = Field([], description="What these would buy.")
    workers: int = Field(1, ge=1, le=64, description="Rungs at a time, each in a process of its own.")

    @model_validator(mode="after")
    def _enough(self) -> ScaleLaw:
        rungs = len(self.sizes) * len(self.amounts)
        if rungs - self.held_out < 6:
            raise ValueError(f"{rungs} rungs with {self.held_out} held out leave fewer than 6 to fit five numbers to")
        if len({number.step for number in self.numbers}) != 1:
            raise ValueError("loss, parameters and tokens must be of one step")
        return self

    @property
    def numbers(self) -> tuple[Number, ...]:
        return (self.loss, self.parameters, self.tokens)


KINDS: dict[str, type[Search] | type[ScaleLaw]] = {"search": Search, "scale-law": ScaleLaw}


@dataclass(frozen=True)
class Study:
    """A checked study. `recipe` is cut to the steps that its numbers need; `whole` is all of it."""

    name: str
    description: str
    asked: Search | ScaleLaw
    recipe: Recipe
    whole: Recipe
    file: str

    def variant(self, overrides: Mapping[str, Json], whole: bool = False) -> Recipe:
        """The recipe with other values, every field filled in. Raises `RecipeError`."""
        written = filled(self.whole if whole else self.recipe, overrides)
        return recipes.parse(written, self.file, self.recipe.workspace)


def filled(recipe: Recipe, overrides: Mapping[str, Json], name: str = "") -> str:
    """The filled recipe with other values as YAML. Filled, so that a path may lead into a block that the file leaves to its default."""
    body = recipes.filled(recipe)
    body["name"] = name or recipe.name
    for path, value in overrides.items():
        parts, place = path.split("."), body
        for part in parts[:-1]:
            place = place.setdefault(part, {})
        place[parts[-1]] = value
    return str(yaml.safe_dump(body, sort_keys=False, allow_unicode=True))


def is_study(path: Path) -> bool:
    """Whether the file says `study:` at its top."""
    try:
        with path.open(encoding="utf-8") as stream:
            return any(line.startswith("study:") for line in stream)
    except (OSError, UnicodeDecodeError):
        return False


def read(path: Path, overrides: Sequence[str] = ()) -> Study:
    """The checked study of a file. `overrides` are dotted, of the study (`budget.trials=3`) or of its recipe (`stages.tuned.epochs=1`).

    Raises `InputError` when a file cannot be read, `RecipeError` with every problem otherwise.
    """
    source = _source(path, overrides)
    body = {key: value for key, value in source.data.items() if key not in (*RECIPE_KEYS, "name", "description", "recipe")}
    kind = KINDS.get(str(body.get("study")))
    if kind is None:
        source.fault(("study",), f"no study is called {body.get('study')!r}. {plugins.nearest(str(body.get('study')), list(KINDS))}")
        raise RecipeError(source.problems, "mend that line")
    asked: Search | ScaleLaw | None = None
    try:
        asked = kind.model_validate(body)
    except ValidationError as error:
        recipes._pydantic_faults(source, (), error, [*kind.model_fields, "name", "description", "recipe", *RECIPE_KEYS])
    given = [override for override in overrides if override.partition(".")[0].partition("=")[0] in RECIPE_KEYS]
    whole = _recipe(source, path, given)
    if asked is None or whole is None or source.problems:
        raise RecipeError(source.problems, "mend these lines; the guide on studies shows every key")
    found = Study(str(source.data.get("name") or path.stem), str(source.data.get("description") or ""), asked, whole, whole, str(path))
    source.problems += _faults(source, found)
    if source.problems:
        raise RecipeError(source.problems, "mend these lines; the guide on studies shows every key")
    return replace(found, recipe=until(whole, {number.step for number in asked.numbers}))


def _source(path: Path, overrides: Sequence[str]) -> recipes._Source:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{path}: no such study", "a study file begins with `study: search` or `study: scale-law`") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as UTF-8 text ({error})", "give the path of a YAML study") from None
    source = recipes._parse_yaml(text, str(path))
    for override in overrides:
        if "recipe" not in source.data or override.partition(".")[0].partition("=")[0] not in RECIPE_KEYS:
            recipes._override(source, override)
    return source


def _recipe(source: recipes._Source, path: Path, given: Sequence[str]) -> Recipe | None:
    """The recipe in the same file, or the one that it names."""
    name = source.data.get("recipe")
    if name is not None:
        if "stages" in source.data:
            source.fault(("recipe",), "the stages stand in this file, or in another, not in both")
            return None
        return recipes.read((path.parent / str(name)).resolve(), given)
    inner = recipes._Source(
        source.file, {key: source.data[key] for key in RECIPE_KEYS if key in source.data}, source.lines, source.problems
    )
    inner.data["name"] = source.data.get("name") or path.stem
    return recipes._check(inner, path.resolve().parent)


def until(recipe: Recipe, names: Iterable[str]) -> Recipe:
    """The recipe with these steps and those that they need, and no action."""
    needed: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            waiting += [ref.step for refs in recipe.step(name).refs.values() for ref in refs if ref.step]
    return replace(recipe, steps=tuple(step for step in recipe.steps if step.name in needed and not step.is_action))


def touched(study: Study) -> set[str]:
    """Steps that the study changes, and those after them."""
    asked = study.asked
    paths = list(asked.over) if isinstance(asked, Search) else [path for values in (*asked.sizes, *asked.amounts) for path in values]
    found = {path.split(".")[1] for path in paths}
    for step in study.recipe.steps:  # in running order
        if any(ref.step in found for refs in step.refs.values() for ref in refs):
            found.add(step.name)
    return found


def moving_rows(study: Study) -> list[Ref]:
    """Rows that the number is taken on and that the study itself changes: then its runs are scored on different rows."""
    step, changed = study.recipe.step(study.asked.numbers[0].step), touched(study)
    assert isinstance(step.params, Stage)
    kept = step.params.carries if step.params.carries is not None else ()
    ports = [name for name, port in inputs(step.cls).items() if name not in kept and any(kind.kind == "examples" for kind in port.kinds)]
    return [ref for name in ports for ref in step.refs.get(name, ()) if ref.step in changed]


# --------------------------------------------------------------------------- what can be told before running


def _faults(source: recipes._Source, study: Study) -> list[Problem]:
    """What is wrong between the study and its recipe; every path and value that it would set is tried."""
    steps = {step.name: step for step in study.whole.steps if not step.is_action}
    found = []

    def fault(where: tuple[str, ...], what: str) -> None:
        found.append(Problem(source.where(where), ".".join(where), what))

    for key in ("score", "loss", "parameters", "tokens"):
        number = getattr(study.asked, key, None)
        if number is not None and number.step not in steps:
            fault((key, "of"), f"no stage is called {number.step!r}. {plugins.nearest(number.step, list(steps))}")
        elif number is not None and (wrong := _unreadable(study.whole, steps[number.step], number)):
            fault((key, "of"), wrong)
    if found:
        return found
    cut = until(study.whole, {number.step for number in study.asked.numbers})
    names = {step.name for step in cut.steps}
    for where, values in _tried(study.asked):
        paths = list(values)
        outside = [path for path in paths if path.split(".")[0] == "stages" and path.split(".")[1:2] and path.split(".")[1] not in names]
        if outside or not all(path.split(".")[0] == "stages" and path.count(".") >= 2 for path in paths):
            path = (outside or paths)[0]
            known = path.split(".")[1] if path.count(".") >= 2 else path
            fault(where, f"{known}: no step before {study.asked.numbers[0].step}. {plugins.nearest(known, sorted(names))}")
            continue
        try:
            Study(study.name, "", study.asked, cut, cut, study.file).variant(values)
        except RecipeError as error:
            for problem in error.problems:
                fault(where, f"{problem.path}: {problem.what}")
    for name in study.asked.confirm.steps if isinstance(study.asked, Search) else []:
        if name not in names:
            fault(("confirm", "steps"), f"no step before the score is called {name!r}. {plugins.nearest(name, sorted(names))}")
    return list(dict.fromkeys(found))


def _tried(asked: Search | ScaleLaw) -> Iterable[tuple[tuple[str, ...], dict[str, Json]]]:
    """Each setting that must be right, with the place in the file that asks for it. The middle of a range is taken to be right too."""
    if isinstance(asked, ScaleLaw):
        yield from ((("sizes", str(place)), values) for place, values in enumerate(asked.sizes))
        yield from ((("amounts", str(place)), values) for place, values in enumerate(asked.amounts))
        return
    for path, space in asked.over.items():
        for value in [space.low, space.high] if isinstance(space, Range) else space:
            yield ("over", path), {path: value}


def _unreadable(recipe: Recipe, step: Step, number: Number) -> str:
    """Why a number cannot be taken from a step, or ""."""
    ports = outputs(step.cls)
    reports = [name for name, port in ports.items() if any(kind.kind == "report" for kind in port.kinds)]
    port = number.of.partition(".")[2]
    if not reports or (port and port not in reports):
        return f"{step.name} has no report{f' called {port!r}' if port else ''}"
    judged = judged_rows(recipe)
    read = read_rows(recipe, step)
    if judged & read or step.registered == "gate":
        rows = ", ".join(sorted(str(ref) for ref in judged & read)) or "a verdict"
        return f"{step.name} reads {rows}, which a gate judges by; choose by development rows, or the gate proves nothing"
    return ""


def judged_rows(recipe: Recipe) -> set[Ref]:
    """Rows that must not choose anything: what a `split` sets aside as `test`, and what the evaluations of a gate are on."""
    tests = {Ref(step.name, "test") for step in recipe.steps if step.registered == "split"}
    gated = {ref.step for step in recipe.steps if step.registered == "gate" for refs in step.refs.values() for ref in refs}
    return tests | {
        ref for step in recipe.steps if step.name in gated and step.registered in JUDGES for ref in step.refs.get("examples", ())
    }


def read_rows(recipe: Recipe, step: Step) -> set[Ref]:
    """Every output whose rows a step's report can depend on: all its inputs, and what those carry."""
    found = {ref for refs in step.refs.values() for ref in refs}
    waiting = [ref for ref in found if ref.step]
    while waiting:
        maker = recipe.step(waiting.pop().step)
        assert isinstance(maker.params, Stage)
        carried = maker.params.carries if maker.params.carries is not None else tuple(inputs(maker.cls))
        new = {ref for port in carried for ref in maker.refs.get(port, ())} - found
        found |= new
        waiting += [ref for ref in new if ref.step]
    return found


def _number(value: Json) -> Json:
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def taken(data: Mapping[str, Json], number: Number, file: str) -> float:
    """The number in a report's data. Raises `InputError` naming what stands where the path breaks."""
    product = 1.0
    for path in number.paths:
        product *= _at(data, path, number, file)
    return product


def _at(data: Json, path: str, number: Number, file: str) -> float:
    parts = path.split(".")
    place = data
    for depth, part in enumerate(parts):
        if isinstance(place, list) and part in ("max", "min"):
            values = [_at(item, ".".join(parts[depth + 1 :]), number, file) for item in place]
            if values:
                return max(values) if part == "max" else min(values)
            place = None
        elif isinstance(place, list) and part in ("first", "last"):
            place = place[0 if part == "first" else -1] if place else None
        elif isinstance(place, list):
            place = place[int(part)] if part.isdigit() and int(part) < len(place) else None
        else:
            if isinstance(place, dict) and part not in place:
                raise InputError(
                    f"{file}: the report of {number.of} has no {path!r}: {plugins.nearest(part, list(place))}", "mend `number`"
                )
            place = place[part] if isinstance(place, dict) else None
    if isinstance(place, bool) or not isinstance(place, int | float):
        shown = json.dumps(place)[:60]
        raise InputError(f"{file}: {path!r} in the report of {number.of} is {shown}, no number", "mend `number`")
    return float(place)
