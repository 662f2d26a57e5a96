"""The dataset card of exported rows: `README.md` as the Hugging Face hub reads it (YAML metadata, then text for people).

Rendered from records (counts, licences by source, the steps that made the rows), so it is outside the artifact's digest and may be
written again in another form. It quotes no row: a card is copied to places where the text may not go.

A licence is what the source said of itself; nobody has checked the rights. Where some rows state none, the metadata names no licence
for the whole: what was stated stands in the table of sources. A language that no row states is not listed.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from sapwood.artifact import Entry
from sapwood.text.versions.profile import OTHERS, Profile, histogram

NO_LANGUAGE = ("", "und", OTHERS)
MOST_ROWS = 30
"""Longest table of a card."""

SIZES = (
    "n<1K",
    "1K<n<10K",
    "10K<n<100K",
    "100K<n<1M",
    "1M<n<10M",
    "10M<n<100M",
    "100M<n<1B",
    "1B<n<10B",
    "10B<n<100B",
    "100B<n<1T",
    "n>1T",
)
"""Each class is ten times the one before it."""
LICENCES = re.compile(
    r"mit|isc|bsd(-[23]-clause)?|apache-2\.0|[al]?gpl(-[23](\.[01])?)?|mpl-2\.0|unlicense|wtfpl|pddl|odc-by|odbl|gfdl|cc0-1\.0"
    r"|cc|cc-by(-nc)?(-nd|-sa)?-[234]\.[05]"
)
"""The hub's own names; what is not among them is `other` there, with its wording in `license_name`."""

PARTLY = "partly-not-stated"
"""`license_name` of rows of which some state a licence and some do not."""


class Made(NamedTuple):
    """One step on the way to the rows. Digests are full; `params` are those that differ from the defaults or all of them."""

    step: str
    version: int
    params: Mapping[str, Any]
    inputs: Sequence[str]
    outputs: Sequence[str]
    seed: int | None
    run: str


class Dataset(NamedTuple):
    """What a card is rendered from. `entries` are the payload's files; `steps` come in the order in which they ran."""

    name: str
    kind: str
    digest: str
    schema: pa.Schema
    entries: Sequence[Entry]
    profile: Profile
    steps: Sequence[Made]
    creator: str = ""
    date: str = ""

    @property
    def languages(self) -> list[str]:
        found = self.profile.counts.get("language", Counter())
        return [code for code, _ in found.most_common() if code not in NO_LANGUAGE]

    @property
    def licences(self) -> list[str]:
        return [name for name, _ in self.profile.counts.get("license", Counter()).most_common() if name not in ("", OTHERS)]

    @property
    def unlicensed(self) -> int:
        """Rows that state no licence."""
        return self.profile.counts.get("license", Counter())[""]

    @property
    def labels(self) -> list[str]:
        return sorted(name for name in self.profile.counts.get("label", Counter()) if name not in ("", OTHERS))


def metadata(dataset: Dataset) -> dict[str, Any]:
    """The YAML block of the card, as a mapping."""
    size = sum(entry.size for entry in dataset.entries)
    found: dict[str, Any] = {"pretty_name": dataset.name}
    if dataset.languages:
        found["language"] = dataset.languages
        found["multilinguality"] = ["monolingual" if len(dataset.languages) == 1 else "multilingual"]
    found |= licence(dataset.licences, dataset.unlicensed)
    found["size_categories"] = [SIZES[min(len(SIZES) - 1, max(0, len(str(dataset.profile.rows)) - 3))]]
    if dataset.labels:
        found["task_categories"] = ["text-classification"]
    found["configs"] = [{"config_name": "default", "data_files": [{"split": "train", "path": "rows-*.parquet"}]}]
    found["dataset_info"] = {
        "features": [_feature(field) for field in dataset.schema],
        "splits": [{"name": "train", "num_bytes": size, "num_examples": dataset.profile.rows}],
        "download_size": size,
        "dataset_size": size,
    }
    found["tags"] = ["sapwood", f"sapwood-{dataset.kind}"]
    return found


def licence(names: Sequence[str], unlicensed: int) -> dict[str, Any]:
    """The hub's fields for stated licences, and how many rows state none."""
    if names and unlicensed:
        return {"license": "other", "license_name": PARTLY}
    known = [name.lower() for name in names if LICENCES.fullmatch(name.lower())]
    strange = [name for name in names if not LICENCES.fullmatch(name.lower())]
    listed = known + (["other"] if strange else [])
    if not listed:
        return {"license": "unknown"}
    found: dict[str, Any] = {"license": listed[0] if len(listed) == 1 else listed}
    if strange:
        found["license_name"] = re.sub(r"[^a-z0-9.]+", "-", strange[0].lower()).strip("-")[:60] or "other"
    return found


def _feature(field: pa.Field) -> dict[str, Any]:
    return {"name": field.name, **_typed(field.type)}


