"""One model spread over a team whose processes hold a part of it each: weights, gradients and the optimiser's states.

`shards`: each process keeps a share of every weight, and a block's weights are whole while it computes (FSDP2, after Zhao et al. 2023).
`tensor`: each process keeps some heads and some inner units of each layer and all compute the same batch together (Shoeybi et al. 2019);
the model's own plan says which. What trains is a copy. The model that the stage opened stays whole, and gets the weights back for each
checkpoint and evaluation, so those are the same files for any number of processes.
What it does NOT do: both ways at once, averages of weights and other extras, Adafactor (its rows and columns are not in one place).
"""

from __future__ import annotations

import copy
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from sapwood.errors import InputError
from sapwood.models.objectives.terms import Batch, Objective, Terms
from sapwood.models.processes import Team


@dataclass(frozen=True)
class Spread:
    """`model` trains under `objective`; `whole` is the model that is saved and judged: the same one where nothing is spread."""

    model: Any
    objective: Objective
    whole: Any

    @property
    def apart(self) -> bool:
        return self.model is not self.whole

    def gather(self, optimiser: Any) -> Any:
        """Bring the weights home to `whole`; the optimiser's states as those of its weights. Every process calls it together."""
        if not self.apart:
            return optimiser
        told, home = _States(), dict(self.whole.named_parameters())
        with torch.no_grad():
            for name, p in self.model.named_parameters():
                if p.requires_grad:
                    home[name].copy_(_full(p.detach()))
                for slot, value in optimiser.state.get(p, {}).items():
                    told.state[home[name]][slot] = _full(value) if isinstance(value, Tensor) else value
        return told

    def scatter(self, optimiser: Any, told: Any) -> None:
        """The way back: `whole` and the states that `told` holds of its weights go out to where they train."""
        if not self.apart:
            return
        home = dict(self.whole.named_parameters())
        with torch.no_grad():
            for name, p in self.model.named_parameters():
                if p.requires_grad:
                    p.copy_(_as(home[name].detach(), p))
                for slot, value in told.state.get(home[name], {}).items():
                    optimiser.state[p][slot] = _as(value, p) if value.shape == p.shape else value


@dataclass
class _States:
    """An optimiser as a checkpoint sees it: its states by weight."""

    state: dict[Any, dict[str, Any]] = field(default_factory=lambda: defaultdict(dict))


def states(spread: Spread, optimiser: Any) -> Any:
    """What a checkpoint is read into."""
    return _States() if spread.apart else optimiser


def spread(model: Any, objective: Objective, team: Team) -> Spread:
    """The model as this team trains it. `InputError` where it cannot be spread so."""
    if team.way == "copies":
        return Spread(model, objective, model)
    part = copy.deepcopy(model)
    if team.way == "tensor":
        _split(part, team)
        return Spread(part, objective, model)
    step = _Step(part, objective)
    _shard(step)
    return Spread(part, step.terms, model)


# --------------------------------------------------------------------------- shards


class _Step(torch.nn.Module):
    """A model and its objective as one module: the objective may read weights and call parts, and finds them whole inside."""

    def __init__(self, model: Any, objective: Objective) -> None:
        super().__init__()
        self.model, self.objective = model, objective

    def forward(self, batch: Batch) -> tuple[Any, Any, Any]:
        terms = self.objective(self.model, batch)
        return dict(terms.sum), terms.count, terms.logs  # FSDP looks for tensors in plain containers only

    def terms(self, _: Any, batch: Batch) -> Terms:
        return Terms(*self(batch))


def _shard(step: _Step) -> None:
    """Blocks one by one, then what is left with the step itself. Gradients are added, since the loop divides by the step's units."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import FSDPModule, fully_shard

    mesh = init_device_mesh(next(step.parameters()).device.type, (torch.distributed.get_world_size(),))
    for block in _blocks(step.model):
        fully_shard(block, mesh=mesh)
    fully_shard(step, mesh=mesh)
    for module in step.modules():
        if isinstance(module, FSDPModule):
            module.set_gradient_divide_factor(1.0)
            module.set_force_sum_reduction_for_comms(True)


def _blocks(model: Any) -> list[Any]:
    """The layers that the model lists as not to be split, each once."""
    whole = {name for module in model.modules() for name in getattr(module, "_no_split_modules", None) or ()}
    lists = [module for module in model.modules() if isinstance(module, torch.nn.ModuleList)]
    return [block for found in lists for block in found if type(block).__name__ in whole]


# --------------------------------------------------------------------------- tensor


def _split(part: Any, team: Team) -> None:
    """Columns and rows of the layers that the model's plan names; what it does not name is on every process."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

    base, config = part.base_model, part.config
    plan = getattr(config, "base_model_tp_plan", None)
    if not plan or hasattr(part, "get_base_model"):
        what = "a method that wraps layers" if plan else f"the architecture {config.model_type}"
        raise InputError(f"{what} has no plan for tensor parallel training", "take shard: full, or another architecture or method")
    heads = {config.num_attention_heads, getattr(config, "num_key_value_heads", config.num_attention_heads), config.intermediate_size}
    if any(count % team.size for count in heads):
        raise InputError(
            f"{config.num_attention_heads} heads and {config.intermediate_size} inner units cannot be shared out among {team.size}",
            "take a number of processes that divides both",
        )
    styles = {"colwise": ColwiseParallel, "rowwise": RowwiseParallel}
    mesh = init_device_mesh(next(part.parameters()).device.type, (team.size,))
    parallelize_module(base, mesh, {name: styles[style]() for name, style in plan.items() if style in styles})


# --------------------------------------------------------------------------- tensors


def _full(tensor: Tensor) -> Tensor:
    from torch.distributed.tensor import DTensor

    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def _as(whole: Tensor, like: Any) -> Tensor:
    """The whole tensor, laid out over the processes as `like` is."""
    from torch.distributed.tensor import DTensor, distribute_tensor

    laid = like.data if isinstance(like.data, DTensor) else None
    return whole if laid is None else distribute_tensor(whole, laid.device_mesh, laid.placements, src_data_rank=None)
