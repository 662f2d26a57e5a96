"""Graph templates: an exported graph whose weights can be put in again.

Exporting a 12-layer encoder takes some 27 s of tracing on two cores, and a challenger has its champion's architecture. So the
first export of an architecture in a process is kept without its weights, with a note where each comes from: a parameter as it
is or transposed. Filling one in takes a second. Whatever is filled in is proven against the model by `export.prove_lossless`.

What does not fit (a folded weight that is no parameter, two equal matrices) makes no template, and is traced each time.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

KEPT: dict[str, Template] = {}
MOST = 4
TOLD = ("config.json", "adapter.json")
"""Files that tell a graph's form: of the model, or of each member of an ensemble, and of what hangs on them."""
PREFIX = "model."


@dataclass(frozen=True)
class Template:
    """`proto` has empty tensors where `sources` names a parameter and whether it is transposed."""

    proto: Any
    sources: Mapping[str, tuple[str, bool]]


def key(folder: Path, max_tokens: int) -> str:
    """What decides the graph apart from the weights."""
    told = [json.loads(path.read_text(encoding="utf-8")) for name in TOLD for path in sorted(folder.rglob(name))]
    return json.dumps([told, max_tokens], sort_keys=True)


def keep(name: str, proto: Any, parameters: Mapping[str, np.ndarray]) -> None:
    """Keep a traced graph for the next model of its kind, if all of its weights are parameters."""
    sources = _sources(proto, parameters)
    if sources is None:
        return
    import onnx

    empty = onnx.ModelProto()
    empty.CopyFrom(proto)
    for tensor in empty.graph.initializer:
        if tensor.name in sources:
            tensor.raw_data = b""
    while len(KEPT) >= MOST:
        KEPT.pop(next(iter(KEPT)))
    KEPT[name] = Template(empty, sources)


def filled(name: str, parameters: Mapping[str, np.ndarray]) -> Any | None:
    """The graph with these weights, or None where there is no template of that name."""
    template = KEPT.get(name)
    if template is None:
        return None
    import onnx

    proto = onnx.ModelProto()
    proto.CopyFrom(template.proto)
    for tensor in proto.graph.initializer:
        if tensor.name in template.sources:
            source, transposed = template.sources[tensor.name]
            array = parameters[source]
            tensor.raw_data = np.ascontiguousarray(array.T if transposed else array).tobytes()
    return proto


def _sources(proto: Any, parameters: Mapping[str, np.ndarray]) -> dict[str, tuple[str, bool]] | None:
    """Initializer -> (parameter, transposed). None when a float tensor of more than one number is neither."""
    from onnx import numpy_helper

    by_content: dict[str, list[str]] = {}
    for name, array in parameters.items():
        if array.ndim == 2:
            by_content.setdefault(_digest(array.T), []).append(name)
    found: dict[str, tuple[str, bool]] = {}
    for tensor in proto.graph.initializer:
        name = tensor.name.removeprefix(PREFIX)
        array = numpy_helper.to_array(tensor)
        if name in parameters and np.array_equal(parameters[name], array):
            found[tensor.name] = (name, False)
        elif np.issubdtype(array.dtype, np.floating) and array.size > 1:
            same = by_content.get(_digest(array), [])
            if len(same) != 1:
                return None
            found[tensor.name] = (same[0], True)
    return found


def _digest(array: np.ndarray) -> str:
    return f"{array.shape}{array.dtype}" + hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
