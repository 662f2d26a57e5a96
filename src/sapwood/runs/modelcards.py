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
NONE = ("", "not stated", "unknown", "other")
"""What a base model's card says when it states no licence by name."""


def export(store: LocalStore, model: Model, out: Path) -> Card:
    """Write the folder: the model's files and `README.md`. It appears whole or not at all."""
    with datasets.appearing(out) as half:
        shutil.copytree(store.open(model), half, dirs_exist_ok=True)
        (half / "README.md").write_text(render(store, model), encoding="utf-8")
    return read_card(out)


def render(store: LocalStore, model: Model) -> str:
    """The whole `README.md`."""
    import yaml

    folder = store.open(model)
    card, held = read_card(folder), trace.held(store, model)
    found = {one.rows.digest: profile.profile(store.open(one.rows)) for one in held}
    bases = _bases(store, model)
    head = yaml.safe_dump(
        _metadata(card, list(found.values()), [licence for _, licence in bases]), allow_unicode=True, sort_keys=False, width=120
    )
    return "\n".join(
        [
            f"---\n{head}---\n",
            f"# {card.name}\n",
            _summary(card, model),
            _use(card, folder),
            _learned(held, found, bases),
            _measured(store, model),
            cards.how_made(datasets.steps(store, model)),
        ]
    )


def _bases(store: LocalStore, model: Model) -> list[tuple[str, str]]:
    """(summary, stated licence) of the models from elsewhere that it grew from."""
    made = [result for result in trace.ancestry(store, model) if result.name == "base"]
    reports = (report.read(store.open(one)) for result in made for one in result.outputs.values() if isinstance(one, Report))
    return [(one["summary"], one["data"]["licence"]) for one in reports]


def _metadata(card: Card, found: list[profile.Profile], bases: list[str]) -> dict[str, Any]:
    """The YAML block of the card, as a mapping. Its licence names those of texts and of base models; where one of them states none, no
    licence is named for the whole."""
    totals: dict[str, Counter[str]] = {name: Counter() for name in ("language", "license")}
    for one in found:
        for name, counted in totals.items():
            counted.update(one.counts.get(name, Counter()))
    languages = [code for code, _ in totals["language"].most_common() if code not in cards.NO_LANGUAGE]
    known = {name.lower(): name for name in [*totals["license"], *bases]}
    stated = [name for name in known.values() if name not in (*NONE, profile.OTHERS)]
    silent = totals["license"][""] + sum(name in NONE for name in bases)
    said: dict[str, Any] = {"library_name": "transformers"}
    if card.task in PIPELINES:
        said["pipeline_tag"] = PIPELINES[card.task]
    if languages:
        said["language"] = languages
    return said | cards.licence(stated, silent) | {"tags": ["sapwood", f"sapwood-{card.task}"]}


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


def _learned(held: list[trace.Held], found: dict[str, profile.Profile], bases: list[tuple[str, str]]) -> str:
    rows = [
        (one.step, f"`{one.rows.kind}:{one.rows.short}`", source or "-", licence or "not stated", f"{count:,}")
        for one in held
        for (source, licence), count in found[one.rows.digest].licences.most_common(cards.MOST_ROWS)
    ]
    note = "As each source states its licence; rights were not checked. A base model from elsewhere has texts of its own.\n"
    note += "".join(f"\nGrown from {summary}\n" for summary, _ in bases)
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
