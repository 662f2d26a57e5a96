"""What decontamination did, gathered document by document and told as report blocks: counts and examples of every class.

Examples are the findings with the lowest hash of (document, item), so they depend on neither batches nor the order of rows.
Memory: 11 bytes an item and `SHOWN` examples a class.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import xxhash

from sapwood import report
from sapwood.text.leaks.contamination import CLASSES, Finding, Outcome
from sapwood.text.leaks.evaluation import Items
from sapwood.text.near.signatures import LEAST

SHOWN, EXCERPT, AROUND = 10, 200, 30
"""Examples a class; characters of an excerpt, and of the text before and after a span."""
MOST_MET = 20
REASONS = {
    "exact": "copy of an evaluation text",
    "near": "near copy of an evaluation text",
    "contains": "contains an evaluation text",
    "quotation": "quotes an evaluation text",
    "partial": "holds a part of an evaluation text",
    "boilerplate": "shares boilerplate with an evaluation text",
    "short": "holds a short evaluation text",
}


class Told(NamedTuple):
    summary: str
    data: dict[str, Any]
    blocks: list[report.Block]


class Verdicts:
    """Counts of classes, items and actions."""

    def __init__(self, items: Items, actions: Mapping[str, str]) -> None:
        self.items, self.actions = items, actions
        self.rows = self.scattered = 0
        self.done: Counter[str] = Counter()
        self.dropped: Counter[str] = Counter()
        self.documents: Counter[str] = Counter()
        self.pairs: Counter[str] = Counter()
        self._met = np.zeros(len(items.all), dtype=np.int32)
        self._in = {name: np.zeros(len(items.all), dtype=bool) for name in CLASSES}
        self._examples: dict[str, list[tuple[int, str, dict[str, Any]]]] = {name: [] for name in CLASSES}

    def add(self, name: str, text: str, outcome: Outcome, pairs: int) -> None:
        """A document with pairs: its id and text, and what became of it."""
        self.done[outcome.action] += 1
        self.scattered += pairs - len({one.item for one in outcome.findings})
        if not outcome.findings:
            return
        if outcome.action == "drop":
            self.dropped[cause(outcome, self.actions).verdict] += 1
        self.documents.update({one.verdict for one in outcome.findings})
        for verdict, item in {(one.verdict, one.item) for one in outcome.findings}:
            self.pairs[verdict] += 1
            self._in[verdict][item] = True
        self._met[list({one.item for one in outcome.findings})] += 1
        for one in outcome.findings:
            self._show(name, text, one)

    def _show(self, name: str, text: str, one: Finding) -> None:
        item = self.items.all[one.item]
        lot = xxhash.xxh3_64_intdigest(f"{name}\\0{one.item}\\0{one.start}".encode())
        heap = self._examples[one.verdict]
        if len(heap) < SHOWN or -lot > heap[0][0]:
            shown = {
                "id": name, "text": excerpt(text, one.start, one.end), "span": f"{one.start}:{one.end}", "evidence": item.text[:EXCERPT],
                "item": item.id, "against": self.items.sources[item.source], "reason": one.verdict, "value": one.coverage,
            }  # fmt: skip
            (heapq.heappush if len(heap) < SHOWN else heapq.heapreplace)(heap, (-lot, name, shown))

    def told(self) -> Told:
        """The report; `data` holds every number of it."""
        kept = self.rows - self.done["drop"]
        classes = {
            name: {"documents": self.documents[name], "pairs": self.pairs[name], "items": int(self._in[name].sum()), "action": self.actions[name]}
            for name in CLASSES
        }  # fmt: skip
        data = {
            "in": self.rows, "kept": kept, "cut": self.done["cut"], "dropped": dict(sorted(self.dropped.items())), "classes": classes,
            "scattered": self.scattered, "evaluation_texts": len(self.items.all), "evaluation_texts_met": int(np.count_nonzero(self._met)),
            "evaluation": self._by_source(),
        }  # fmt: skip
        found = ", ".join(f"{count['documents']:,} {name}" for name, count in classes.items() if count["documents"])
        summary = f"{kept:,} of {self.rows:,} documents kept ({self.done['cut']:,} of them cut), {self.done['drop']:,} dropped"
        summary += f"; documents by class: {found}." if found else "; no evaluation text was found in any."
        summary += f" {data['evaluation_texts_met']:,} of {len(self.items.all):,} evaluation texts were met."
        return Told(summary, data, self._blocks(classes))

    def _blocks(self, classes: Mapping[str, Mapping[str, Any]]) -> list[report.Block]:
        rows = [[name, *(count[column] for column in ("documents", "pairs", "items", "action"))] for name, count in classes.items()]
        note = "A document may have findings of several classes. A class is a guess about its spans: read the examples before you trust it."
        sources = self._by_source()
        blocks = [
            report.table("Findings by class", ["class", "documents", "pairs", "items", "action"], rows, note),
            report.table(
                "Evaluation artifacts", ["artifact", "items", "met", "short", "copies only"],
                [[one["artifact"], one["items"], one["met"], one["short"], one["copies_only"]] for one in sources],
                "Short: items of 5 to 8 words or characters, whose class is short. Copies only: shorter still, found as whole texts only.",
            ),
            report.table("Items met most often", ["item", "artifact", "documents", "text"], self._often()),
        ]  # fmt: skip
        for name in CLASSES:
            shown = [one for *_, one in sorted(self._examples[name], key=lambda entry: (-entry[0], entry[1]))]
            if shown:
                blocks.append(report.samples(f"{name}: documents and the items in them", shown, f"Action: {self.actions[name]}."))
        return blocks

    def _by_source(self) -> list[dict[str, Any]]:
        source = np.array([item.source for item in self.items.all], dtype=np.int64)
        met, sizes = self._met, self.items.sizes
        return [
            {
                "artifact": name, "items": int((source == place).sum()), "met": int(np.count_nonzero(met[source == place])),
                "short": int(((sizes > 0) & (sizes < LEAST) & (source == place)).sum()),
                "copies_only": int(((sizes == 0) & (source == place)).sum()),
            }
            for place, name in enumerate(self.items.sources)
        ]  # fmt: skip

    def _often(self) -> list[list[Any]]:
        met = self._met
        often = np.lexsort((np.arange(len(met)), -met))[:MOST_MET]
        chosen = [(int(met[number]), self.items.all[number]) for number in often.tolist() if met[number]]
        return [[item.id, self.items.sources[item.source], count, item.text[:EXCERPT]] for count, item in chosen]


def cause(outcome: Outcome, actions: Mapping[str, str]) -> Finding:
    """The strongest finding whose class is not kept; the strongest of all where every class is."""
    return next((one for one in outcome.findings if actions[one.verdict] != "keep"), outcome.findings[0])


def evidence(outcome: Outcome, items: Items, actions: Mapping[str, str]) -> dict[str, str]:
    """Entries of `meta` for a row that was dropped or cut."""
    one = cause(outcome, actions)
    item = items.all[one.item]
    told = {
        "verdict": one.verdict, "evidence": item.id, "evidence_text": item.text[:EXCERPT], "against": items.sources[item.source],
        "value": f"{one.coverage:g}", "span": f"{one.start}:{one.end}",
    }  # fmt: skip
    if outcome.action == "drop":
        return {"dropped": REASONS[one.verdict], **told}
    return {"cut": " ".join(f"{start}:{end}" for start, end in outcome.cut), **told}


def excerpt(text: str, start: int, end: int) -> str:
    """The span with a little text around it, cut in its middle when it is long."""
    span = text[start:end] if end - start <= EXCERPT else f"{text[start : start + EXCERPT // 2]} … {text[end - EXCERPT // 2 : end]}"
    before = ("…" if start > AROUND else "") + text[max(0, start - AROUND) : start]
    return f"{before}[{span}]{text[end : end + AROUND]}" + ("…" if end + AROUND < len(text) else "")
