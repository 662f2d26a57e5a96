"""MLflow: to the server of `MLFLOW_TRACKING_URI`, or else to a database beside the store's runs.

mlflow's full package pins an older pyarrow than Sapwood needs; `mlflow-skinny` is the client alone and lives beside it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from sapwood.errors import MissingExtra
from sapwood.runs.trackers.tracker import Tracked, Tracker

STATUS = {"done": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}
LONGEST = 500
"""Characters of a parameter that every server takes."""


class MLflow(Tracker):
    """Metrics by `step/name`; the recipe's fields as parameters."""

    def check(self) -> None:
        if find_spec("mlflow") is None:
            raise MissingExtra("mlflow-skinny", "mlflow", "the tracker mlflow")

    def start(self, tracked: Tracked) -> str:
        from mlflow.tracking import MlflowClient

        address = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{tracked.folder.parent / 'mlflow.db'}"
        self.client: Any = MlflowClient(tracking_uri=address)
        known = self.client.get_experiment_by_name(tracked.name)
        experiment = known.experiment_id if known else self.client.create_experiment(tracked.name)
        self.run: str = self.client.create_run(experiment, run_name=tracked.run, tags={"sapwood.run": tracked.run}).info.run_id
        for path, value in flat(tracked.recipe).items():
            self.client.log_param(self.run, path, str(value)[:LONGEST])
        return f"{address}, run {self.run}"

    def metrics(self, step: str, number: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self.client.log_metric(self.run, f"{step}/{name}", value, step=number)

    def finish(self, status: str) -> None:
        self.client.set_terminated(self.run, STATUS.get(status, "FINISHED"))


def flat(body: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A nested mapping by dotted path; lists stay whole."""
    found: dict[str, Any] = {}
    for key, value in body.items():
        path = f"{prefix}{key}"
        found.update(flat(value, f"{path}.") if isinstance(value, Mapping) and value else {path: value})
    return found
