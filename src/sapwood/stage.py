"""The contract: `Stage` and `Action`, the `Work` a stage is given, and the `Store` protocol.

A stage is a frozen pydantic class. Its fields are its parameters; the annotations of its `run` are its ports:
every parameter of `run` after `work` is an input port, every field of the returned NamedTuple an output port
(a bare artifact is the one port `out`). The same class is the recipe's schema, the command's flags and the reference page.

    class Clean(Stage):
        min_chars: int = Field(20, ge=0, description="Shortest document to keep, in characters.")
        def run(self, work: Work, documents: Rows) -> Cleaned[Rows]: ...
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, Self, TypeVar, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, model_validator

from sapwood.artifact import Artifact, Documents, Entry, Examples

A = TypeVar("A", bound=Artifact)
Rows = TypeVar("Rows", Documents, Examples)
"""A port of rows, labelled or not. An output port of the same variable has the kind that the input had."""

Json = Any


# --------------------------------------------------------------------------- what a stage is


class Estimate(NamedTuple):
    """What a step is expected to cost: wall seconds on 2 cores, peak bytes of memory, bytes written to disk."""

    seconds: float
    memory: int
    disk: int


class Stage(BaseModel):
    """A pure, cacheable step from artifacts to artifacts. Subclasses define fields and `run`, nothing else is needed."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    version: ClassVar[int] = 1
    """Raise it when the same inputs and parameters give another output."""
    uses_seed: ClassVar[bool] = False
    """Whether `work.seed` is read; only then does the seed enter the key."""
    is_source: ClassVar[bool] = False
    """Whether it reads from outside the store; then `fingerprint` enters the key."""
    carries: ClassVar[tuple[str, ...] | None] = None
    """Input ports whose documents end up inside the outputs (lineage by document). None: all of them."""
    uses_precision: ClassVar[bool] = False
    """Whether `work.resources.precision` is read; only then is it measured, which loads torch."""
    resumes: ClassVar[bool] = False
    """Whether it saves checkpoints in `work.scratch / "checkpoints"` and continues from them exactly."""
    examples: ClassVar[tuple[dict[str, Json], ...]] = ({},)
    """Parameter sets that together read every field."""

    def fingerprint(self, workspace: Path) -> str | None:
        """Sources only: what identifies the content outside now; None when nothing does (then the step always runs)."""
        return ""

    def check(self, workspace: Path) -> list[str]:
        """Faults that can be told before running (missing files, absent extras), one sentence each."""
        return []

    def model_type(self, workspace: Path, given: Mapping[str, str]) -> str:
        """The architecture of the model that it makes (transformers' `model_type`), as far as it can be told before running; empty where
        not. `given` has each wired port, with the architecture of its model where that is known. By default a model stays what it was."""
        return given.get("model", "")

    def refusal(self, given: Mapping[str, str]) -> str:
        """Why it cannot work on what its wired ports will hold, one sentence that ends with "; " and what to do; empty where it can, or where
        that is not known yet. `given` as in `model_type`."""
        return ""

    def reads(self, workspace: Path) -> int:
        """Sources only: about how many bytes there are to read outside of the store."""
        return 0

    def notes(self) -> list[str]:
        """What `sapwood plan` says of it: values that were derived, and from what, one sentence each."""
        return []

    def estimate(self, bytes_in: int) -> Estimate:
        """Rough cost for that many input bytes, with those that a source reads."""
        return Estimate(1 + bytes_in / 20e6, 200_000_000 + 3 * bytes_in, bytes_in)


class Action(BaseModel):
    """An idempotent step with an effect on the world. Its `run(world, ...)` returns a JSON object that is recorded
    under the action's key; with that key on record it is `already done` and does not run."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    version: ClassVar[int] = 1
    uses_seed: ClassVar[bool] = False
    examples: ClassVar[tuple[dict[str, Json], ...]] = ({},)

    def fingerprint(self, workspace: Path) -> str:
        """What outside of the store decides what it does, such as the content of a file that a field names."""
        return ""

    def check(self, workspace: Path) -> list[str]:
        """As `Stage.check`."""
        return []

    def estimate(self, bytes_in: int) -> Estimate:
        """As `Stage.estimate`."""
        return Estimate(5, 400_000_000, 1_000_000)


# --------------------------------------------------------------------------- ports


@dataclass(frozen=True)
class Port:
    """One input or output. `kinds` are the artifact classes it takes; `same` names the type variable it is bound to."""

    name: str
    kinds: tuple[type[Artifact], ...]
    many: bool = False
    optional: bool = False
    same: str = ""

    def describe(self) -> str:
        names = " or ".join(kind.kind for kind in self.kinds)
        return f"list of {names}" if self.many else f"{names}, optional" if self.optional else names


@cache
def inputs(cls: type[Stage] | type[Action]) -> dict[str, Port]:
    """The input ports of a stage or action, in the order of `run`'s parameters."""
    hints = get_type_hints(_run(cls))
    names = list(_run(cls).__annotations__)
    return {n: _port(n, hints[n], cls) for n in names[1:] if n != "return"}


