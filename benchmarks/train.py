"""Training speed and memory, ours and the field's own tools in one run: same model, data, tokens per batch, steps and optimiser.

    python benchmarks/train.py --json
    python benchmarks/train.py --json --only mlm --quick
    python benchmarks/train.py --json --keep benchmarks/results/train.jsonl

Parts: `mlm` (masked-LM pre-training, `training/masked.py`), `classify` and `chat` (fine-tuning, `training/classify.py`,
`training/chat.py`), and, where torch finds a CUDA GPU or the part is named, `gpu` (`training/gpu.py`). Every measured run has a process
of its own, whose largest resident size is its memory; the tools take turns, seed by seed. The last line is JSON:
mlm_vs_trainer_default, mlm_vs_trainer_best, mlm_ceiling_share, classify_vs_trainer_best, classify_vs_pad128, lora_vs_trl,
lora_memory_vs_trl, lora_memory_vs_full, gpu_ceiling_share (None where a peer could not run or the part was left out), and `runs` with
every run: units, seconds, CPU seconds, peak memory, loss curve and final evaluation loss.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import keeping
import torch
from training import SEEDS

PARTS = {"mlm": "masked", "classify": "classify", "chat": "chat", "gpu": "gpu"}
KEYS = (
    "mlm_vs_trainer_default",
    "mlm_vs_trainer_best",
    "mlm_ceiling_share",
    "classify_vs_trainer_best",
    "classify_vs_pad128",
    "lora_vs_trl",
    "lora_memory_vs_trl",
    "lora_memory_vs_full",
    "gpu_ceiling_share",
)


def part(name: str) -> ModuleType:
    return importlib.import_module(f"training.{PARTS[name]}")


def measure(name: str, folder: Path, quick: bool) -> tuple[dict[str, Any], dict[str, list[dict[str, Any]]]]:
    """(keys of the JSON, runs of each tool) of one part."""
    asked(name, folder, quick, "prepare", 0)
    tools = part(name).TOOLS
    runs: dict[str, list[dict[str, Any]]] = {tool: [] for tool in tools}
    for seed in range(2 if quick else SEEDS):
        for tool in (*tools[seed % len(tools) :], *tools[: seed % len(tools)]):
            found, peak = asked(name, folder, quick, tool, seed)
            runs[tool].append({"seed": seed, **found, "peak_mb": round(peak / 1024)})
            said = {k: v for k, v in runs[tool][-1].items() if not isinstance(v, list)}
            print(f"{name} {tool}: {json.dumps(said)}", file=sys.stderr, flush=True)
    return dict(part(name).ratios(runs)), runs


def asked(name: str, folder: Path, quick: bool, tool: str, seed: int) -> tuple[dict[str, Any], int]:
    """(what a process of its own found, its largest resident size in KiB). Raises `SystemExit` with its log when it fails."""
    folder.mkdir(parents=True, exist_ok=True)
    out, log = folder / "out.json", folder / "log.txt"
    out.unlink(missing_ok=True)
    command = [sys.executable, __file__, "--child", name, str(folder), tool, str(seed), str(int(quick))]
    environment = {"OMP_WAIT_POLICY": "passive", **os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    with log.open("w", encoding="utf-8") as stream, subprocess.Popen(command, stdout=stream, stderr=stream, env=environment) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{name} {tool}: ended with {process.returncode}\n{log.read_text(encoding='utf-8')[-3000:]}")
    return json.loads(out.read_text(encoding="utf-8")), used.ru_maxrss


def child(name: str, folder: str, tool: str, seed: str, quick: str) -> None:
    """One process: prepare, or one measured run. Its finding goes to `folder/out.json`."""
    home = Path(folder)
    if tool == "prepare":
        part(name).prepare(home, quick == "1")
        found: dict[str, Any] = {}
    else:
        found = part(name).work(home, tool, int(seed), quick == "1")
    (home / "out.json").write_text(json.dumps(found), encoding="utf-8")


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print nothing but the JSON line on standard output")
    parser.add_argument("--only", type=lambda names: names.split(","), help=f"parts, with commas: {','.join(PARTS)}")
    parser.add_argument("--quick", action="store_true", help="fewer steps and two seeds: shows that it runs, not how fast")
    parser.add_argument("--keep", type=Path, help="append the line with machine and commit to this file")
    default = Path(os.environ.get("SAPWOOD_CACHE") or Path.home() / ".cache" / "sapwood") / "benchmarks" / "train"
    parser.add_argument("--cache", type=Path, default=default, help="folder for prepared texts and start models")
    given = parser.parse_args()
    given.only = given.only or [name for name in PARTS if name != "gpu" or torch.cuda.is_available()]
    if unknown := set(given.only) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    return given


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        child(*sys.argv[2:])
        return
    given = parsed()
    line: dict[str, Any] = dict.fromkeys(KEYS)
    runs: dict[str, Any] = {}
    for name in given.only:
        found, runs[name] = measure(name, given.cache / name, given.quick)
        line |= found
        if not given.json:
            print("\n".join(f"{key:<28} {value}" for key, value in found.items()))
    line["runs"] = runs
    if given.keep:
        keeping.keep(given.keep, line)
    print(json.dumps(line))


if __name__ == "__main__":
    main()
