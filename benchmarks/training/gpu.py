"""Part (d), where a CUDA GPU is present: a causal model of 124M weights (GPT-2, 12 x 768) in bf16, windows of 1,024 tokens.

Random tokens, since only speed and memory are asked. `ours` is Sapwood's loop; `plain-causal` a loop of plain torch around the same
model, as a yardstick. Share = useful FLOPs a second / what one large bf16 product holds on that GPU, measured beside each step:
    6 x (tokens x layers x 12 x width^2 + 2 x layers x width x rows x length^2 / 2 + tokens x width x vocabulary),
where a token sees on average half of its window. `gpu_mb` is the most that torch had allocated on the GPU.
Without a GPU, `--quick` runs a model of 2 x 64 on the CPU: it shows that this part runs, and its figures mean nothing.
"""

from __future__ import annotations

import statistics
import time
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from training import Clock, Runs

TOOLS = ("ours", "plain-causal")
RATE = 3e-4


class Shape(NamedTuple):
    layers: int
    width: int
    heads: int
    vocabulary: int
    length: int
    rows: int
    steps: int


def here(quick: bool) -> tuple[str, Shape]:
    """The device and what is trained on it. Raises `SystemExit` where there is no GPU."""
    import torch

    if torch.cuda.is_available():
        return "cuda", Shape(12, 768, 12, 50_257, 1024, 32, 6 if quick else 30)
    if quick:
        return "cpu", Shape(2, 64, 2, 500, 64, 4, 4)
    raise SystemExit("part gpu: torch finds no CUDA GPU on this machine; with --quick it runs small on the CPU, to show that it runs")


def prepare(folder: Path, quick: bool) -> None:
    here(quick)


def work(folder: Path, tool: str, seed: int, quick: bool) -> dict[str, Any]:
    import torch

    device, shape = here(quick)
    documents = np.random.default_rng(seed).integers(1, shape.vocabulary, (shape.rows * shape.steps, shape.length))
    clock, tops = Clock(), [ceiling(device)]

    def done() -> None:
        _wait(device)
        clock.step(shape.rows * shape.length)
        tops.append(ceiling(device))
        clock.pause()

    train = ours if tool == "ours" else plain
    curve = train(fresh(shape, seed), documents, shape, seed, device, folder, done)
    speeds = [useful(shape) / seconds for _, seconds, _ in clock.times]
    around = [(a + b) / 2 for a, b in pairwise(tops[-len(speeds) - 1 :])]
    return {
        **clock.told(),
        "loss": None,
        "curve": curve,
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "gpu_mb": round(torch.cuda.max_memory_allocated() / 1e6) if device == "cuda" else None,
        "tflops": round(statistics.median(speeds) / 1e12, 3),
        "ceiling_tflops": round(statistics.median(tops) / 1e12, 3),
        "ceiling_share": round(statistics.median(speed / top for speed, top in zip(speeds, around, strict=True)), 3),
    }


def fresh(shape: Shape, seed: int) -> Any:
    """The start model: f(seed)."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    still = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0, "bos_token_id": 0, "eos_token_id": 0}
    size = {
        "vocab_size": shape.vocabulary,
        "n_layer": shape.layers,
        "n_embd": shape.width,
        "n_head": shape.heads,
        "n_positions": shape.length,
    }
    torch.manual_seed(seed)
    return GPT2LMHeadModel(GPT2Config(**size, **still))


def ours(model: Any, documents: Any, shape: Shape, seed: int, device: str, folder: Path, done: Any) -> list[list[float]]:
    """Sapwood's loop. Its one early checkpoint falls into the steps before the clock starts."""
    import tempfile

    from sapwood.models import architectures, train
    from sapwood.models.objectives.causal import causal_lm
    from sapwood.models.schedules import Constant
    from sapwood.models.sources.streams import Streams, held

    curve: list[list[float]] = []

    def log(step: float, loss: float, **_: float) -> None:
        done()
        curve.append([int(step), round(loss, 4)])

    model.config._attn_implementation = architectures.attention("bf16")
    source = Streams(held(documents, shape.length), shape.rows, tokens_per_batch=shape.rows * shape.length // 4)
    plan = train.Plan(steps=shape.steps, lr=RATE, schedule=Constant(), precision="bf16", device=device, log_every=1)
    with tempfile.TemporaryDirectory(dir=folder) as home:
        train.train(model, source, causal_lm, plan, seed, Path(home), train.Calls(log=log))
    return curve


def plain(model: Any, documents: Any, shape: Shape, seed: int, device: str, folder: Path, done: Any) -> list[list[float]]:
    import torch

    model.to(device)
    optimiser, curve, part = torch.optim.AdamW(model.parameters(), lr=RATE, fused=True), [], max(1, shape.rows // 4)
    for step in range(shape.steps):
        rows = torch.from_numpy(documents[step * shape.rows : (step + 1) * shape.rows]).to(device)
        losses = []
        for ids in rows.split(part):
            with torch.autocast(device, dtype=torch.bfloat16):
                loss = model(input_ids=ids, labels=ids).loss * len(ids) / shape.rows
            loss.backward()
            losses.append(float(loss))
        optimiser.step()
        optimiser.zero_grad()
        done()
        curve.append([step + 1, round(sum(losses), 4)])
    return curve


def useful(shape: Shape) -> float:
    """Useful FLOPs of one step, forward and backward: the formula above."""
    tokens = shape.rows * shape.length
    attention = shape.layers * shape.width * shape.rows * shape.length**2
    return 6.0 * (tokens * shape.layers * 12 * shape.width**2 + attention + tokens * shape.width * shape.vocabulary)


def ceiling(device: str) -> float:
    """FLOPs a second of a square bf16 product: 8,192 a side on a GPU, the median of ten."""
    import torch

    side = 8192 if device == "cuda" else 512
    a, b = (torch.randn(side, side, device=device).bfloat16() for _ in range(2))
    taken = []
    for _ in range(12):
        _wait(device)
        began = time.perf_counter()
        a @ b
        _wait(device)
        taken.append(time.perf_counter() - began)
    return float(2 * side**3 / statistics.median(taken[2:]))


def _wait(device: str) -> None:
    import torch

    if device == "cuda":
        torch.cuda.synchronize()


def ratios(runs: Runs) -> dict[str, float | None]:
    share, beside = (statistics.median(run["ceiling_share"] for run in runs[tool]) for tool in TOOLS)
    return {"gpu_ceiling_share": share, "gpu_plain_ceiling_share": beside}