@cache
def outputs(cls: type[Stage] | type[Action]) -> dict[str, Port]:
    """The output ports of a stage, the first being the default one. Actions have none."""
    if issubclass(cls, Action):
        return {}
    returned = get_type_hints(_run(cls))["return"]
    bare = get_origin(returned) or returned
    if isinstance(bare, type) and issubclass(bare, tuple) and hasattr(bare, "_fields"):
        hints = get_type_hints(bare)
        return {name: _port(name, hints[name], cls) for name in bare._fields}
    return {"out": _port("out", returned, cls)}


def _run(cls: type) -> Callable[..., Any]:
    run = getattr(cls, "run", None)
    assert run is not None, f"{cls.__name__} has no run"
    return run


def _port(name: str, hint: Any, cls: type) -> Port:
    if isinstance(hint, TypeVar):
        return Port(name, hint.__constraints__ or (hint.__bound__,), same=hint.__name__)
    origin, args = get_origin(hint), get_args(hint)
    if origin is list:
        inner = _port(name, args[0], cls)
        return Port(name, inner.kinds, many=True)
    if origin in (Union, types.UnionType):
        parts = [_port(name, arg, cls) for arg in args if arg is not type(None)]
        kinds = tuple(kind for part in parts for kind in part.kinds)
        return Port(name, kinds, many=parts[0].many, optional=type(None) in args, same=parts[0].same)
    assert isinstance(hint, type) and issubclass(hint, Artifact), f"{cls.__name__}.run: {name} is not an artifact port"
    return Port(name, (hint,))


# --------------------------------------------------------------------------- what a stage is given


class Resources(BaseModel):
    """What cannot change the meaning of a result, so is no field of a stage. `auto` is resolved once, in `plan`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    threads: int = Field(0, ge=0, description="CPU threads of one process; 0 takes OMP_NUM_THREADS, or every core.")
    workers: int = Field(0, ge=0, description="Processes for text work; 0 takes every core.")
    processes: int = Field(1, ge=1, description="Processes that share one training step; the threads are shared out among them.")
    shard: Literal["none", "full"] = Field(
        "none", description="full: each process keeps a share of weights, gradients and optimiser states."
    )
    tensor: int = Field(1, ge=1, description="Processes that compute each layer together; 1, or as many as there are.")
    precision: str = Field("auto", pattern="^(auto|fp32|bf16)$", description="auto is bf16 where this CPU, or the GPU, is fast in it.")
    device: Literal["cpu", "cuda"] = Field(
        "cpu", description="Where models train. cuda takes an NVIDIA GPU; it was never run on a real one."
    )

    @model_validator(mode="after")
    def _together(self) -> Self:
        if self.shard == "full" and self.processes == 1:
            raise ValueError("shard: full needs processes of 2 or more")
        if self.tensor not in (1, self.processes):
            raise ValueError(f"tensor must be 1 or the number of processes, {self.processes}")
        if self.shard == "full" and self.tensor > 1:
            raise ValueError("shard: full and tensor are two ways of spreading a model; take one")
        return self

    @property
    def way(self) -> Literal["copies", "shards", "tensor"]:
        """How several processes share a training step."""
        return "tensor" if self.tensor > 1 else "shards" if self.shard == "full" else "copies"


class Signature(NamedTuple):
    """Ed25519. `key` is the public key and `value` the signature, both in hex."""

    key: str
    value: str


@dataclass(frozen=True)
class Event:
    """One thing that happened in a run. `type`: step, metric, progress, say."""

    type: str
    step: str
    data: dict[str, Json] = field(default_factory=dict)


class Meter(Protocol):
    """A running progress bar."""

    def advance(self, amount: float = 1) -> None: ...


class Monitor(Protocol):
    """Where a step's events and progress go."""

    def emit(self, event: Event) -> None: ...
    def meter(self, label: str, total: float, unit: str) -> AbstractContextManager[Meter]: ...
    def stopping(self) -> bool: ...


