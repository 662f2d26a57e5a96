"""What `sapwood data` prints: 80 columns, Chinese characters counted as two. Takes what the text room found, computes nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from sapwood.artifact import Artifact, Entry
from sapwood.runs import terminal

if TYPE_CHECKING:
    from sapwood.text.versions.changes import Changes
    from sapwood.text.versions.drift import Drift
    from sapwood.text.versions.looking import Hit
    from sapwood.text.versions.profile import Profile

SHARES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
MOST = 12
QUIET = "stats"
"""The column of numbers that `measure` adds; it would fill the screen at every row."""
BAR = 30


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print a table that fits 80 columns; nothing where there are no rows."""
    if rows:
        Console(width=terminal.WIDTH, highlight=False).print(terminal.plain(title, list(columns), rows))


def printable(text: str) -> str:
    """Without the control characters by which a text from outside could write to the terminal what it likes; tabs and line ends stay."""
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", "\N{REPLACEMENT CHARACTER}", text)


def flat(text: str) -> str:
    """One line."""
    return printable(re.sub(r"\s+", " ", text))


def row(found: dict[str, Any], shown: int) -> str:
    """A row as `column: value` lines, the text last and cut to `shown` characters; a whole row without its `stats`."""
    from sapwood.text import rows

    whole = found.keys() >= set(rows.DOCUMENTS.names)  # with fewer columns somebody chose them, and gets what was chosen
    hidden = {"text", QUIET} if whole else {"text"}
    lines = [f"{name:<13} {_value(value)}" for name, value in found.items() if name not in hidden and value not in ("", None, [], "{}")]
    if "text" in found:
        text = found["text"] or ""
        cut = f"… ({len(text):,} characters)" if len(text) > shown else ""
        lines += [f"  {line}" for line in printable(text[:shown] + cut).splitlines()]
    return "\n".join(lines) + "\n"


def _value(value: Any) -> str:
    return printable(" ".join(map(str, value)) if isinstance(value, list) else str(value))


def print_hit(hit: Hit) -> None:
    more = f"  {hit.times} matches" if hit.times > 1 else ""
    line = Text(f"{hit.id[:12]}  {flat(hit.source)}  {hit.language}{more}\n  ", style="dim")
    line.append(flat(hit.before), style="not dim").append(flat(hit.match), style="bold not dim").append(flat(hit.after), style="not dim")
    Console(width=terminal.WIDTH, highlight=False).print(line)


def other(artifact: Artifact, folder: Path, entries: Sequence[Entry]) -> dict[str, Any]:
    """An artifact without rows in a few facts; `sapwood show` has more."""
    body: dict[str, Any] = {"artifact": str(artifact), "files": len(entries), "bytes": sum(entry.size for entry in entries)}
    if artifact.kind == "report":
        found = json.loads((folder / "report.json").read_text(encoding="utf-8"))
        body |= {"title": found["title"], "summary": found["summary"]}
    if artifact.kind == "tokenizer":
        found = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
        body |= {"model": found["model"]["type"], "vocabulary": len(found["model"]["vocab"]), "added": len(found.get("added_tokens", []))}
    if artifact.kind == "model":
        found = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        body |= {"model": found.get("model_type", ""), "vocabulary": found.get("vocab_size", "")}
    if (folder / "tokens.json").is_file():
        found = json.loads((folder / "tokens.json").read_text(encoding="utf-8"))
        body |= {key: found[key] for key in ("sequences", "length", "documents", "tokens") if key in found}
    return {**body, "rows": "none: it holds no rows of text", "next": f"sapwood show {artifact.short}"}


# --------------------------------------------------------------------------- stats


