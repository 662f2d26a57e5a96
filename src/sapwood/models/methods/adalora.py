"""AdaLoRA: low-rank additions whose ranks go where they are worth most. The rules are PEFT's; the penalty and the state are kept here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, model_validator

from sapwood.models.methods.merged import wrapped
from sapwood.models.methods.method import Method

if TYPE_CHECKING:
    from torch import Tensor

    from sapwood.models.objectives.terms import Batch, Objective, Terms
    from sapwood.models.train import Extra

NAME = "default"
TABLES = ("ipt", "exp_avg_ipt", "exp_avg_unc")


class AdaLora(Method):
    """Train additions as singular triplets, and drop the least important ones while training (Zhang et al. 2023), and the heads."""

    learning_rate: ClassVar[float] = 1e-3

    kind: Literal["adalora"] = "adalora"
    r: int = Field(12, ge=2, le=256, description="Rank of each addition at the start.")
    target: int = Field(8, ge=1, le=256, description="Mean rank at the end.")
    alpha: int = Field(16, ge=1, description="Scale of the additions.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Dropout before the addition.")
    wait: float = Field(0.1, ge=0, le=0.4, description="Share of the steps before ranks are dropped.")
    settle: float = Field(0.3, ge=0, le=0.5, description="Share of the steps after the last was dropped.")
    orthogonal: float = Field(0.5, ge=0, description="Weight of the penalty that keeps the triplets apart.")

    @model_validator(mode="after")
    def _drops(self) -> AdaLora:
        if self.target >= self.r:
            raise ValueError(f"target {self.target} is not below r {self.r}, so there is no rank to drop; use lora")
        return self

    def apply(self, model: Any, precision: str, seed: int) -> Any:
        from peft import AdaLoraConfig

        from sapwood.models.methods.layers import linear

        config = AdaLoraConfig(
            init_r=self.r,
            target_r=self.target,
            lora_alpha=self.alpha,
            lora_dropout=self.dropout,
            total_step=2,  # `extras` knows how many there are
            target_modules=linear(model),
        )
        return wrapped(model, config, seed)

    def extras(self, model: Any, steps: int) -> Mapping[str, Extra]:
        config = model.peft_config[NAME]
        config.total_step = steps
        config.tinit, config.tfinal = int(self.wait * steps), int(self.settle * steps)
        config.deltaT = max(1, steps // 100)
        return {"ranks": _Ranks(model)}

    def taught(self, inner: Objective) -> Objective:
        """Add `orthogonal` x the mean over triplets of |P'P - I| to the loss of the step, through the first term."""
        from sapwood.models.objectives.wrapping import charged

        def objective(model: Any, batch: Batch) -> Terms:
            return charged(inner(model, batch), "orthogonal", self.orthogonal * apart(model))

        return objective

    def finish(self, model: Any) -> Any:
        return model.merge_and_unload().float()


def apart(model: Any) -> Tensor:
    """Mean Frobenius norm of P'P - I over the sides of all triplets."""
    import torch

    found = []
    for name, p in model.named_parameters():
        if f"lora_A.{NAME}" in name or f"lora_B.{NAME}" in name:
            square = p @ p.T if "lora_A" in name else p.T @ p
            found.append((square - torch.eye(len(square), device=p.device)).norm())
    return torch.stack(found).mean()


class _Ranks:
    """PEFT's allocator as an extra of the loop: its running importances and the ranks that are left are in each checkpoint."""

    def __init__(self, model: Any) -> None:
        self.tuner = model.base_model
        self.allocator, self.config = self.tuner.rankallocator, self.tuner.peft_config[NAME]

    def moved(self, model: Any, step: int) -> None:
        last = self.config.total_step - self.config.tfinal
        if step > last and not self.config.rank_pattern:  # the step that settles the ranks was left out by the rules
            step = last
        self.tuner.update_and_allocate(step)

    @contextmanager
    def judged(self, model: Any) -> Iterator[None]:
        yield

    def state(self) -> dict[str, Tensor]:
        import torch

        tables = {f"{table}|{name}": t for table in TABLES for name, t in getattr(self.allocator, table).items()}
        return tables | {f"left|{name}": torch.tensor(left) for name, left in (self.config.rank_pattern or {}).items()}

    def load(self, state: Mapping[str, Tensor]) -> None:
        for table in TABLES:
            setattr(self.allocator, table, {key.split("|")[1]: t for key, t in state.items() if key.startswith(f"{table}|")})
        left = {key.split("|")[1]: t.tolist() for key, t in state.items() if key.startswith("left|")}
        self.config.rank_pattern = left or None