@dataclass(frozen=True)
class Work:
    """The only way a stage touches the world.

    `scratch` belongs to the step's key: it survives a kill, so a step that saves there continues; it is removed on success.
    """

    store: Store
    scratch: Path
    workspace: Path
    step: str
    seed: int
    resources: Resources
    monitor: Monitor

    def path(self, artifact: Artifact) -> Path:
        """The read-only folder with the artifact's payload."""
        return self.store.open(artifact)

    def new(self, name: str) -> Path:
        """An empty folder in scratch, to be filled and `put`."""
        import shutil

        folder = self.scratch / "new" / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder

    def put(self, kind: type[A], folder: Path) -> A:
        """Commit a filled folder to the store. Its files are moved, not copied, where possible."""
        return self.store.put(kind, folder)

    def log(self, **values: float) -> None:
        """Record one point of metrics, such as `step=10, loss=2.3`."""
        self.monitor.emit(Event("metric", self.step, dict(values)))

    def say(self, text: str) -> None:
        """One line a person should read."""
        self.monitor.emit(Event("say", self.step, {"text": text}))

    @contextmanager
    def progress(self, label: str, total: float, unit: str = "rows") -> Iterator[Meter]:
        """A progress bar with rate and time left. `total` in `unit`."""
        with self.monitor.meter(label, total, unit) as meter:
            yield meter

    def stopping(self) -> bool:
        """True once the run was asked to stop (SIGTERM, Ctrl-C): save and raise `Interrupted`."""
        return self.monitor.stopping()

    def sign(self, message: bytes) -> Signature:
        """Sign with the store's key."""
        return self.store.sign(message)


# --------------------------------------------------------------------------- where things live


@dataclass(frozen=True)
class Result:
    """What one step made: kept under its key, so that the same step is not run twice. Also the edge of lineage."""

    key: str
    name: str
    version: int
    params: Mapping[str, Json]
    inputs: Mapping[str, tuple[Artifact, ...]]
    outputs: Mapping[str, Artifact]
    carries: tuple[str, ...]
    seed: int | None = None
    run: str = ""
    seconds: float = 0.0
    peak_bytes: int = 0


class Store(Protocol):
    """Artifacts and the results that name them. Every backend passes `sapwood.testing.check_store`.

    Errors: `NotFound`, `Corrupt`, `ResourceError` (disk full), `InputError` (bad payload or name).
    """

    def put(self, kind: type[A], folder: Path) -> A:
        """Ingest a payload folder and commit it atomically. The same content gives the same digest and is stored once."""
        ...

    def open(self, artifact: Artifact) -> Path:
        """A local read-only folder with the payload. Sizes are checked here, contents by `verify`."""
        ...

    def entries(self, artifact: Artifact) -> tuple[Entry, ...]: ...
    def find(self, prefix: str) -> Artifact:
        """The artifact whose digest starts with `prefix` (6 characters or more); a `kind:` in front is allowed."""
        ...

    def artifacts(self, kind: str = "") -> list[Artifact]: ...
    def result(self, key: str) -> Result | None:
        """The recorded result, if every output of it is still stored."""
        ...

    def record(self, result: Result) -> None: ...
    def producers(self, artifact: Artifact) -> list[Result]:
        """Results with this artifact among their outputs, oldest first."""
        ...

    def consumers(self, artifact: Artifact) -> list[Result]: ...
    def results(self, name: str = "") -> Iterable[Result]: ...
    def sign(self, message: bytes) -> Signature: ...
    def public_key(self) -> str:
        """The store's Ed25519 public key, in hex."""
        ...

    def scratch(self, key: str) -> Path:
        """The working folder of a step key; it outlives a killed process and holds a lease against gc."""
        ...

    def verify(self, artifacts: Sequence[Artifact] = ()) -> list[str]:
        """Read every byte again. One sentence for each fault; empty when all is well."""
        ...

    def reindex(self) -> int:
        """Rebuild the index of artifacts from the manifests; how many there are."""
        ...

    def gc(self, older_than_s: float = 86_400, dry_run: bool = False) -> tuple[int, int]:
        """Remove blobs no manifest names, and scratch of finished steps; (files, bytes) freed."""
        ...
