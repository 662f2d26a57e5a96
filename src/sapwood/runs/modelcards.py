"""A model artifact as a folder for others: its files as they are stored, and a model card in the Hugging Face hub's form.

The card is rendered from records when it is asked for: what the model answers, what it learned from with the licences that sources
state, what was measured, and every step from the sources to it. The artifact and its digest stay as they are. It quotes no text.
A licence is what a source or a base model said of itself; nobody has checked the rights.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

from sapwood import report
from sapwood.artifact import Model, Report
from sapwood.errors import InputError
from sapwood.models.card import Card, read_card
from sapwood.runs import datasets, trace
from sapwood.store.local import LocalStore
from sapwood.text.versions import cards, profile

PIPELINES = {
    "classification": "text-classification", "multilabel": "text-classification", "relations": "text-classification",
    "tokens": "token-classification", "spans": "question-answering", "chat": "text-generation", "causal-lm": "text-generation",
    "masked-lm": "fill-mask", "embedding": "sentence-similarity", "ranking": "text-ranking",
}  # fmt: skip
"""The hub's name of what a model of each task is for, where it has one."""


def export(store: LocalStore, model: Model, out: Path) -> Card:
    """Write the folder: the model's files and `README.md`. It appears whole or not at all."""
    if out.exists():
        raise InputError(f"{out} is there already", "name a new folder")
    half = out.with_name(f".{out.name}.part")
    shutil.rmtree(half, ignore_errors=True)
    half.parent.mkdir(parents=True, exist_ok=True)
    try:
        shutil.copytree(store.open(model), half)
        (half / "README.md").write_text(render(store, model), encoding="utf-8")
        half.rename(out)
    finally:
        shutil.rmtree(half, ignore_errors=True)
    return read_card(out)


def render(store: LocalStore, model: Model) -> str:
    """The whole `README.md`."""
    import yaml

    folder = store.open(model)
    card, held = read_card(folder), trace.held(store, model)
    found = {one.rows.digest: profile.profile(store.open(one.rows)) for one in held}
    head = yaml.safe_dump(_metadata(card, list(found.values())), allow_unicode=True, sort_keys=False, width=120)
    return "\n".join(
        [
            f"---\n{head}---\n",
            f"# {card.name}\n",
            _summary(card, model),
            _use(card, folder),
            _learned(held, found),
            _measured(store, model),
            cards.how_made(datasets.steps(store, model)),
        ]
    )


def _metadata(card: Card, found: list[profile.Profile]) -> dict[str, Any]:
    """The YAML block of the card, as a mapping."""
    totals: dict[str, Counter[str]] = {name: Counter() for name in ("language", "license")}
    for one in found:
        for name, counted in totals.items():
            counted.update(one.counts.get(name, Counter()))
    languages = [code for code, _ in totals["language"].most_common() if code not in cards.NO_LANGUAGE]
    stated = [name for name, _ in totals["license"].most_common() if name not in ("", profile.OTHERS)]
    said: dict[str, Any] = {"library_name": "transformers"}
    if card.task in PIPELINES:
        said["pipeline_tag"] = PIPELINES[card.task]
    if languages:
        said["language"] = languages
    return said | cards.licence(stated, totals["license"][""]) | {"tags": ["sapwood", f"sapwood-{card.task}"]}


def _summary(card: Card, model: Model) -> str:
    facts = [("answers", card.task), ("labels", ", ".join(card.labels)), ("longest input", f"{card.max_tokens} tokens")]
    facts += [("put before every text", card.prefix.strip()), ("made by", card.method), ("grown from", card.base)]
    facts += [("trained in", f"{card.precision}, stored in fp32"), ("artifact", f"{model.kind}:{model.digest}")]
    return cards.table(["", ""], [(name, value) for name, value in facts if value])


def _use(card: Card, folder: Path) -> str:
    names = (
        json.loads((folder / "config.json").read_text(encoding="utf-8")).get("architectures")
        if (folder / "config.json").is_file()
        else None
    )
    if not names:
        return "## Use it\n\nIt opens with Sapwood: it is made of several models.\n"
    added = (
        "\nWithout Sapwood the weights open as they are; what hangs on them lies in `adapter/`.\n" if (folder / "adapter").is_dir() else ""
    )
    prefix = f"Put `{card.prefix}` before every text.\n" if card.prefix else ""
    return (
        f"## Use it\n\n```python\nfrom transformers import AutoTokenizer, {names[0]}\n\n"
        f'model = {names[0]}.from_pretrained("FOLDER")\ntokenizer = AutoTokenizer.from_pretrained("FOLDER")\n```\n\n{prefix}{added}'
    )


def _learned(held: list[trace.Held], found: dict[str, profile.Profile]) -> str:
    rows = [
        (one.step, f"`{one.rows.kind}:{one.rows.short}`", source or "-", licence or "not stated", f"{count:,}")
        for one in held
        for (source, licence), count in found[one.rows.digest].licences.most_common(cards.MOST_ROWS)
    ]
    note = "As each source states its licence; rights were not checked. A base model from elsewhere has texts of its own.\n"
    table = cards.table(["step", "rows", "source", "licence", "rows of it"], rows) if rows else "No rows are on record.\n"
    return f"## What it learned from\n\n{note}\n{table}"


def _measured(store: LocalStore, model: Model) -> str:
    """The headlines of reports that came with the model, and of those that were made of it later."""
    told: dict[str, tuple[str, str]] = {}
    for result in [*store.producers(model), *store.consumers(model)]:
        for output in result.outputs.values():
            if isinstance(output, Report):
                told.setdefault(output.digest, (result.name, report.read(store.open(output))["summary"]))
    rows = [(name, summary, f"`{digest[:12]}`") for digest, (name, summary) in told.items()]
    return f"## What was measured\n\n{cards.table(['step', 'says', 'report'], rows) if rows else 'Nothing yet.'}\n"
