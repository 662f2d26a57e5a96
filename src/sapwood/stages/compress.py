"""The stage `compress`: a model becomes a bundle."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

from pydantic import Field, model_validator

from sapwood.artifact import Bundle, Model, Report
from sapwood.stage import Estimate, Json, Stage, Work

if TYPE_CHECKING:
    from sapwood.serving.engines import Engine

LINES = (
    "The delivery was late and the box was damaged.",
    "房间很干净，服务也好，下次还会来。",
    "A fair price for what it does.",
    "书的内容太浅，不推荐购买。",
)
"""What latency is measured on: short sentences of either language."""


INNER = ("adapter", "members")
"""Folders of a model folder that torch answers with: what hangs on the model, and the members of an ensemble."""


class CompressOut(NamedTuple):
    bundle: Bundle
    report: Report


class Compress(Stage):
    """Pack a classification model for serving: one ONNX graph, in 8 bits unless told otherwise, measured before and after."""

    examples: ClassVar[tuple[dict[str, Json], ...]] = ({}, {"engine": "torch", "quantise": "none", "name": "plain"})

    engine: Literal["onnx", "torch"] = Field("onnx", description="What will run it: ONNX Runtime (fast, starts without torch) or torch.")
    quantise: Literal["int8", "none"] = Field("int8", description="8-bit weights (a quarter of the size), or the model's own fp32.")
    name: str = Field("", description="Name in the bundle's card; empty takes the model's.")

    @model_validator(mode="after")
    def _together(self) -> Compress:
        if self.engine == "torch" and self.quantise != "none":
            raise ValueError("int8 needs engine onnx; with engine torch set quantise to none")
        return self

    def check(self, workspace: Path) -> list[str]:
        from sapwood.models.export import missing

        package = missing() if self.engine == "onnx" else ""
        return [f"compress needs the package {package}: pip install 'sapwood[onnx]'"] if package else []

    def estimate(self, bytes_in: int) -> Estimate:
        return Estimate(15 + bytes_in / 20e6, 1_000_000_000 + 6 * bytes_in, 2 * bytes_in)

    def run(self, work: Work, model: Model) -> CompressOut:
        from sapwood.models.bundle import BundleCard, write_bundle
        from sapwood.serving.engines import open_engine, open_model

        source, folder, threads = work.path(model), work.new("bundle"), work.resources.threads
        before = open_model(source, model.digest, threads)
        shown = before.card.model_copy(update={"name": self.name or before.card.name, "engine": self.engine, "quantise": self.quantise})
        gap = self._pack(work, source, folder, before.card)
        write_bundle(folder, BundleCard.model_validate(shown.model_dump()))
        after = open_engine(folder, threads)
        facts: dict[str, Any] = {
            "before": _measure(before, source),
            "after": _measure(after, folder),
            "parameters": _parameters(source),
            "engine": self.engine,
            "quantise": self.quantise,
            "export_gap": gap,
            "threads": threads,
            "same_labels_on_lines": int((before.predict(LINES).argmax(1) == after.predict(LINES).argmax(1)).sum()),
        }
        page = work.new("report")
        _write(page, shown.name, facts)
        work.say(f"{shown.name}: {facts['before']['megabytes']:.1f} MB became {facts['after']['megabytes']:.1f} MB")
        return CompressOut(work.put(Bundle, folder), work.put(Report, page))

    def _pack(self, work: Work, source: Path, folder: Path, card: Any) -> float | None:
        """Write the engine's files; the export's largest logit difference, None for torch, which runs the model's own files."""
        from sapwood.models import export
        from sapwood.models.bundle import GRAPH
        from sapwood.models.foreign import TOKENIZER_FILES, WEIGHTS

        shutil.copyfile(source / "tokenizer.json", folder / "tokenizer.json")
        if self.engine == "torch":
            for name in ("config.json", WEIGHTS, *TOKENIZER_FILES[1:]):
                if (source / name).is_file():
                    shutil.copyfile(source / name, folder / name)
            for name in INNER:
                if (source / name).is_dir():
                    shutil.copytree(source / name, folder / name)
            return None
        whole = work.new("fp32") / GRAPH
        with work.progress("compress", 3, "steps") as meter:
            proto = export.graph(source, card.max_tokens)
            export.save(proto, whole)
            meter.advance(1)
            gap = export.prove_lossless(source, whole, card.max_tokens, work.resources.threads)
            meter.advance(1)
            if self.quantise == "int8":
                export.quantise(proto, folder / GRAPH)
                whole.unlink()
            else:
                whole.rename(folder / GRAPH)
            meter.advance(1)
        return gap


def _measure(engine: Engine, folder: Path) -> dict[str, Any]:
    """Size in MB and latency in ms: at batch 1 and 32 the median, the 95th percentile and n."""
    import time

    import numpy as np

    engine.warm()
    found: dict[str, Any] = {"megabytes": sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6}
    for size, repeats in ((1, 20), (32, 5)):
        texts, taken = [LINES[i % len(LINES)] for i in range(size)], []
        for _ in range(repeats):
            start = time.perf_counter()
            engine.predict(texts)
            taken.append(1000 * (time.perf_counter() - start))
        found[f"batch_{size}"] = {"median_ms": float(np.median(taken)), "p95_ms": float(np.percentile(taken, 95)), "n": repeats}
    return found


def _parameters(source: Path) -> int:
    from sapwood.models.foreign import parameters

    return parameters(source)


def _write(page: Path, name: str, facts: dict[str, Any]) -> None:
    from sapwood import report

    old, new = facts["before"], facts["after"]
    rows: list[list[Any]] = [["size, MB", round(old["megabytes"], 1), round(new["megabytes"], 1)]]
    for batch in ("batch_1", "batch_32"):
        for value, words in (("median_ms", "median"), ("p95_ms", "95th percentile")):
            spoken = f"latency at batch {batch[6:]}, {words}, ms (n={old[batch]['n']})"
            rows.append([spoken, round(old[batch][value], 2), round(new[batch][value], 2)])
    summary = f"{name}: {old['megabytes']:.1f} MB in torch fp32, {new['megabytes']:.1f} MB as {facts['engine']} {facts['quantise']}."
    note = "Times are of the machine that ran this step, on short sentences. Parity says how the answers changed."
    report.write(page, "Compression", summary, facts, [report.table("Before and after", ["what", "before", "after"], rows, note)])
