"""Optimisers: small tagged blocks over torch's own. Loads no torch until used."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from sapwood.errors import InputError


class _Block(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    scale: ClassVar[float] = 1.0
    """What an AdamW rate is multiplied with where the block names no rate of its own."""

    lr: float | None = Field(None, gt=0, description="Peak learning rate; by default what suits model and method.")

    def rate(self, suited: float) -> float:
        """The peak rate: the block's own, or the one that suits AdamW, scaled."""
        return self.lr if self.lr is not None else suited * self.scale


class AdamW(_Block):
    """AdamW (Loshchilov and Hutter 2019)."""

    kind: Literal["adamw"] = "adamw"
    weight_decay: float = Field(0.01, ge=0, description="Of matrices only, not of biases and norms.")
    beta1: float = Field(0.9, ge=0, lt=1, description="Decay of the mean gradient.")
    beta2: float = Field(0.98, ge=0, lt=1, description="Decay of the mean square.")
    eps: float = Field(1e-6, gt=0, description="Added to the root of the mean square.")


class Adam(_Block):
    """Adam (Kingma and Ba 2015), without weight decay."""

    kind: Literal["adam"] = "adam"
    beta1: float = Field(0.9, ge=0, lt=1, description="Decay of the mean gradient.")
    beta2: float = Field(0.999, ge=0, lt=1, description="Decay of the mean square.")
    eps: float = Field(1e-8, gt=0, description="Added to the root of the mean square.")


class Sgd(_Block):
    """Stochastic gradient descent with Nesterov's momentum."""

    scale: ClassVar[float] = 100.0

    kind: Literal["sgd"] = "sgd"
    momentum: float = Field(0.9, ge=0, lt=1, description="Decay of the velocity; 0 keeps none.")
    weight_decay: float = Field(0.0, ge=0, description="Of matrices only.")


class Adafactor(_Block):
    """Adafactor (Shazeer and Stern 2018): second moments of matrices by row and column only, for memory."""

    scale: ClassVar[float] = 10.0

    kind: Literal["adafactor"] = "adafactor"
    weight_decay: float = Field(0.0, ge=0, description="Of matrices only.")


Optimiser = Annotated[AdamW | Adam | Sgd | Adafactor, Field(discriminator="kind")]


def make(block: AdamW | Adam | Sgd | Adafactor, model: Any, lr: float) -> Any:
    """torch's optimiser over what requires a gradient; frozen weights get no state. Weights that are spread over processes and weights that
    are not stand in groups of their own, since one fused call takes one kind."""
    from torch import optim

    trainable = [p for p in model.parameters() if p.requires_grad]
    spread = [hasattr(p, "full_tensor") for p in trainable]
    if any(spread) and isinstance(block, Adafactor):
        raise InputError("adafactor keeps rows and columns of weights that are spread over processes", "take adamw, adam or sgd")
    decay = getattr(block, "weight_decay", 0.0)
    groups = [
        {
            "params": [p for p, apart in zip(trainable, spread, strict=True) if apart == kind and (p.ndim > 1) == matrix],
            "weight_decay": rate,
        }
        for kind in (False, True)
        for matrix, rate in ((True, decay), (False, 0.0))
    ]
    groups = [group for group in groups if group["params"]]
    match block:
        case AdamW():
            return optim.AdamW(groups, lr=lr, betas=(block.beta1, block.beta2), eps=block.eps, fused=True)
        case Adam():
            return optim.Adam(groups, lr=lr, betas=(block.beta1, block.beta2), eps=block.eps, fused=True)
        case Sgd():
            return optim.SGD(groups, lr=lr, momentum=block.momentum, nesterov=block.momentum > 0, fused=True)
        case Adafactor():
            return optim.Adafactor(groups, lr=lr)
