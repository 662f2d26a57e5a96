"""A run told to people: the page's sections, its opening paragraph and figures, and the closing tables of the terminal.

Everything is read from the records and reports of the run; nothing is computed again. A run that reused every step tells
the same story as the run that made them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sapwood import report
from sapwood.artifact import Report, reference
from sapwood.errors import NotFound
from sapwood.runs import page as pages
from sapwood.runs import terminal
from sapwood.runs.page import Section
from sapwood.store.local import LocalStore
from sapwood.store.records import Run


def sections(store: LocalStore, run: Run) -> list[Section]:
    """One section for each report of a stage, and one for each action, in the order of the run."""
    return [section for step in run.steps if "/" not in step["step"] for section in _sections(store, step)]


def page(store: LocalStore, identifier: str) -> str:
    """The run as one HTML page."""
    run = store.records.run(identifier)
    found = sections(store, run)
    told = {
        "story": list(_sentences(found)),
        "figures": list(_figures(found)),
        "facts": {"run": run.id, "recipe": run.name, "seed": run.recipe.get("seed"), "status": run.status, **run.environment},
    }
    title = str(run.recipe.get("description") or run.name)
    return pages.render(title, told, found)


def tell(store: LocalStore, identifier: str) -> None:
    """Print the closing tables: scores of every evaluation, verdicts, and what actions did."""
    from rich.console import Console

    found = sections(store, store.records.run(identifier))
    console = Console(width=terminal.WIDTH)
    for section in found:
        if section.stage == "evaluate":
            console.print(terminal.scores(_scores(section.body["data"]), f"Scores ({section.step})"))
    lines = [
        terminal.Line(s.step, s.state, s.seconds, s.body["summary"])
        for s in found
        if s.stage in ("gate", "compress", "parity", "register", "promote", "deploy", "feedback", "cycle")
    ]
    if lines:
        console.print(terminal.steps(lines, "What came of it"))


def _sections(store: LocalStore, step: Mapping[str, Any]) -> Iterator[Section]:
    state = {"done": "made"}.get(step["state"], step["state"])
    if step["state"] in ("failed", "interrupted"):
        body = {"title": step["step"], "summary": step.get("error", ""), "data": {}, "blocks": []}
        yield Section(step["step"], step["name"], state, 0.0, "", body)
        return
    if step.get("action"):
        known = store.records.action(step["key"])
        if known is not None:
            yield Section(step["step"], step["name"], state, step["seconds"], "", known["result"])
        return
    result = store.result(step["key"])
    for name in step["outputs"].values():
        kind, _, digest = name.partition(":")
        if kind == "report":
            seconds = result.seconds if result else step["seconds"]
            full = _full(store, kind, digest)
            yield Section(step["step"], step["name"], state, seconds, full.digest, report.read(store.open(full)))


def _full(store: LocalStore, kind: str, digest: str) -> Report:
    found = reference(kind, digest) if len(digest) == 64 else store.find(f"{kind}:{digest}")
    if not isinstance(found, Report):
        raise NotFound(f"{kind}:{digest} is not a report")
    return found


def _scores(data: Mapping[str, Any]) -> list[terminal.Score]:
    """Rows of the scores table: each system against the strongest baseline, by the paired test of the report."""
    names, candidates = data["systems"], data["candidates"]
    against = _strongest_baseline(data)
    tests = {(pair["a"], pair["b"]): pair["macro_f1"] for pair in data["paired"]}
    rows = []
    for system, scores in data["scores"].items():
        macro, versus = scores["macro_f1"], ""
        test = tests.get((system, against)) if system in candidates else None
        if test:
            versus = f"{test['difference']:+.3f} p={test['p']:.3f} vs {names[against]}"
        rows.append(
            terminal.Score(names[system], scores["n"], macro["value"], macro["low"], macro["high"], scores["accuracy"]["value"], versus)
        )
    return rows


def _strongest_baseline(data: Mapping[str, Any]) -> str:
    others = [system for system in data["scores"] if system not in data["candidates"]]
    return max(others, key=lambda system: data["scores"][system]["macro_f1"]["value"], default="")


def _sentences(found: list[Section]) -> Iterator[str]:
    """The opening: what each kind of step came to, in the reports' own words."""
    for section in found:
        if section.stage in ("split", "gate", "promote", "cycle"):
            summary = section.body["summary"]
            yield f"{section.body['title']}: {summary}" if section.stage in ("split", "gate") else summary


def _figures(found: list[Section]) -> Iterator[dict[str, Any]]:
    """Tiles: rows kept, the best candidate's score, size, the verdict, each cycle."""
    for section in found:
        data = section.body["data"]
        if section.stage in ("clean", "dedup"):
            total = data["total"]
            yield {
                "label": f"rows kept ({section.step})",
                "value": f"{total['kept']:,}",
                "note": f"of {total['in']:,}",
                "state": "",
            }
        elif section.stage == "evaluate":
            best = max(data["candidates"], key=lambda system: data["scores"][system]["macro_f1"]["value"])
            macro = data["scores"][best]["macro_f1"]
            note = f"{data['systems'][best]}, {macro['low']:.3f} to {macro['high']:.3f}, n={data['n']:,}"
            yield {"label": "macro-F1 on test", "value": f"{macro['value']:.3f}", "note": note, "state": ""}
        elif section.stage == "compress":
            after, before = data["after"], data["before"]
            note = f"from {before['megabytes']:.0f} MB; {after['batch_1']['median_ms']:.1f} ms an answer"
            yield {"label": "size", "value": f"{after['megabytes']:.0f} MB", "note": note, "state": ""}
        elif section.stage == "gate":
            passed = data["passed"]
            yield {
                "label": "verdict",
                "value": "pass" if passed else "fail",
                "note": section.body["summary"],
                "state": "ok" if passed else "fail",
            }
        elif section.stage == "cycle":
            state = "ok" if data["state"] == "promoted" else "warn"
            yield {"label": section.step, "value": data["state"], "note": f"{data['corrections']:,} corrections", "state": state}
