"""Look at a training step of a recipe before it trains: its examples, as the step's own code puts them before the model."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sapwood import plugins
from sapwood.artifact import Artifact
from sapwood.errors import InputError
from sapwood.recipe import Recipe, Ref, Step
from sapwood.runs import plan as plans
from sapwood.runs import settle
from sapwood.stage import Event, Port, Stage, Work, inputs
from sapwood.store.local import LocalStore

if TYPE_CHECKING:
    from sapwood.models.preview import Example


def example(recipe: Recipe, store: LocalStore, given: Mapping[str, Artifact], name: str, number: int, find: str = "") -> Example:
    """Example `number` of the step in the order of training, or the first from there on that holds the text `find`.

    Runs the step up to its first move, in a folder that goes again. `InputError` where the step or its inputs are not there, it trains
    nothing, or it has fewer examples.
    """
    from sapwood.models import looking, preview, texts

    step = next((one for one in recipe.steps if one.name == name), None)
    if step is None:
        raise InputError(f"no step is called {name!r}. {plugins.nearest(name, [one.name for one in recipe.steps])}", "name a training step")
    if not isinstance(step.params, Stage) or not step.params.resumes:
        raise InputError(f"{name} is not a step that trains", f"one of {', '.join(_training(recipe)) or 'none in this recipe'}")
    arguments = _arguments(recipe, store, given, step)
    folder = next(
        (store.open(one) for found in arguments.values() for one in found if (store.open(one) / "tokenizer.json").is_file()), None
    )
    if folder is None:
        raise InputError(f"{name} has no input with a tokenizer", "give it a model or a tokenizer")
    with tempfile.TemporaryDirectory(dir=store.layout.tmp, prefix="preview-") as scratch:
        work = Work(store, Path(scratch), recipe.workspace, name, step.seed, settle.resources(recipe, store), _Silent())
        ports = {port: _shaped(shape, arguments.get(port, ())) for port, shape in inputs(step.cls).items()}
        seen = looking.sight(lambda: step.params.run(work, **ports))  # type: ignore[union-attr]
        if seen is None:
            raise InputError(f"{name} ended without training", "choose another step")
        tokenizer = texts.load_tokenizer(folder)
        last, labels = 0, getattr(getattr(seen.model, "config", None), "id2label", None)
        for one in preview.examples(seen.source, tokenizer, seen.seed, labels):
            last = one.number
            if one.number >= number and (not find or _holds(one, find)):
                return one
    sought = f"that holds {find!r} from example {number} on" if find else f"{number}"
    raise InputError(f"{name} has no example {sought} in its first epoch", f"examples are counted from 0 to {last}")


def _training(recipe: Recipe) -> list[str]:
    return [step.name for step in recipe.steps if isinstance(step.params, Stage) and step.params.resumes]


def _holds(one: Example, find: str) -> bool:
    """Whether what is read or said holds the text, spaces aside."""
    return any("".join(find.split()) in "".join(text.split()) for text in (one.read, one.said))


def _arguments(recipe: Recipe, store: LocalStore, given: Mapping[str, Artifact], step: Step) -> dict[str, tuple[Artifact, ...]]:
    made: dict[Ref, Artifact] = {Ref("", name): artifact for name, artifact in given.items()}
    for planned in plans.make(recipe, store, given).steps:
        known = store.result(planned.key) if planned.key and not planned.step.is_action else None
        made.update({Ref(planned.step.name, port): one for port, one in (known.outputs if known else {}).items()})
    found = plans.resolve(step, made)
    if found is None:
        raise InputError(f"the inputs of {step.name} are not made yet", "run the recipe once; the steps before it are kept")
    return found


def _shaped(port: Port, found: tuple[Artifact, ...]) -> Any:
    return list(found) if port.many else found[0] if found else None


class _Silent:
    """A monitor that shows nothing and keeps nothing."""

    def emit(self, event: Event) -> None:
        pass

    @contextmanager
    def meter(self, label: str, total: float, unit: str) -> Iterator[Any]:
        yield self

    def advance(self, amount: float = 1) -> None:
        pass

    def stopping(self) -> bool:
        return False
