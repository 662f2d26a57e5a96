"""A classification model as one ONNX graph, and that graph in 8 bits. Needs the extra `onnx`.

`graph`: `torch.onnx.export` (the dynamo exporter; the tracing one answers 0.02 to 0.05 off on this family), opset 23, where
attention is one operator; batch and length dynamic; traces, paths and names of the exporting machine removed, so that the
bytes follow the weights.
`quantise`: embedding tables to int8 with one scale a row (`Gather` int8, `Gather` scale, multiply), matrix products to int8
with one scale a column (onnxruntime's dynamic quantisation: activations are scaled as they come); heads (`Gemm`) and the
products that narrow (see `_narrowing`) stay in fp32.

What it does NOT do: tell how the 8-bit graph answers (the parity stage measures that, on the machine where it runs: on x86 CPUs
without VNNI the int8 sums can saturate), export models above 2 GB, or keep any output but the logits.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from sapwood.errors import InputError, MissingExtra, Refused

PACKAGES = ("onnx", "onnxruntime", "onnxscript")
INPUTS, OUTPUT = ("input_ids", "attention_mask"), "logits"
OPSET = 23
LOSSLESS = 1e-4
LIMIT = 1_900_000_000  # bytes: one protobuf holds 2 GB
TABLE_ROWS = 256  # smaller tables (positions of tiny models, token types) are not worth three more operators
SHAPES = ((1, 3), (2, 17), (5, 64), (2, 512))


def missing() -> str:
    """The first package of the extra that is not installed, or an empty string."""
    return next((name for name in PACKAGES if find_spec(name) is None), "")


def need_onnx(what_for: str) -> None:
    if name := missing():
        raise MissingExtra(name, "onnx", what_for)


def graph(folder: Path, max_tokens: int) -> Any:
    """The `onnx.ModelProto` of a classification folder: int64 `input_ids`, `attention_mask` (batch, length) to float32 `logits`.

    `MissingExtra` without onnx; `InputError` for a model that is too big for one file or cannot be exported.
    """
    need_onnx("exporting to ONNX")
    from sapwood.models import templates

    model = open_classifier(folder)
    parameters = {name: tensor.numpy() for name, tensor in (*model.named_parameters(), *model.named_buffers())}
    key = templates.key(folder, max_tokens)
    known = templates.filled(key, parameters)
    if known is not None:
        return known
    proto = _traced(model, folder, max_tokens)
    templates.keep(key, proto, parameters)
    return proto


def _traced(model: Any, folder: Path, max_tokens: int) -> Any:
    """The graph by way of the exporter."""
    import torch

    if sum(p.numel() * p.element_size() for p in model.parameters()) > LIMIT:
        raise InputError(f"{folder.name}: more than {LIMIT / 1e9:.1f} GB of weights do not fit into one ONNX file", "set engine to torch")
    ids = torch.arange(14).reshape(2, 7) % 5
    mask = torch.ones_like(ids)
    mask[1, 5:] = 0
    sizes = {0: torch.export.Dim("batch", min=1, max=4096), 1: torch.export.Dim("length", min=2, max=max_tokens)}
    with quiet():
        try:
            program = torch.onnx.export(
                _only_logits(model),
                (ids, mask),
                dynamo=True,
                input_names=list(INPUTS),
                output_names=[OUTPUT],
                dynamic_shapes=dict.fromkeys(INPUTS, sizes),
                opset_version=OPSET,
                verbose=False,
            )
        except Exception as fault:  # the exporter raises a type of its own for each of its passes
            reason = str(fault).strip().splitlines()[0]
            raise InputError(f"{folder.name}: this architecture cannot be exported ({reason})", "set engine to torch") from fault
    assert program is not None
    return strip(program.model_proto)


def _only_logits(model: Any) -> Any:
    """A module whose forward takes ids and mask and returns the logits alone."""
    import torch

    class Logits(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            out: torch.Tensor = self.model(input_ids=input_ids, attention_mask=attention_mask).logits
            return out

    return Logits().eval()


def open_classifier(folder: Path) -> Any:
    """The fp32 model of a classification folder, for inference. Code inside the folder never runs."""
    import torch
    from transformers import AutoModelForSequenceClassification

    from sapwood.models import additions, committee

    def one(part: Path) -> Any:
        options = {"dtype": torch.float32, "attn_implementation": "sdpa", "local_files_only": True}
        return additions.opened(part, AutoModelForSequenceClassification.from_pretrained(part, **options))

    with quiet():
        model = committee.opened(folder, one)
    return model.eval().requires_grad_(False)


@contextmanager
def quiet() -> Iterator[None]:
    """The exporter and the loader speak to their own developers; faults still raise."""
    from transformers.utils import logging as spoken

    before, bars = logging.root.manager.disable, spoken.is_progress_bar_enabled()
    logging.disable(logging.ERROR)
    spoken.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
        if bars:
            spoken.enable_progress_bar()


def strip(proto: Any) -> Any:
    """Remove what names the exporting machine (stack traces, files, versions) and the inferred shapes; in place."""
    proto.producer_name, proto.producer_version, proto.doc_string = "sapwood", "", ""
    inner = proto.graph
    inner.name, inner.doc_string = "sapwood", ""
    # quantize_dynamic fails on the shapes that the exporter infers, and onnxruntime infers its own.
    for repeated in (inner.value_info, inner.metadata_props, proto.metadata_props):
        del repeated[:]
    for part in (*inner.node, *inner.initializer, *inner.input, *inner.output):
        part.doc_string = ""
        del part.metadata_props[:]
    return proto


def save(proto: Any, path: Path) -> None:
    path.write_bytes(proto.SerializeToString(deterministic=True))


def session(path: Path, threads: int = 0) -> Any:
    """An onnxruntime session on the CPU; `threads` 0 takes every core."""
    need_onnx("an ONNX engine")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads, options.log_severity_level = threads, 1, 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # as OMP_WAIT_POLICY: kind to neighbours
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as fault:  # onnxruntime's errors share no base but Exception
        raise InputError(f"{path.name}: onnxruntime cannot open it ({str(fault).splitlines()[0]})", "make the bundle again") from None


def gap(folder: Path, path: Path, max_tokens: int, threads: int = 0) -> float:
    """Largest |logit difference| between the torch model and the graph at `path`, over `SHAPES` with random ids and masks."""
    import torch

    model, runner = open_classifier(folder), session(path, threads)
    random, worst = np.random.default_rng(0), 0.0
    for rows, width in SHAPES:
        width = min(width, max_tokens)
        ids = random.integers(0, model.config.vocab_size, (rows, width))
        mask = (np.arange(width) < random.integers(1, width + 1, (rows, 1))).astype(np.int64)
        with torch.inference_mode():
            expected = model(input_ids=torch.from_numpy(ids), attention_mask=torch.from_numpy(mask)).logits.numpy()
        worst = max(worst, float(np.abs(expected - runner.run([OUTPUT], {"input_ids": ids, "attention_mask": mask})[0]).max()))
    return worst


def prove_lossless(folder: Path, path: Path, max_tokens: int, threads: int = 0) -> float:
    """The gap, or `Refused` above 1e-4 (or when it is not a number): such a graph is another model."""
    measured = gap(folder, path, max_tokens, threads)
    if not measured <= LOSSLESS:
        raise Refused(f"the exported graph's logits differ by {measured:.2g} (at most {LOSSLESS:g})", "set engine to torch")
    return measured


def quantise(proto: Any, path: Path) -> None:
    """Write the int8 form of a `graph` to `path`. `proto` is used up."""
    need_onnx("int8")
    from onnxruntime.quantization import QuantType, quantize_dynamic

    _shrink_tables(proto)
    heads = [node.name for node in proto.graph.node if node.op_type == "Gemm"]
    with quiet():
        quantize_dynamic(
            proto,
            path,
            op_types_to_quantize=["MatMul"],
            per_channel=True,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=[*heads, *(f"{name}_MatMul" for name in heads), *_narrowing(proto)],
        )
    import onnx

    save(strip(onnx.load(path)), path)


def _narrowing(proto: Any) -> list[str]:
    """Products that map a wide layer to a narrow one, such as a feed-forward layer's second. What comes into them has outliers
    that one scale a batch cannot hold: on a 12 x 384 encoder, keeping these in fp32 took the agreement of 300 answers from
    .977 to .990 and the mean error of a probability from .019 to .007, for 141 instead of 120 MB and 91 instead of 127 rows a second."""
    shapes = {table.name: tuple(table.dims) for table in proto.graph.initializer}
    products = (node for node in proto.graph.node if node.op_type == "MatMul" and len(shapes.get(node.input[1], ())) == 2)
    return [node.name for node in products if shapes[node.input[1]][0] > shapes[node.input[1]][1]]


def _shrink_tables(proto: Any) -> None:
    """Turn each big float table that is only gathered from into int8 rows and one scale a row; in place."""
    from onnx import TensorProto, helper, numpy_helper

    inner, used = proto.graph, dict[str, list[bool]]()
    for node in inner.node:
        for place, name in enumerate(node.input):
            used.setdefault(name, []).append(node.op_type == "Gather" and place == 0)
    small, scaled = [], {}
    for table in inner.initializer:
        gathered = used.get(table.name, [])
        big = table.data_type == TensorProto.FLOAT and len(table.dims) == 2 and table.dims[0] >= TABLE_ROWS
        if big and gathered and all(gathered):
            whole, scale = row_int8(numpy_helper.to_array(table))
            scaled[table.name] = [
                numpy_helper.from_array(whole, f"{table.name}.int8"),
                numpy_helper.from_array(scale, f"{table.name}.scale"),
            ]
        small.append(scaled.get(table.name, [table]))
    nodes = []
    for node in inner.node:
        if node.op_type != "Gather" or node.input[0] not in scaled:
            nodes.append(node)
            continue
        name, where, out = node.input[0], node.input[1], node.output[0]
        nodes += [
            helper.make_node("Gather", [f"{name}.int8", where], [f"{out}.int8"], axis=0),
            helper.make_node("Gather", [f"{name}.scale", where], [f"{out}.scale"], axis=0),
            helper.make_node("Cast", [f"{out}.int8"], [f"{out}.float"], to=TensorProto.FLOAT),
            helper.make_node("Mul", [f"{out}.float", f"{out}.scale"], [out]),
        ]
    kept = [part for parts in small for part in parts]
    del inner.node[:], inner.initializer[:]
    inner.node.extend(nodes)
    inner.initializer.extend(kept)


def row_int8(table: Any) -> tuple[Any, Any]:
    """(int8 rows, float32 scale (rows, 1)) with rows x scale within half a step (row maximum / 254) of `table`."""
    scale = np.abs(table).max(axis=1, keepdims=True).astype(np.float32) / np.float32(127)
    scale[scale == 0] = 1
    return np.rint(table / scale).astype(np.int8), scale
