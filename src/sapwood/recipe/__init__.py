"""Recipes: YAML to checked steps. Every fault is found before anything runs, and all are reported at once.

    sapwood: 1
    name: reviews
    seed: 13
    inputs: {champion: model}      # only for recipes that others start, such as a cycle's
    stages:
      clean:                       # the step's name; `stage:` names the registered stage where they differ
        documents: collect         # a port: `step` is that step's first output, `step.port` another
        min_chars: 5               # a field
    actions:
      promote: {bundle: compress}

Actions run after the stages, in the order of the file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from sapwood import plugins
from sapwood.artifact import KINDS, Artifact
from sapwood.errors import InputError, Problem, RecipeError
from sapwood.recipe.wording import worded
from sapwood.stage import Action, Port, Resources, Stage, inputs, outputs

FORMAT = 1
LARGEST = 1_000_000
TOP = ("sapwood", "name", "description", "seed", "inputs", "resources", "stages", "actions")


@dataclass(frozen=True)
class Ref:
    """A reference to an output: of a step, or (`step` empty) an input of the recipe."""

    step: str
    port: str

    def __str__(self) -> str:
        return f"{self.step}.{self.port}" if self.step else self.port


@dataclass(frozen=True)
class Step:
    """One named step: its class with parameters filled in, and where each input port comes from."""

    name: str
    registered: str
    params: Stage | Action
    refs: Mapping[str, tuple[Ref, ...]]
    seed: int
    where: str

    @property
    def cls(self) -> type[Stage] | type[Action]:
        return type(self.params)

    @property
    def is_action(self) -> bool:
        return isinstance(self.params, Action)


@dataclass(frozen=True)
class Recipe:
    """A checked recipe. `steps` are in running order: stages by dependency, then actions as written."""

    name: str
    description: str
    seed: int
    inputs: Mapping[str, type[Artifact]]
    resources: Resources
    steps: tuple[Step, ...]
    workspace: Path
    file: str = ""

    def step(self, name: str) -> Step:
        return next(step for step in self.steps if step.name == name)


@dataclass
class _Source:
    """The parsed file: plain data, and the line of every dotted path."""

    file: str
    data: dict[str, Any]
    lines: dict[tuple[str, ...], int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def where(self, path: Sequence[str]) -> str:
        parts = tuple(str(part) for part in path)
        while parts and parts not in self.lines:
            parts = parts[:-1]
        line = self.lines.get(parts, 0)
        return "--set" if line < 0 else f"{self.file}:{line}" if line else self.file

    def fault(self, path: Sequence[str], what: str) -> None:
        self.problems.append(Problem(self.where(path), ".".join(str(part) for part in path), what))


# --------------------------------------------------------------------------- reading YAML with lines


def read(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """The checked recipe of a file. `overrides` are dotted: `stages.clean.min_chars=20`.

    Raises `InputError` when the file cannot be read, `RecipeError` with every problem otherwise.
    """
    try:
        if path.exists() and (not path.is_file() or path.stat().st_size > LARGEST):
            raise InputError(f"{path}: a recipe is a file of at most {LARGEST / 1e6:.0f} MB", "give the path of a YAML recipe")
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{path}: no such recipe", "sapwood init my-project writes one") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as UTF-8 text ({error})", "give the path of a YAML recipe") from None
    return parse(text, str(path), path.resolve().parent, overrides)


def parse(text: str, file: str, workspace: Path, overrides: Sequence[str] = ()) -> Recipe:
    """The checked recipe of a text; `file` is what messages call it, `workspace` what its paths are relative to."""
    source = _parse_yaml(text, file)
    for override in overrides:
        _override(source, override)
    recipe = _check(source, workspace)
    if source.problems or recipe is None:
        raise RecipeError(source.problems, "mend these lines; `sapwood stage NAME --help` lists fields and ports")
    return recipe


def _parse_yaml(text: str, file: str) -> _Source:
    source = _Source(file, {})
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        if isinstance(node, yaml.MappingNode):
            source.data = _plain(node, (), source)
    except RecursionError:
        raise RecipeError([Problem(file, "", "nested too deep, or an alias that holds itself")], "write it flat") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise RecipeError([Problem(f"{file}{line}", "", f"not valid YAML: {getattr(error, 'problem', error)}")], "mend that line") from None
    if not isinstance(node, yaml.MappingNode):
        raise RecipeError(
            [Problem(f"{file}:1", "", "a recipe is a mapping with `name` and `stages`")], "sapwood init my-project writes one"
        )
    return source


def _plain(node: yaml.Node, path: tuple[str, ...], source: _Source) -> Any:
    source.lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            here = (*path, key)
            if key in found:
                source.lines[here] = key_node.start_mark.line + 1
                source.fault(here, "written twice")
            source.lines[here] = key_node.start_mark.line + 1
            found[key] = _plain(value_node, here, source)
        return found
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item, (*path, str(i)), source) for i, item in enumerate(node.value)]
    loader = yaml.SafeLoader("")
    try:
        return loader.construct_object(node)
    except (yaml.YAMLError, ValueError):
        source.fault(path, f"a tag that recipes do not use: {node.tag}")
        return None
    finally:
        loader.dispose()


def _override(source: _Source, override: str) -> None:
    dotted, equals, raw = override.partition("=")
    path = tuple(dotted.strip().split("."))
    if not equals or not all(path):
        source.problems.append(Problem("--set", override, "write it as stages.STEP.FIELD=VALUE"))
        return
    if path[0] in ("stages", "actions") and (len(path) < 3 or path[1] not in (source.data.get(path[0]) or {})):
        known = list(source.data.get(path[0]) or {})
        what = "name a field: stages.STEP.FIELD=VALUE" if len(path) < 3 else f"no such step. {plugins.nearest(path[1], known)}"
        source.problems.append(Problem("--set", dotted, what))
        return
    place: Any = source.data
    if path[0] in ("stages", "actions"):
        if place[path[0]][path[1]] is None:  # a step that writes nothing
            place[path[0]][path[1]] = {}
        body = place[path[0]][path[1]]
        if isinstance(body, dict) and len(path) > 3:
            body.setdefault(path[2], _usual(path[0], path[1], body, path[2]))
    for part in path[:-1]:
        place = place.setdefault(part, {}) if isinstance(place, dict) else place
        if isinstance(place, list) and part.isdigit() and int(part) < len(place):
            place = place[int(part)]
    try:
        value = yaml.safe_load(raw)
    except yaml.YAMLError:
        value = raw
    if isinstance(place, dict):
        place[path[-1]] = value
        source.lines[path] = -1
    else:
        source.problems.append(Problem("--set", dotted, "leads to a value that has no fields"))


def _usual(section: str, step: str, body: Mapping[str, Any], field: str) -> dict[str, Any]:
    """The kind of block that a step has where its recipe writes none, so that one field of it can be set."""
    registered = str(body.get(section.removesuffix("s"), step))
    if registered not in plugins.table(section):
        return {}
    known = plugins.load(section, registered).model_fields.get(field)
    kind = getattr(known.default, "kind", None) if known else None
    return {"kind": kind} if kind else {}


# --------------------------------------------------------------------------- checking


def _check(source: _Source, workspace: Path) -> Recipe | None:
    data = source.data
    for key in data:
        if key not in TOP:
            source.fault((key,), f"no such key. {plugins.nearest(key, list(TOP))}")
    if data.get("sapwood", FORMAT) != FORMAT:
        source.fault(("sapwood",), f"this program reads format {FORMAT}")
    seed = data.get("seed", 0)
    if not _is_seed(seed):
        source.fault(("seed",), SEED)
        seed = 0
    given = _declared_inputs(source)
    resources = _resources(source)
    steps: dict[str, Step] = {}
    for section in ("stages", "actions"):
        body = data.get(section) or {}
        if not isinstance(body, dict):
            source.fault((section,), "a mapping of step names to steps")
            continue
        for name, fields in body.items():
            if name in steps or name in given:
                source.fault((section, name), "this name is taken by another step or input")
                continue
            step = _step(source, section, name, fields, seed)
            if step is not None:
                steps[name] = step
    if not data.get("stages") and not data.get("actions"):
        source.fault((), "no stages: a recipe needs at least one")
    _check_ports(source, steps, given)
    order = _order(source, steps)
    name = str(data.get("name") or Path(source.file).stem)
    return Recipe(name, str(data.get("description") or ""), seed, given, resources, order, workspace, source.file)


def _declared_inputs(source: _Source) -> dict[str, type[Artifact]]:
    given: dict[str, type[Artifact]] = {}
    for name, kind in (source.data.get("inputs") or {}).items():
        if kind not in KINDS:
            source.fault(("inputs", name), f"{kind} is not a kind of artifact. {plugins.nearest(str(kind), list(KINDS))}")
        else:
            given[name] = KINDS[kind]
    return given


def _resources(source: _Source) -> Resources:
    try:
        return Resources.model_validate(source.data.get("resources") or {})
    except ValidationError as error:
        _pydantic_faults(source, ("resources",), error, list(Resources.model_fields))
        return Resources()


SEED = "a whole number from 0 to 2147483647"


def _is_seed(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31


def _step(source: _Source, section: str, name: str, fields: Any, seed: int) -> Step | None:
    path = (section, name)
    if not isinstance(fields, dict | None):
        source.fault(path, "a mapping of ports and fields")
        return None
    body = dict(fields or {})
    word = section[:-1]
    registered = str(body.pop(word, name))
    step_seed = body.pop("seed", seed)
    if not _is_seed(step_seed):
        source.fault((*path, "seed"), SEED)
        step_seed = seed
    known = plugins.table(section)
    if registered not in known:
        source.fault(
            (*path, word) if word in (fields or {}) else path,
            f"no {word} is called {registered!r}. {plugins.nearest(registered, dict(known))}",
        )
        return None
    cls: type[Stage] | type[Action] = plugins.load(section, registered)
    ports = inputs(cls)
    refs = {port: _refs(source, (*path, port), body.pop(port), ports[port]) for port in list(body) if port in ports}
    allowed = [*cls.model_fields, *ports]
    unknown = [key for key in body if key not in cls.model_fields]
    for key in unknown:
        source.fault((*path, key), f"no such field of {registered}. {plugins.nearest(key, allowed)}")
        del body[key]
    try:
        params = cls.model_validate(body)
    except ValidationError as error:
        blocks = cls.model_json_schema().get("$defs", {}).values()
        _pydantic_faults(source, path, error, allowed, [name for block in blocks for name in block.get("properties", {})])
        return None
    return Step(name, registered, params, refs, int(step_seed), source.where(path))


def _pydantic_faults(source: _Source, path: tuple[str, ...], error: ValidationError, allowed: list[str], inner: Sequence[str] = ()) -> None:
    """`allowed` are the names of the step itself, `inner` those of the blocks that its fields hold."""
    faults = error.errors(include_url=False)
    for fault in faults:
        if fault["type"] == "too_short" and any(
            other["loc"][: len(fault["loc"])] == fault["loc"] for other in faults if other is not fault
        ):
            continue  # its faulty items were left out of the count
        loc = _written(source, path, tuple(str(part) for part in fault["loc"]))
        source.fault((*path, *loc), worded(fault, loc, allowed, inner))


def _written(source: _Source, path: tuple[str, ...], loc: tuple[str, ...]) -> tuple[str, ...]:
    """The place as the file has it: pydantic also names the kind of a block, which is no level of the file."""
    kept: tuple[str, ...] = ()
    for part in loc[:-1]:
        kept = (*kept, part) if (*path, *kept, part) in source.lines else kept
    return (*kept, *loc[-1:])  # a fault of the whole block has no place inside it


def _refs(source: _Source, path: tuple[str, ...], raw: Any, port: Port) -> tuple[Ref, ...]:
    items = raw if isinstance(raw, list) else [raw]
    if isinstance(raw, list) and not port.many:
        source.fault(path, "takes one reference, not a list")
    found = []
    for item in items:
        if not isinstance(item, str) or not item:
            source.fault(path, f"a reference to a step's output such as `clean.kept`, not {item!r}")
            continue
        step, _, name = item.partition(".")
        found.append(Ref(step, name))
    return tuple(found)


def _check_ports(source: _Source, steps: dict[str, Step], given: dict[str, type[Artifact]]) -> None:
    for step in list(steps.values()):
        section = "actions" if step.is_action else "stages"
        ports = inputs(step.cls)
        for name, port in ports.items():
            if name not in step.refs and not port.optional:
                source.fault((section, step.name), f"the port {name} ({port.describe()}) is not connected")
        fixed = {
            name: tuple(_resolve(source, (section, step.name, name), ref, steps, given) or ref for ref in refs)
            for name, refs in step.refs.items()
        }
        steps[step.name] = replace(step, refs=fixed)
    bound: dict[str, dict[str, tuple[type[Artifact], ...]]] = {}
    for step in steps.values():
        section = "actions" if step.is_action else "stages"
        for name, refs in step.refs.items():
            port = inputs(step.cls)[name]
            for ref in refs:
                kinds = _kinds(ref, steps, given, bound, ())
                if kinds and not set(kinds) & set(port.kinds):
                    have = " or ".join(kind.kind for kind in kinds)
                    source.fault((section, step.name, name), f"takes {port.describe()}, but {ref} is {have}")


def _resolve(source: _Source, path: tuple[str, ...], ref: Ref, steps: dict[str, Step], given: dict[str, type[Artifact]]) -> Ref | None:
    if ref.step in given and not ref.port:
        return Ref("", ref.step)
    if ref.step not in steps:
        declared = {*source.data.get("stages", {}), *(source.data.get("actions") or {})}
        if ref.step not in declared:  # a step that is itself faulty has been reported already
            source.fault(path, f"no step is called {ref.step!r}. {plugins.nearest(ref.step, [*steps, *given])}")
        return None
    available = outputs(steps[ref.step].cls)
    if not available:
        source.fault(path, f"{ref.step} is an action and has no outputs")
        return None
    if ref.port and ref.port not in available:
        source.fault(path, f"{ref.step} has no output {ref.port!r}. {plugins.nearest(ref.port, list(available))}")
        return None
    return Ref(ref.step, ref.port or next(iter(available)))


def _kinds(
    ref: Ref, steps: dict[str, Step], given: dict[str, type[Artifact]], bound: dict[str, Any], seen: tuple[str, ...]
) -> tuple[type[Artifact], ...]:
    """The kinds an output may have; a port of a type variable has the kind that the input had."""
    if not ref.step:
        return (given[ref.port],)
    if ref.step not in steps or ref.step in seen or ref.port not in outputs(steps[ref.step].cls):
        return ()
    step = steps[ref.step]
    port = outputs(step.cls)[ref.port]
    if not port.same:
        return port.kinds
    for name, source_port in inputs(step.cls).items():
        if source_port.same == port.same and step.refs.get(name):
            return _kinds(step.refs[name][0], steps, given, bound, (*seen, ref.step)) or port.kinds
    return port.kinds


def _order(source: _Source, steps: dict[str, Step]) -> tuple[Step, ...]:
    done: dict[str, Step] = {}
    waiting = {name: step for name, step in steps.items() if not step.is_action}
    while waiting:
        ready = [n for n, s in waiting.items() if not any(ref.step in waiting for refs in s.refs.values() for ref in refs)]
        if not ready:
            circle = _circle(waiting)
            source.fault(("stages", circle[0]), f"these steps wait for each other: {' <- '.join([*circle, circle[0]])}")
            break
        done[ready[0]] = waiting.pop(ready[0])
    return (*done.values(), *(step for step in steps.values() if step.is_action))


def _circle(waiting: Mapping[str, Step]) -> list[str]:
    """Steps of `waiting`, each of which needs the one after it, and the last the first."""
    path = [next(iter(waiting))]
    while True:
        needed = next(ref.step for refs in waiting[path[-1]].refs.values() for ref in refs if ref.step in waiting)
        if needed in path:
            return path[path.index(needed) :]
        path.append(needed)


# --------------------------------------------------------------------------- the filled recipe


def filled(recipe: Recipe) -> dict[str, Any]:
    """The recipe with every default written out: what is kept with a run, and what `plan` prints."""
    body: dict[str, Any] = {"sapwood": FORMAT, "name": recipe.name, "seed": recipe.seed}
    if recipe.description:
        body["description"] = recipe.description
    if recipe.inputs:
        body["inputs"] = {name: kind.kind for name, kind in recipe.inputs.items()}
    body["resources"] = recipe.resources.model_dump(mode="json")
    for section, is_action in (("stages", False), ("actions", True)):
        steps = {step.name: _filled_step(step, recipe.seed) for step in recipe.steps if step.is_action is is_action}
        if steps:
            body[section] = steps
    return body


def _filled_step(step: Step, seed: int) -> dict[str, Any]:
    word = "action" if step.is_action else "stage"
    refs = {name: [str(ref) for ref in refs] if inputs(step.cls)[name].many else str(refs[0]) for name, refs in step.refs.items()}
    own_seed = {"seed": step.seed} if step.seed != seed else {}
    return {word: step.registered, **refs, **step.params.model_dump(mode="json"), **own_seed}
