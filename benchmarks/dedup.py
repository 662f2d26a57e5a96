"""Near-duplicates: documents per CPU second, precision and recall, ours and the peers in one run.

    python benchmarks/dedup.py --json
    python benchmarks/dedup.py --json --documents 55000 --repeats 3
    python benchmarks/dedup.py --json --input texts.jsonl --truth planted.jsonl

Corpus: Debian documentation and samples in English and Chinese with planted copies (`dedup_corpus.py`), or `--input` (JSONL of id, lang,
text) and `--truth` (JSONL of planted_id, source_id, jaccard). Each peer runs in a virtual environment of its own, made here under
`--cache`, in its best honest configuration, which is printed; one that cannot be installed or run is reported with the reason.

Every tool gets the texts in memory and hands back links between documents. The clock is CPU seconds of all its processes and threads,
from texts to links, without imports and reading; the median of `--repeats` runs, ours and theirs in turn, since machines are noisy.
Recall: planted copies with Jaccard >= 0.7 that come into one cluster with their source. Precision: the share of links with exact
Jaccard >= 0.7, measured with Python's own sets, on at most 5,000 links. The last line is JSON: docs_per_cpu_s, precision, recall_en,
recall_zh, vs_datasketch (how many times its documents per CPU second, in the faster of two ways to use it), peers.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Any, NamedTuple

import dedup_corpus
import keeping
import numpy as np

from sapwood.text.near import proving
from sapwood.text.near.overlaps import Pairs

HERE = Path(__file__).resolve().parent
HOUR = 3600
PEERS = {
    "datasketch": ("datasketch==2.0.0", "xxhash"),
    "datasketch-fed": (),
    "text-dedup": ("text-dedup>=0.4,<0.5",),
    "datatrove": ("datatrove==0.10.1", "spacy", "jieba", "regex", "xxhash<4", "tokenizers", "orjson"),
    "data-juicer": ("py-data-juicer>=1.6,<1.7", "scipy", "sentencepiece", "aiohttp"),
}
"""What pip installs for each; nothing: it runs in Sapwood's own environment. datatrove's own extra `multilingual` would bring tensorflow and stanza, which these two languages do not use."""


class Tool(NamedTuple):
    """One tool's runs: CPU seconds of each, links of the last, what it says of its configuration; or why it did not run."""

    cpu_s: list[float]
    links: Pairs | None
    configuration: str = ""
    failed: str = ""


def installed(name: str, cache: Path) -> Path:
    """The Python of the peer's environment, made if it is not there. Raises `RuntimeError` with pip's own last words."""
    if not PEERS[name]:
        return Path(sys.executable)
    folder = cache / "peers" / name
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        venv.create(folder, with_pip=True, clear=True)
        command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PEERS[name]]
        done = subprocess.run(command, capture_output=True, text=True, timeout=HOUR)
        if done.returncode:
            raise RuntimeError(f"pip install {' '.join(PEERS[name])}: {_last(done.stderr)}")
        (folder / "ready").touch()
    return python


def run_ours(texts: list[str]) -> tuple[float, Pairs]:
    with tempfile.TemporaryDirectory() as scratch:
        found = proving.find(texts, Path(scratch))
    return found.cpu_s, found.links


def run_peer(name: str, python: Path, inputs: Path, timeout: float) -> tuple[float, Pairs, str]:
    """(CPU seconds, links, configuration) of one run. Raises `RuntimeError` with its last words."""
    script = HERE / "dedup_peers" / f"{name.replace('-', '_')}_peer.py"
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.json"
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
        command = [str(python), str(script), str(inputs), str(out)]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=timeout)
        if done.returncode or not out.exists():
            raise RuntimeError(_last(done.stderr) or f"it ended with {done.returncode}")
        found = json.loads(out.read_text(encoding="utf-8"))
    links = np.array(found["links"], dtype=np.int64).reshape(-1, 2)
    return found["cpu_s"], Pairs(links[:, 0], links[:, 1], np.zeros(len(links))), found["configuration"]


def measure(corpus: dedup_corpus.Corpus, inputs: Path, given: argparse.Namespace) -> dict[str, Tool]:
    """Ours and every peer, in turn, `repeats` times."""
    texts = [text.text for text in corpus.texts]
    tools = {"sapwood": Tool([], None, "32 bands of 4, exact verification, links that join every cluster")}
    pythons: dict[str, Path] = {}
    for name in given.peers:
        tools[name] = Tool([], None)
        try:
            pythons[name] = installed(name, given.cache)
        except (RuntimeError, OSError, subprocess.SubprocessError) as fault:
            tools[name] = Tool([], None, failed=f"not installed: {fault}")
    run_ours(texts[:100])  # tables are built once
    for turn in range(given.repeats):
        cpu_s, links = run_ours(texts)
        tools["sapwood"] = tools["sapwood"]._replace(cpu_s=[*tools["sapwood"].cpu_s, cpu_s], links=links)
        for name, python in pythons.items():
            before = tools[name]
            if before.failed or (turn >= given.slow_repeats and statistics.median(before.cpu_s) > 20 * cpu_s):
                continue
            try:
                spent, links, configuration = run_peer(name, python, inputs, given.timeout)
                tools[name] = Tool([*before.cpu_s, spent], links, configuration)
            except (RuntimeError, ValueError, KeyError, subprocess.SubprocessError) as fault:
                tools[name] = before._replace(failed=f"not run: {fault}")
    return tools


