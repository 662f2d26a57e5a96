"""The records of a store in one place: runs, actions, model versions, deployments and cycles. Each change is one transaction.

SQLAlchemy Core on any database; the subjects live in files of their own and are joined here, not inherited.
"""

from __future__ import annotations

from sqlalchemy import Engine

from sapwood.store.cycle_records import Cycle, CycleRecords
from sapwood.store.deployment_records import Deployment, DeploymentRecords
from sapwood.store.registry import AliasMove, Registry, Version
from sapwood.store.run_records import Run, RunRecords

__all__ = ["AliasMove", "Cycle", "Deployment", "Records", "Run", "Version"]


class Records:
    """`Records(engine)`: the methods of the four subjects under one roof."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

        kept = RunRecords(engine)
        self.start_run, self.update_run, self.finish_run = kept.start_run, kept.update_run, kept.finish_run
        self.run, self.runs = kept.run, kept.runs
        self.action, self.record_action = kept.action, kept.record_action

        registry = Registry(engine)
        self.register, self.names, self.versions, self.version = registry.register, registry.names, registry.versions, registry.version
        self.alias, self.aliases, self.set_alias = registry.alias, registry.aliases, registry.set_alias
        self.alias_history = registry.alias_history

        deployed = DeploymentRecords(engine)
        self.deploy, self.deployment, self.deployments = deployed.deploy, deployed.deployment, deployed.deployments
        self.acknowledge, self.acknowledged = deployed.acknowledge, deployed.acknowledged

        turns = CycleRecords(engine)
        self.open_cycle, self.advance_cycle = turns.open_cycle, turns.advance_cycle
        self.cycle, self.cycles = turns.cycle, turns.cycles
