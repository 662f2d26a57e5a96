"""Low-rank additions, and bf16 copies of what stays frozen."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from sapwood.errors import InputError
from sapwood.models.methods.method import HEADS, Method, has_module

ATTENTION = {
    "bert": ("query", "value"),
    "roberta": ("query", "value"),
    "xlm-roberta": ("query", "value"),
    "electra": ("query", "value"),
    "distilbert": ("q_lin", "v_lin"),
    "modernbert": ("Wqkv",),
}


class Lora(Method):
    """Train low-rank additions to the linear layers (Hu et al. 2021), and pooler and classifier in full."""

    learning_rate: ClassVar[float] = 1e-3

    kind: Literal["lora"] = "lora"
    r: int = Field(8, ge=1, le=256, description="Rank of the additions.")
    alpha: int = Field(16, ge=1, description="Scale: the addition counts alpha / r times.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Dropout before the addition.")
    targets: Literal["attention", "all"] = Field("attention", description="attention: queries and values; all: every linear layer.")
    top_layers: int = Field(0, ge=0, description="Adapt only that many layers nearest the output; 0 adapts all.")

    def apply(self, model: Any, precision: str, seed: int) -> Any:
        """With bf16, frozen weights are held in bf16; `finish` puts their fp32 values back."""
        from sapwood.models.architectures import seeded

        with seeded(seed):
            adapted = _lora(self, model)
        if precision == "bf16":
            hold(adapted)
        return adapted

    def finish(self, model: Any) -> Any:
        release(model)
        return model.merge_and_unload().float()


def _lora(method: Lora, model: Any) -> Any:
    from peft import LoraConfig, get_peft_model

    layers = getattr(model.config, "num_hidden_layers", 0)
    config = LoraConfig(
        r=method.r,
        lora_alpha=method.alpha,
        lora_dropout=method.dropout,
        target_modules=_targets(method, model),
        layers_to_transform=list(range(max(0, layers - method.top_layers), layers)) if method.top_layers else None,
        modules_to_save=[name for name in HEADS if has_module(model, name)],
        bias="none",
    )
    return get_peft_model(model, config)


def _targets(method: Lora, model: Any) -> list[str]:
    """Names of the linear layers to adapt: those inside the encoder's numbered layers."""
    from torch.nn import Linear

    linear = (name for name, module in model.named_modules() if isinstance(module, Linear))
    inside = {name for name in linear if any(part.isdigit() for part in name.split("."))}
    if method.targets == "all":
        return sorted(inside)
    known = ATTENTION.get(model.config.model_type)
    if known is None:
        raise InputError(f"no attention layers are known for {model.config.model_type}", "set method.targets to all")
    return sorted(name for name in inside if name.rsplit(".", 1)[-1] in known)


def hold(model: Any) -> None:
    """Keep each frozen weight's fp32 values aside and compute with bf16 ones, so that whole layers run without a cast."""
    import torch

    for module in model.modules():
        frozen = {name: p for name, p in module.named_parameters(recurse=False) if not p.requires_grad}
        if frozen:
            module.__dict__["sapwood_fp32"] = {name: p.data for name, p in frozen.items()}
            for p in frozen.values():
                p.data = p.data.to(torch.bfloat16)
        if hasattr(module, "cast_input_dtype_enabled"):
            module.cast_input_dtype_enabled = False  # PEFT would lift each input to fp32, only for autocast to lower it again


def release(model: Any) -> None:
    for module in model.modules():
        for name, tensor in module.__dict__.pop("sapwood_fp32", {}).items():
            getattr(module, name).data = tensor
