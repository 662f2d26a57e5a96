"""Names to classes, loaded when asked for. Built-ins stand in the same tables that entry points extend.

A recipe resolves registered names only, never dotted paths. Other distributions register through the entry-point
groups `sapwood.stages` and `sapwood.actions`; a name that is taken twice is an error. The tables cannot change at run time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from types import MappingProxyType
from typing import Any

from sapwood.errors import InputError, SapwoodError
from sapwood.stage import Action, Stage

OURS = "sapwood"

BUILT_IN: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "stages": MappingProxyType(
            {
                "collect": "sapwood.stages.collect:Collect",
                "label": "sapwood.stages.label:Label",
                "clean": "sapwood.stages.clean:Clean",
                "leakage": "sapwood.stages.leakage:Leakage",
                "split": "sapwood.stages.split:Split",
                "decontaminate": "sapwood.stages.decontaminate:Decontaminate",
                "tokenize": "sapwood.stages.tokenize:Tokenize",
                "pretrain": "sapwood.stages.pretrain:Pretrain",
                "base": "sapwood.stages.base:Base",
                "finetune": "sapwood.stages.finetune:Finetune",
                "baselines": "sapwood.stages.baselines:Baselines",
                "select": "sapwood.stages.select:Select",
                "evaluate": "sapwood.stages.evaluate:Evaluate",
                "compress": "sapwood.stages.compress:Compress",
                "parity": "sapwood.stages.parity:ParityStage",
                "gate": "sapwood.stages.gate:Gate",
                "replay": "sapwood.stages.replay:Replay",
            }
        ),
        "actions": MappingProxyType(
            {
                "register": "sapwood.runs.actions.register:Register",
                "promote": "sapwood.runs.actions.promote:Promote",
                "deploy": "sapwood.runs.actions.deploy:Deploy",
                "feedback": "sapwood.runs.actions.feedback:CollectFeedback",
                "cycle": "sapwood.runs.actions.cycle:RunCycle",
            }
        ),
    }
)
BASES: Mapping[str, type] = MappingProxyType({"stages": Stage, "actions": Action})


@dataclass(frozen=True)
class Registered:
    """One name of a group: where its class is, and which distribution supplies it."""

    name: str
    target: str
    distribution: str


@cache
def table(group: str) -> Mapping[str, Registered]:
    """Every registered name of a group, built-ins first."""
    found = {name: Registered(name, target, OURS) for name, target in BUILT_IN[group].items()}
    for point in entry_points(group=f"sapwood.{group}"):
        supplier = point.dist.name if point.dist else "unknown"
        if point.name in found:
            other = found[point.name].distribution
            raise SapwoodError(
                f"the {group[:-1]} name {point.name!r} is registered by both {other} and {supplier}", f"uninstall {supplier}"
            )
        found[point.name] = Registered(point.name, point.value, supplier)
    return MappingProxyType(found)


def nearest(name: str, names: Mapping[str, Any] | list[str]) -> str:
    """` Did you mean X?`, or the choices where nothing is near."""
    close = get_close_matches(name, list(names), 1, 0.6)
    return f"Did you mean {close[0]}?" if close else f"Known: {', '.join(sorted(names))}."


def load(group: str, name: str) -> type[Any]:
    """The class behind a name, checked to be of the group's base class."""
    known = table(group)
    if name not in known:
        raise InputError(f"no {group[:-1]} is called {name!r}. {nearest(name, dict(known))}", f"sapwood {group}")
    module, _, attribute = known[name].target.partition(":")
    loaded = getattr(import_module(module), attribute)
    if not (isinstance(loaded, type) and issubclass(loaded, BASES[group])):
        raise SapwoodError(f"{known[name].target} is not a {BASES[group].__name__}", f"report this to {known[name].distribution}")
    return loaded


def stages() -> dict[str, type[Stage]]:
    """Every stage by name."""
    return {name: load("stages", name) for name in table("stages")}


def actions() -> dict[str, type[Action]]:
    """Every action by name."""
    return {name: load("actions", name) for name in table("actions")}
