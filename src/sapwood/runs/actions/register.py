"""Give a bundle a version number under a model's name."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from sapwood import report
from sapwood.artifact import Bundle, Model, Report
from sapwood.runs.world import World
from sapwood.stage import Action


class Register(Action):
    """Register a bundle, its source model and their proofs as a version of a model name. The same bundle keeps its number.

    Registering proves nothing: a version without a passing verdict can be looked at, not promoted or served.
    """

    model: str = Field("model", pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$", description="Name in the model registry.")

    def run(self, world: World, bundle: Bundle, source: Model, verdict: Report, parity: Report | None) -> dict[str, Any]:
        version = world.records.register(
            self.model, bundle.digest, source.digest, verdict.digest, parity.digest if parity else "", world.run
        )
        world.say(f"{self.model} version {version.number} is bundle {bundle.short}")
        rows: list[list[Any]] = [
            ["version", version.number],
            ["bundle", bundle.digest],
            ["model", source.digest],
            ["verdict", verdict.digest],
        ]
        return {
            "title": f"Registered {self.model} version {version.number}",
            "summary": f"Bundle {bundle.short} is version {version.number} of {self.model}.",
            "data": {"model": self.model, "version": version.number, "bundle": bundle.digest},
            "blocks": [report.table("The version", ["what", "value"], rows)],
        }
