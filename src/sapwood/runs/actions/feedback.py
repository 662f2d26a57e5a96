"""Corrections that arrive through the gateway's API, from labelled rows set aside for it."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from sapwood import report
from sapwood.artifact import Examples
from sapwood.runs.actions.deploy import column
from sapwood.runs.world import World
from sapwood.serving.client import Gateway, running_gateway
from sapwood.stage import Action

BATCH = 32


class CollectFeedback(Action):
    """Play a user: ask the served champion about each row over HTTP, and send the row's label back as a correction.

    `flip` sends a wrong label each time. It exists to show that a gate stops a model made worse by bad feedback.
    """

    model: str = Field("model", pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$", description="Name in the model registry.")
    rows: int = Field(400, ge=1, le=2_000, description="How many rows are sent at most; a key may give 2,000 a day.")
    skip: int = Field(0, ge=0, description="Rows to leave out at the start, so that two steps can share one port.")
    flip: bool = Field(False, description="Send another label than the true one, on purpose.")

    def run(self, world: World, examples: Examples) -> dict[str, Any]:
        texts, labels = self._rows(world, examples)
        deployment = world.records.deployment(self.model)
        revision = deployment.revision if deployment else 1
        right = sent = 0
        with running_gateway(world.store.root, self.model, revision=revision) as (url, key):
            gateway = Gateway(url, key)
            for start in range(0, len(texts), BATCH):
                answers = gateway.predict(texts[start : start + BATCH], truncate=True)
                truths = labels[start : start + BATCH]
                right += sum(answer.label == truth for answer, truth in zip(answers, truths, strict=True))
                items = [
                    {
                        "id": f"{world.step}-{answer.response_id}",
                        "name": "correction",
                        "data_type": "CATEGORICAL",
                        "string_value": self._said(truth, sorted(answer.scores)),
                        "correction": self._said(truth, sorted(answer.scores)),
                        "source": {"source_type": "HUMAN", "source_id": world.step},
                        "response_id": answer.response_id,
                    }
                    for answer, truth in zip(answers, truths, strict=True)
                ]
                sent += len(gateway.feedback(items))
        world.say(f"{sent} corrections arrived; the champion had {right} of {len(texts)} right")
        how = "Every label was flipped on purpose." if self.flip else "Labels are those of the source."
        table: list[list[Any]] = [
            ["rows asked over HTTP", len(texts)],
            ["champion right", f"{right} ({right / len(texts):.1%})"],
            ["corrections stored", sent],
        ]
        return {
            "title": "Feedback through the API" + (" (labels flipped on purpose)" if self.flip else ""),
            "summary": f"{sent} corrections arrived about answers of {self.model}. {how}",
            "data": {"asked": len(texts), "right": right, "sent": sent, "flipped": self.flip},
            "blocks": [report.table("Feedback", ["what", "value"], table)],
        }

    def _rows(self, world: World, examples: Examples) -> tuple[list[str], list[str]]:
        from sapwood.text import rows

        table = rows.read(world.path(examples), ["text", "label"]).slice(self.skip, self.rows)
        return column(table, "text"), column(table, "label")

    def _said(self, truth: str, known: list[str]) -> str:
        """The label that is sent: the truth, or the next one in the list when flipping."""
        return known[(known.index(truth) + 1) % len(known)] if self.flip else truth
