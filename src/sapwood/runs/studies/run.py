"""Run a checked study of any kind, keep its report, and draw its page."""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping
from typing import Any

from sapwood import __version__
from sapwood.recipe.study import Search, Study, filled
from sapwood.runs import page as pages
from sapwood.runs import plan as plans
from sapwood.runs import settle
from sapwood.runs.monitor import StopFlag
from sapwood.runs.page import Section
from sapwood.runs.studies import kept as keeping
from sapwood.runs.studies import scale_law, scale_report, search, search_report
from sapwood.runs.studies.kept import Kept
from sapwood.runs.studies.search import Tell
from sapwood.store.local import LocalStore


def run(study: Study, store: LocalStore, stop: StopFlag, tell: Tell) -> Kept:
    """Run it to its end. Raises `Interrupted` when `stop` was set; the same call then continues."""
    plans.check_room(plans.make(study.recipe, store, {}), store)
    settle.resources(study.recipe, store)  # the precision is measured once, before workers would measure it beside each other
    began = time.monotonic()
    kept = keeping.begin(study, store)
    try:
        if isinstance(study.asked, Search):
            search_report.write(search.run(study, store, kept, stop, tell), kept.folder, time.monotonic() - began)
        else:
            scale_report.write(scale_law.run(study, store, kept, stop, tell), kept.folder, time.monotonic() - began)
    finally:
        keeping.end(kept)
    return kept


def page(kept: Kept) -> str:
    """The study's report as one HTML page."""
    body = kept.body
    assert body is not None, "a study without an end has no page"
    settings, data = kept.settings, body["data"]
    told: dict[str, Any] = {
        "story": [body["summary"]],
        "figures": data.get("figures", []),
        "facts": {
            "study": kept.identifier,
            "kind": settings["kind"],
            "file": settings["file"],
            "sapwood": __version__,
            "machine": platform.machine(),
        },
    }
    shown = {**body, "title": "What was found", "summary": ""}
    section = Section(settings["name"], settings["kind"], "made", data.get("seconds", 0.0), "", shown)
    return pages.render(body["title"], told, [section])


def best_recipe(study: Study, data: Mapping[str, Any]) -> str:
    """The whole recipe with the winner's values, as YAML. Its paths stay relative to the study's folder."""
    head = f"# {study.name}: every field filled in, with the values that the search found best on development rows.\n"
    return head + filled(study.whole, data["best"]["values"])