def judged(tool: Tool, corpus: dedup_corpus.Corpus) -> dict[str, Any]:
    if tool.failed or tool.links is None:
        return {"failed": tool.failed}
    texts = [text.text for text in corpus.texts]
    truth = proving.truth_of(corpus.truth, [text.id for text in corpus.texts])
    scores = proving.recall(tool.links, truth, [text.language for text in corpus.texts])
    return {
        "docs_per_cpu_s": round(len(texts) / statistics.median(tool.cpu_s), 1),
        "precision": round(proving.precision(tool.links, texts), 4),
        **{f"recall_{name}": round(score.recall, 4) for name, score in scores.items() if name in ("en", "zh")},
    }


def table(found: dict[str, dict[str, Any]], tools: dict[str, Tool], corpus: dedup_corpus.Corpus) -> str:
    copies = {name: sum(1 for _, _, similarity in corpus.truth if similarity >= proving.THRESHOLD) for name in ("all",)}
    size = sum(len(text.text.encode("utf-8", "replace")) for text in corpus.texts)
    lines = [
        f"{len(corpus.texts):,} documents, {size / 1e6:.1f} MB, {len(corpus.truth):,} planted copies, {copies['all']:,} of them with J >= 0.7"
    ]
    lines.append(f"{'tool':<12} {'docs/CPU-s':>10} {'precision':>9} {'recall en':>9} {'recall zh':>9}  configuration")
    for name, row in found.items():
        if "failed" in row:
            lines.append(f"{name:<12} {row['failed']}")
            continue
        numbers = [
            f"{row['docs_per_cpu_s']:>10,.0f}",
            *(f"{row.get(key, float('nan')):>9.4f}" for key in ("precision", "recall_en", "recall_zh")),
        ]
        spread = ", ".join(f"{len(corpus.texts) / cpu:,.0f}" for cpu in tools[name].cpu_s)
        lines.append(f"{name:<12} {' '.join(numbers)}  {tools[name].configuration} [runs: {spread}]")
    return "\n".join(lines)


def _last(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("WARNING")]
    return lines[-1][:300] if lines else ""


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print nothing but the JSON line")
    parser.add_argument("--input", type=Path, help="JSONL of id, lang, text")
    parser.add_argument("--truth", type=Path, help="JSONL of planted_id, source_id, jaccard")
    parser.add_argument("--documents", type=int, default=20_000, help="documents of the built corpus, planted copies included")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="append the line with machine and commit to this file")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each tool; medians are told")
    parser.add_argument("--slow-repeats", type=int, default=1, help="runs of a peer that takes over 20 times our CPU seconds")
    parser.add_argument("--timeout", type=float, default=HOUR, help="longest run of a peer, in seconds")
    parser.add_argument(
        "--peers", type=lambda names: [name for name in names.split(",") if name], default=list(PEERS), help="which, with commas"
    )
    default = Path(os.environ.get("SAPWOOD_CACHE") or Path.home() / ".cache" / "sapwood") / "benchmarks"
    parser.add_argument("--cache", type=Path, default=default, help="folder for environments and the built corpus")
    given = parser.parse_args()
    if (given.input is None) != (given.truth is None):
        parser.error("--input and --truth go together")
    if unknown := set(given.peers) - set(PEERS):
        parser.error(f"no such peer: {', '.join(sorted(unknown))}; there are {', '.join(PEERS)}")
    return given


def main() -> None:
    given = parsed()
    given.cache.mkdir(parents=True, exist_ok=True)
    with contextlib.redirect_stdout(sys.stderr):
        corpus = (
            dedup_corpus.load(given.input, given.truth) if given.input else dedup_corpus.built(given.cache, given.documents, given.seed)
        )
        inputs = given.input or dedup_corpus.stored(given.cache, given.documents, given.seed)[0]
        tools = measure(corpus, inputs, given)
        found = {name: judged(tool, corpus) for name, tool in tools.items()}
    if not given.json:
        print(table(found, tools, corpus))
    ours, peers = found.pop("sapwood"), found
    fastest = max((peers[name].get("docs_per_cpu_s", 0) for name in ("datasketch", "datasketch-fed") if name in peers), default=0)
    versus = ours["docs_per_cpu_s"] / fastest if fastest else None
    line = {**ours, "vs_datasketch": round(versus, 2) if versus else None, "peers": peers}
    if given.keep:
        keeping.keep(given.keep, {"documents": len(corpus.texts), **line})
    print(json.dumps(line))


if __name__ == "__main__":
    main()
