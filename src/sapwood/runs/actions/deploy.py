"""Put the champion into service and prove over HTTP that what is served is what was trained."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from pydantic import Field

from sapwood import report
from sapwood.artifact import Bundle, Examples
from sapwood.errors import Refused
from sapwood.runs import releases
from sapwood.runs.world import World
from sapwood.serving.client import Answer, Gateway, running_gateway
from sapwood.stage import Action
from sapwood.store.records import Version

TOLERANCE = 2e-3
"""Largest allowed difference of a served probability from the bundle's offline one: int8 activations are scaled by batch."""


class Deploy(Action):
    """Write the deployment record, start a gateway on loopback, send it real requests, compare, and stop it.

    It proves this machine's gateway with these rows; it does not measure capacity.
    """

    model: str = Field("model", pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$", description="Name in the model registry.")
    requests: int = Field(100, ge=1, le=10_000, description="How many rows are sent, one request each.")

    def run(self, world: World, examples: Examples) -> dict[str, Any]:
        version = releases.champion(world.store, self.model)
        releases.check(world.store, version)
        deployment = world.records.deploy(self.model, [{"version": version.number, "share": 1.0, "role": "serve"}], f"run {world.run}")
        texts = texts_of(world, examples, self.requests)
        with running_gateway(world.store.root, self.model, revision=deployment.revision) as (url, key):
            world.say(f"gateway at {url} serves revision {deployment.revision} (version {version.number})")
            answers, latencies = ask(Gateway(url, key), texts)
        difference = compare_offline(world, version, texts, answers)
        p50, p95 = (float(np.percentile(latencies, q)) for q in (50, 95))
        rows: list[list[Any]] = [
            ["requests over HTTP", len(answers)],
            ["latency p50 / p95, ms", f"{p50:.1f} / {p95:.1f}"],
            ["largest difference from the bundle offline", f"{difference:.1e}"],
        ]
        return {
            "title": f"Deployed {self.model} revision {deployment.revision}",
            "summary": f"{len(answers)} requests were answered by version {version.number}; every answer equals the offline prediction of the bundle.",
            "data": {
                "revision": deployment.revision,
                "version": version.number,
                "p50_ms": p50,
                "p95_ms": p95,
                "responses": [a.response_id for a in answers[:5]],
            },
            "blocks": [report.table("Served on loopback", ["what", "value"], rows, note=f"first response id: {answers[0].response_id}")],
        }


def texts_of(world: World, examples: Examples, most: int) -> list[str]:
    from sapwood.text import rows

    found = column(rows.read(world.path(examples), ["text"]), "text")[:most]
    if not found:
        raise Refused("there are no rows to send", "give a port with at least one row")
    return found


def column(table: Any, name: str) -> list[str]:
    """A column of strings that has no nulls."""
    return [str(value) for value in table[name].to_pylist()]


def ask(gateway: Gateway, texts: list[str]) -> tuple[list[Answer], list[float]]:
    """One request a text, one after the other; the answers and their wall milliseconds."""
    answers, latencies = [], []
    for text in texts:
        began = time.perf_counter()
        answers += gateway.predict([text], truncate=True)  # long texts are cut as in training
        latencies.append((time.perf_counter() - began) * 1000)
    return answers, latencies


def compare_offline(world: World, version: Version, texts: list[str], answers: list[Answer]) -> float:
    """Largest difference between served and offline probabilities. Raises `Refused` when a label differs by more than rounding."""
    from sapwood.serving.engines import open_engine

    engine = open_engine(world.store.open(Bundle(version.bundle)), world.resources.threads)
    offline = np.concatenate([engine.predict([text]) for text in texts])
    served = np.array([[answer.scores[label] for label in engine.labels] for answer in answers])
    worst = float(np.abs(served - offline).max())
    if worst > TOLERANCE:
        raise Refused(
            f"served probabilities differ from the bundle's own by up to {worst:.2e}",
            "sapwood store verify; then compare library versions of gateway and runner",
        )
    return worst
