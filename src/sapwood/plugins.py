"""Names to classes, loaded when asked for. Built-ins stand in the same tables that entry points extend.

A recipe resolves registered names only, never dotted paths. Other distributions register through the entry-point
groups `sapwood.stages`, `sapwood.actions`, `sapwood.sources`, `sapwood.maskers`, `sapwood.label_functions`, `sapwood.rewards` and `sapwood.trackers`; a name that is taken twice is an error. The tables cannot
change at run time. Only names stand here, so this module lies low in the house: any room may look up what it extends.
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
                "pair": "sapwood.stages.pair:PairTexts",
                "swap": "sapwood.stages.swap:Swap",
                "contrast": "sapwood.stages.contrast:Contrast",
                "candidates": "sapwood.stages.candidates:Candidates",
                "measure": "sapwood.stages.measure:Measure",
                "clean": "sapwood.stages.clean:Clean",
                "dedup": "sapwood.stages.dedup:Dedup",
                "mask": "sapwood.stages.mask:Mask",
                "leakage": "sapwood.stages.leakage:Leakage",
                "split": "sapwood.stages.split:Split",
                "decontaminate": "sapwood.stages.decontaminate:Decontaminate",
                "augment": "sapwood.stages.augment:Augment",
                "weak_label": "sapwood.stages.weak_label:WeakLabel",
                "distant": "sapwood.stages.distant:Distant",
                "label_errors": "sapwood.stages.label_errors:LabelErrors",
                "tokenize": "sapwood.stages.tokenize:Tokenize",
                "extend": "sapwood.stages.extend:Extend",
                "pack": "sapwood.stages.pack:Pack",
                "pretrain": "sapwood.stages.pretrain:Pretrain",
                "adapt": "sapwood.stages.adapt:Adapt",
                "base": "sapwood.stages.base:Base",
                "finetune": "sapwood.stages.finetune:Finetune",
                "ensemble": "sapwood.stages.ensemble:Ensemble",
                "distil": "sapwood.stages.distil:Distil",
                "ask": "sapwood.stages.ask:Ask",
                "self_label": "sapwood.stages.self_label:SelfLabel",
                "prefer": "sapwood.stages.prefer:Prefer",
                "reinforce": "sapwood.stages.reinforce:Reinforce",
                "baselines": "sapwood.stages.baselines:Baselines",
                "select": "sapwood.stages.select:Select",
                "evaluate": "sapwood.stages.evaluate:Evaluate",
                "score": "sapwood.stages.score:Score",
                "compress": "sapwood.stages.compress:Compress",
                "parity": "sapwood.stages.parity:ParityStage",
                "gate": "sapwood.stages.gate:Gate",
                "replay": "sapwood.stages.replay:Replay",
            }
        ),
        "sources": MappingProxyType(
            {
                "lines": "sapwood.text.sources.lines:Lines",
                "csv": "sapwood.text.sources.tables:Csv",
                "jsonl": "sapwood.text.sources.tables:Jsonl",
                "json": "sapwood.text.sources.tables:JsonFile",
                "sqlite": "sapwood.text.sources.tables:Sqlite",
                "wordnet": "sapwood.text.sources.wordnet:Wordnet",
                "files": "sapwood.text.sources.files:Files",
                "elements": "sapwood.text.sources.elements:Elements",
                "conversations": "sapwood.text.sources.conversations:Conversations",
                "parquet": "sapwood.text.sources.parquet:Parquet",
                "huggingface": "sapwood.text.sources.huggingface:HuggingFace",
                "warc": "sapwood.text.sources.warc:Warc",
                "web": "sapwood.text.sources.web:Web",
                "feed": "sapwood.text.sources.feeds:Feed",
                "database": "sapwood.text.sources.database:Database",
            }
        ),
        "maskers": MappingProxyType(
            {
                "patterns": "sapwood.text.pii.contract:Patterns",
                "words": "sapwood.text.pii.contract:Words",
            }
        ),
        "rewards": MappingProxyType(
            {
                "length": "sapwood.models.rewards.reward:Length",
                "words": "sapwood.models.rewards.reward:Words",
                "json": "sapwood.models.rewards.reward:Json",
                "chrf": "sapwood.models.rewards.reward:Chrf",
            }
        ),
        "label_functions": MappingProxyType(
            {
                "keywords": "sapwood.text.labelling.functions:Keywords",
                "lexicon": "sapwood.text.labelling.functions:Lexicon",
                "pattern": "sapwood.text.labelling.functions:Pattern",
            }
        ),
        "trackers": MappingProxyType(
            {
                "tensorboard": "sapwood.runs.trackers.tensorboard:TensorBoard",
                "mlflow": "sapwood.runs.trackers.mlflow:MLflow",
                "wandb": "sapwood.runs.trackers.wandb:WandB",
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
BASES: Mapping[str, str] = MappingProxyType(
    {
        "stages": "sapwood.stage:Stage",
        "actions": "sapwood.stage:Action",
        "sources": "sapwood.text.sources.source:Source",
        "maskers": "sapwood.text.pii.contract:Masker",
        "rewards": "sapwood.models.rewards.reward:Reward",
        "label_functions": "sapwood.text.labelling.functions:LabelFunction",
        "trackers": "sapwood.runs.trackers.tracker:Tracker",
    }
)
"""The class that every class of a group is one of."""


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
    loaded, base = _found(known[name].target), _found(BASES[group])
    if not (isinstance(loaded, type) and issubclass(loaded, base)):
        raise SapwoodError(f"{known[name].target} is not a {base.__name__}", f"report this to {known[name].distribution}")
    return loaded


def _found(target: str) -> Any:
    module, _, attribute = target.partition(":")
    return getattr(import_module(module), attribute)


def stages() -> dict[str, type[Stage]]:
    """Every stage by name."""
    return {name: load("stages", name) for name in table("stages")}


def actions() -> dict[str, type[Action]]:
    """Every action by name."""
    return {name: load("actions", name) for name in table("actions")}