def _typed(kind: pa.DataType) -> dict[str, Any]:
    """The type as `datasets` 5.2 reads it from YAML: its name, or what a list or a struct holds."""
    if pa.types.is_struct(kind):
        return {"struct": [_feature(field) for field in kind]}
    if pa.types.is_list(kind):
        held = _typed(kind.value_type)
        return {"list": held.get("dtype", held)}
    return {"dtype": _dtype(kind)}


def _dtype(kind: pa.DataType) -> str:
    return {"double": "float64", "float": "float32", "halffloat": "float16"}.get(str(kind), str(kind))


def render(dataset: Dataset) -> str:
    """The whole `README.md`."""
    import yaml

    head = yaml.safe_dump(metadata(dataset), allow_unicode=True, sort_keys=False, width=120)
    parts = [
        f"---\n{head}---\n",
        f"# {dataset.name}\n",
        _summary(dataset),
        _counts(dataset),
        _licences(dataset),
        how_made(dataset.steps),
        _open(dataset),
    ]
    return "\n".join(parts)


def _summary(dataset: Dataset) -> str:
    found = dataset.profile
    middle, long = found.quantiles((0.5, 0.95))
    children = f" {found.children:,} rows are children of other rows (`parents`)." if found.children else ""
    return (
        f"{found.rows:,} rows of {'labelled text' if dataset.kind == 'examples' else 'text'}, {found.characters:,} characters "
        f"({found.bytes:,} bytes of UTF-8). Half of the rows have at most {middle:,} characters, 95 % at most {long:,}.{children}\n\n"
        f"Artifact `{dataset.kind}:{dataset.digest}`. The digest covers the files listed in `croissant.json`, not this card."
        f"{' Written ' + dataset.date + '.' if dataset.date else ''}\n"
    )


def _counts(dataset: Dataset) -> str:
    parts = ["## Counts\n"]
    for name in ("language", "label", "source"):
        found = dataset.profile.counts.get(name)
        if found and set(found) != {""}:
            parts.append(table([name, "rows", "share"], [_share(value, number, dataset.profile.rows) for value, number in _most(found)]))
    lengths = [(f"{low:,} to {high:,}", f"{number:,}") for low, high, number in histogram(dataset.profile)]
    parts.append(table(["characters", "rows"], lengths))
    return "\n".join(parts)


def _licences(dataset: Dataset) -> str:
    rows = [(source or "-", licence or "not stated", f"{n:,}") for (source, licence), n in dataset.profile.licences.most_common(MOST_ROWS)]
    note = "As each source states it; rights were not checked. Rows keep `source`, `url` and `license`.\n"
    if dataset.unlicensed:
        note += f"{dataset.unlicensed:,} of {dataset.profile.rows:,} rows state no licence.\n"
    return f"## Licences by source\n\n{note}\n{table(['source', 'licence', 'rows'], rows)}"


def how_made(steps: Sequence[Made]) -> str:
    """The part of a card that lists the steps, in the order in which they ran."""
    if not steps:
        return "## How it was made\n\nNo step is on record: it was put into the store from outside.\n"
    parts = ["## How it was made\n", "In this order; digests are the first 12 of 64 characters.\n"]
    for number, made in enumerate(steps, start=1):
        seed = "" if made.seed is None else f", seed {made.seed}"
        ends = " from " + ", ".join(f"`{one}`" for one in made.inputs) if made.inputs else ""
        parts.append(
            f"{number}. **{made.step}** (version {made.version}{seed}, run `{made.run or '-'}`){ends} to {', '.join(f'`{o}`' for o in made.outputs)}"
        )
        if made.params:
            parts.append(f"   ```json\n   {parameters(made)}\n   ```")
    return "\n".join(parts) + "\n"


def parameters(made: Made) -> str:
    """The parameters as JSON, without the user and password that a URL among them may hold."""
    return re.sub(r"(?<=://)[^/\s\"@]+@", "", json.dumps(dict(made.params), ensure_ascii=False, sort_keys=True))


def _open(dataset: Dataset) -> str:
    return (
        '## Open it\n\n```python\nfrom datasets import load_dataset\nrows = load_dataset("FOLDER", split="train")\n\n'
        'import polars\nrows = polars.read_parquet("FOLDER/rows-*.parquet")\n```\n\n'
        "`id` stays the same when a text is cleaned; `text_digest` follows the text; `parents` are the ids a row was made from; "
        "`meta` is a JSON object of strings.\n"
    )


def _most(found: Counter[str]) -> list[tuple[str, int]]:
    listed = found.most_common(MOST_ROWS)
    rest = sum(found.values()) - sum(number for _, number in listed)
    return [*listed, (f"{len(found) - len(listed):,} more", rest)] if rest else listed


def _share(value: str, number: int, total: int) -> tuple[str, str, str]:
    return value or "not stated", f"{number:,}", f"{number / max(1, total):.1%}"


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(re.sub(r"\s+", " ", cell).replace("|", "\\|") for cell in line) + " |" for line in lines) + "\n"
