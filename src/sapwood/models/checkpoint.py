"""Checkpoints: complete or invisible, and exact.

A checkpoint is a folder `step-N`: `weights`, `optimiser` and `generator` as safetensors, `state.json`, and, written last,
`manifest.json` with the sha256 of each. It is filled under another name, synced and renamed, so a kill at any point leaves
the old newest one. Nothing is pickled: a checkpoint cannot run code.
What it does NOT hold: frozen weights (they are the start model's) and data (the cursor finds it again).
"""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from sapwood.artifact import file_sha256
from sapwood.errors import ResourceError, SapwoodError

MANIFEST = "manifest.json"
Json = Any


def trained(model: Any) -> dict[str, Tensor]:
    """What training changes: parameters with a gradient, once each, and buffers that are saved."""
    kept = model.state_dict(keep_vars=True)
    parameters = {name for name, p in model.named_parameters() if p.requires_grad}
    return {name: t for name, t in kept.items() if name in parameters or not isinstance(t, torch.nn.Parameter)}


def load_trained(model: Any, tensors: Mapping[str, Tensor]) -> None:
    """Copy stored tensors into the model, in place."""
    own = trained(model)
    if own.keys() != tensors.keys():
        raise SapwoodError("the checkpoint belongs to another model or method", "remove the step's scratch folder, or run without resume")
    with torch.no_grad():
        for name, tensor in tensors.items():
            own[name].copy_(tensor)


def save(
    home: Path, step: int, model: Any, optimiser: Any, state: Mapping[str, Json], extras: Mapping[str, Tensor] = {}, keep_every: int = 0
) -> Path:
    """Write `home/step-N` and drop all older ones but those of every `keep_every`-th step. `ResourceError` when the disk is full,
    told before anything is written where the disk says so."""
    names = {id(p): name for name, p in model.named_parameters()}
    folder = home / f"step-{step:09d}"
    slots = ((names[id(p)], key, value) for p, own in optimiser.state.items() for key, value in own.items())
    moments = {f"{name}/{key}": value for name, key, value in slots if isinstance(value, Tensor)}
    files = {
        "weights.safetensors": {k: v.detach() for k, v in trained(model).items()},
        "optimiser.safetensors": moments,
        "generator.safetensors": {"torch": torch.get_rng_state(), **_beside(model)},
        **({"extras.safetensors": dict(extras)} if extras else {}),
    }
    need_room(home, sum(t.numel() * t.element_size() for group in files.values() for t in group.values()))
    write(folder, files, {**state, "step": step, "python": _python_state(), "numpy": _numpy_state()})
    for old in complete(home):
        if old != folder and not (keep_every and number(old) % keep_every == 0):
            remove(old)
    return folder


def _beside(model: Any) -> dict[str, Tensor]:
    """The generator of the GPU that the model is on, if it is on one."""
    return {"cuda": torch.cuda.get_rng_state()} if next(model.parameters()).device.type == "cuda" else {}


def need_room(home: Path, size: int) -> None:
    """Raise `ResourceError` where the disk of `home` has less than `size` bytes left."""
    home.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(home).free
    if free < size:
        raise ResourceError(f"a checkpoint takes {size / 1e6:,.0f} MB and {free / 1e6:,.0f} MB are free", "free disk space and run again")


def number(folder: Path) -> int:
    """The step of a checkpoint."""
    return int(folder.name.removeprefix("step-"))


def load(folder: Path, model: Any, optimiser: Any) -> tuple[dict[str, Json], dict[str, Tensor]]:
    """Put weights, optimiser and the three random generators back; returns the state and the extras' tensors."""
    load_trained(model, load_file(folder / "weights.safetensors"))
    parameters = dict(model.named_parameters())
    optimiser.state.clear()
    for key, tensor in load_file(folder / "optimiser.safetensors").items():
        name, slot = key.rsplit("/", 1)
        optimiser.state[parameters[name]][slot] = tensor.to(parameters[name].device)
    state: dict[str, Json] = json.loads((folder / "state.json").read_text(encoding="utf-8"))
    generators = load_file(folder / "generator.safetensors")
    torch.set_rng_state(generators["torch"])
    if "cuda" in generators and _beside(model):  # a training that goes on elsewhere draws other numbers
        torch.cuda.set_rng_state(generators["cuda"])
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, np.asarray(keys, dtype=np.uint32), *rest))
    extras = folder / "extras.safetensors"
    return state, load_file(extras) if extras.is_file() else {}


def newest(home: Path) -> Path | None:
    """The complete checkpoint with the most steps whose files match their manifest."""
    return next((folder for folder in sorted(complete(home), reverse=True) if intact(folder)), None)


def complete(home: Path) -> list[Path]:
    return [folder for folder in home.glob("step-*") if (folder / MANIFEST).is_file()]


def intact(folder: Path) -> bool:
    """Whether every file has the digest that the manifest gives it."""
    try:
        digests = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        return all(file_sha256(folder / name) == digest for name, digest in digests.items())
    except (OSError, ValueError):
        return False


def write(folder: Path, tensors: Mapping[str, Mapping[str, Tensor]], state: Mapping[str, Json]) -> None:
    """Fill a folder beside, sync it, and give it its name. An older folder of that name is replaced."""
    fresh = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        fresh.mkdir(parents=True)
        for name, group in tensors.items():
            save_file({k: v.cpu().contiguous() for k, v in group.items()}, fresh / name)
        (fresh / "state.json").write_text(json.dumps(state), encoding="utf-8")
        files = sorted(path for path in fresh.iterdir())
        _sync(files)
        (fresh / MANIFEST).write_text(json.dumps({path.name: file_sha256(path) for path in files}), encoding="utf-8")
        _sync([fresh / MANIFEST, fresh])
        remove(folder)
        fresh.rename(folder)
        _sync([folder.parent])
    except Exception as fault:  # safetensors wraps OSError in its own class and keeps the words only
        shutil.rmtree(fresh, ignore_errors=True)
        if getattr(fault, "errno", None) == errno.ENOSPC or "No space left" in str(fault):
            raise ResourceError(f"{folder.name}: the disk is full, the checkpoint was not saved", "free disk space and run again") from None
        raise


def remove(folder: Path) -> None:
    """Manifest first, so that a half-removed checkpoint is invisible."""
    (folder / MANIFEST).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def _sync(paths: Iterable[Path]) -> None:
    for path in paths:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _python_state() -> list[Json]:
    version, internal, gauss = random.getstate()
    return [version, list(internal), gauss]


def _numpy_state() -> list[Json]:
    name, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    return [name, np.asarray(keys).tolist(), int(position), int(has_gauss), float(cached)]
