"""Point an alias at a version, if its proofs hold."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from sapwood import report
from sapwood.artifact import Bundle
from sapwood.runs import releases
from sapwood.runs.world import World
from sapwood.stage import Action


class Promote(Action):
    """Make a registered bundle the champion. Refused without a passing verdict and parity for exactly this bundle."""

    model: str = Field("model", pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$", description="Name in the model registry.")

    def run(self, world: World, bundle: Bundle) -> dict[str, Any]:
        version = releases.version_of(world.store, self.model, bundle)
        releases.check(world.store, version)
        before = world.records.alias(self.model, "champion")
        world.records.set_alias(self.model, "champion", version.number, f"run {world.run}, step {world.step}")
        world.say(f"{self.model} version {version.number} is the champion")
        was = f"It takes the place of version {before.number}." if before else "It is the first champion."
        judged, _ = releases.proofs(world.store, version)
        rows = [[c.name, "pass" if c.passed else "fail", c.detail] for c in judged.record.checks]
        return {
            "title": f"Promoted {self.model} version {version.number}",
            "summary": f"Version {version.number} is the champion of {self.model}: its verdict passes and names this bundle or its model. {was}",
            "data": {"model": self.model, "version": version.number, "before": before.number if before else None},
            "blocks": [report.table("What the promotion rests on", ["bar", "", "measured"], rows)],
        }