def stats(name: str, found: Profile) -> dict[str, Any]:
    """The numbers of `print_stats` for programs."""
    from sapwood.text.versions.profile import FIELDS

    lengths = dict(zip((f"{share:g}" for share in SHARES), found.quantiles(SHARES), strict=True))
    counts = {field: dict(found.counts[field].most_common()) for field in FIELDS if field in found.counts}
    licences = [{"source": source, "license": licence, "rows": n} for (source, licence), n in found.licences.most_common()]
    totals = {"rows": found.rows, "characters": found.characters, "bytes": found.bytes, "blank": found.blank, "children": found.children}
    return {"artifact": name, **totals, "length_quantiles": lengths, "counts": counts, "licences": licences}


def print_stats(found: Profile) -> None:
    from sapwood.text.versions.profile import FIELDS, histogram

    totals = [["rows", found.rows], ["characters", found.characters], ["bytes of UTF-8", found.bytes], ["blank rows", found.blank]]
    table("Totals", ["", "count"], [*totals, ["rows with parents", found.children]])
    names = ["shortest", "5 %", "25 %", "half", "75 %", "95 %", "longest"]
    table("Characters a row", names, [found.quantiles(SHARES)] if found.rows else [])
    bins = histogram(found)
    most = max((number for _, _, number in bins), default=1)
    table("Lengths", ["characters", "rows", ""], [[f"{a:,} to {b:,}", n, "█" * max(n > 0, round(BAR * n / most))] for a, b, n in bins])
    for field in FIELDS:
        counts = found.counts.get(field)
        if counts:
            shown = counts.most_common(MOST)
            rest = sum(counts.values()) - sum(number for _, number in shown)
            rows = [[narrow(printable(name) or "not stated"), n, f"{n / found.rows:.1%}"] for name, n in shown]
            table(
                field.capitalize(), ["value", "rows", "share"], rows + ([["all others", rest, f"{rest / found.rows:.1%}"]] if rest else [])
            )


def narrow(text: str, cells: int = 46) -> str:
    """The text cut to so many cells of the terminal; a Chinese character takes two."""
    return text if cell_len(text) <= cells else set_cell_size(text, cells - 1) + "…"


# --------------------------------------------------------------------------- diff


def diff(names: tuple[str, str], changed: Changes, drifts: Sequence[Drift]) -> dict[str, Any]:
    """The numbers of `print_diff` for programs."""
    from sapwood.text.versions.changes import KINDS

    return {
        "left": {"artifact": names[0], "rows": changed.left},
        "right": {"artifact": names[1], "rows": changed.right},
        "same": changed.same,
        **{kind: changed.counts[kind] for kind in KINDS},
        "relabelled_pairs": [{"from": a, "to": b, "rows": n} for (a, b), n in changed.relabelled.most_common()],
        "drift": [one._asdict() for one in drifts],
        "examples": [one._asdict() for one in changed.examples],
    }


def print_diff(names: tuple[str, str], changed: Changes, drifts: Sequence[Drift]) -> None:
    from sapwood.text.versions.drift import READING

    counted = [["rows before", changed.left, names[0]], ["rows after", changed.right, names[1]], ["same", changed.same, ""]]
    table("Rows", ["", "count", ""], counted + [[kind, number, ""] for kind, number in changed.counts.items() if number])
    moved = [[f"{a or 'none'} to {b or 'none'}", number] for (a, b), number in changed.relabelled.most_common(MOST)]
    table("Labels that changed", ["label", "rows"], moved)
    rows = [
        [d.field, f"{d.distance:.3f}", "-" if d.p is None else f"{d.p:.2g}", "-" if d.psi is None else f"{d.psi:.3f}", d.reading]
        for d in drifts
    ]
    table("Drift", ["field", "distance", "p", "PSI", "reading"], rows)
    console = Console(width=terminal.WIDTH, highlight=False, soft_wrap=False)
    console.print(READING, style="dim", markup=False)
    for one in changed.examples:
        console.print(f"\n{one.kind}  {one.id}", style="bold", markup=False)
        if one.before:
            console.print(f"- {flat(one.before)}", style="red", markup=False)
        if one.after:
            console.print(f"+ {flat(one.after)}", style="green", markup=False)
