"""`check_stage`: the contract of a stage, for anyone's stage.

    check_stage(Clean, store, inputs={"documents": documents})

It checks the class (frozen, closed, described), its ports, that its example parameters together read every field, and
that the same inputs, parameters and seed give the same digests. It does not check that a result is good.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sapwood.artifact import Artifact
from sapwood.stage import Event, Resources, Stage, Work, inputs, outputs


class SilentMonitor:
    """Shows nothing; keeps events."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def emit(self, event: Event) -> None:
        self.events.append(event)

    def meter(self, label: str, total: float, unit: str) -> Any:
        from contextlib import nullcontext

        return nullcontext(_Still())

    def stopping(self) -> bool:
        return False


class _Still:
    def advance(self, amount: float = 1) -> None:
        pass


def make_work(store: Any, scratch: Path, workspace: Path | None = None, seed: int = 7, monitor: Any = None) -> Work:
    """A `Work` outside any run: fp32, one worker, one thread."""
    resources = Resources(threads=1, workers=1, precision="fp32")
    return Work(store, scratch, workspace or scratch, "checked", seed, resources, monitor or SilentMonitor())


def check_class(cls: type[Stage]) -> None:
    """The definition alone, without running it."""
    assert cls.model_config.get("frozen") and cls.model_config.get("extra") == "forbid", f"{cls.__name__} must be frozen and closed"
    assert "__init__" not in vars(cls), f"{cls.__name__} must have no __init__"
    assert (cls.__doc__ or "").strip(), f"{cls.__name__} needs a docstring: it is its help text"
    for name, field in cls.model_fields.items():
        assert field.description, f"{cls.__name__}.{name} needs a description"
    clash = set(cls.model_fields) & set(inputs(cls))
    assert not clash, f"{cls.__name__}: {clash} are both fields and ports"
    assert outputs(cls), f"{cls.__name__} returns no artifact"
    assert set(cls.carries or ()) <= set(inputs(cls)), f"{cls.__name__}.carries names no port of it"
    for example in cls.examples:
        cls.model_validate(example)


def check_stage(cls: type[Stage], store: Any, inputs: Mapping[str, Any], workspace: Path | None = None) -> dict[str, Artifact]:
    """Run every example parameter set twice on `inputs` (port -> artifact or list); outputs of the first set."""
    check_class(cls)
    seen: set[str] = set()
    first: dict[str, Artifact] = {}
    for example in cls.examples:
        params = _recording(cls, seen).model_validate(example)
        seen.clear() if not first else None
        once, again = (_run(params, store, inputs, workspace) for _ in range(2))
        for port in once:
            assert once[port].kind == "report" or once[port] == again[port], f"{cls.__name__}({example}): {port} differs from run to run"
        first = first or once
    unread = set(cls.model_fields) - seen
    assert not unread, f"{cls.__name__}: no example reads {', '.join(sorted(unread))}"
    return first


def _run(params: Stage, store: Any, inputs: Mapping[str, Any], workspace: Path | None) -> dict[str, Artifact]:
    with tempfile.TemporaryDirectory() as scratch:
        work = make_work(store, Path(scratch), workspace)
        returned = params.run(work, **inputs)  # type: ignore[attr-defined]
    names = list(outputs(type(params)))
    values = (returned,) if isinstance(returned, Artifact) else tuple(returned)
    assert len(values) == len(names) and all(isinstance(v, Artifact) for v in values), f"{type(params).__name__} must return {names}"
    return dict(zip(names, values, strict=True))


def _recording(cls: type[Stage], seen: set[str]) -> type[Stage]:
    """The class, noting which fields are read while `run` is at work."""

    def look(self: Any, name: str) -> Any:
        if name in cls.model_fields:
            seen.add(name)
        return cls.__getattribute__(self, name)

    return type(cls.__name__, (cls,), {"__getattribute__": look, "__module__": cls.__module__})
