"""Low-rank additions over weights that are held in bf16, once: their fp32 values are read again from the model's folder at the end."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from sapwood.errors import InputError
from sapwood.models.methods.method import HEADS, RECOMPUTE, Method, has_module, keep_borders

ATTENTION = {
    "bert": ("query", "value"),
    "roberta": ("query", "value"),
    "xlm-roberta": ("query", "value"),
    "electra": ("query", "value"),
    "distilbert": ("q_lin", "v_lin"),
    "modernbert": ("Wqkv",),
    "albert": ("query", "value"),
    **dict.fromkeys(("llama", "mistral", "qwen2", "qwen3"), ("q_proj", "v_proj")),
    "gpt2": ("c_attn",),
    **dict.fromkeys(("t5", "mt5"), ("q", "v")),
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
    recompute: bool = Field(False, description=RECOMPUTE)

    def apply(self, model: Any, precision: str, seed: int) -> Any:
        """With bf16, frozen weights are held in bf16 and nowhere else; `finish` reads their fp32 values again from the model's folder."""
        from sapwood.models.apart import install
        from sapwood.models.architectures import seeded

        with seeded(seed):
            adapted = _lora(self, install(model))
        if precision == "bf16":
            hold(adapted, _folder(model))
        return keep_borders(adapted) if self.recompute else adapted

    def finish(self, model: Any) -> Any:
        release(model, _folder(model))
        merged = model.merge_and_unload()
        if self.recompute:
            merged.activation_checkpointing_disable()
        return merged.float()


def _folder(model: Any) -> Path | None:
    """Where the model was opened from."""
    name = getattr(model.config, "_name_or_path", "")
    return Path(name) if name and Path(name).is_dir() else None


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
    from sapwood.models.methods.layers import linear

    inside = linear(model)
    if method.targets == "all":
        return inside
    known = ATTENTION.get(model.config.model_type)
    if known is None:
        raise InputError(f"no attention layers are known for {model.config.model_type}", "set method.targets to all")
    return sorted(name for name in inside if name.rsplit(".", 1)[-1] in known)


def hold(model: Any, folder: Path | None = None) -> None:
    """Compute with bf16 copies of the frozen weights, so that whole layers run without a cast.

    What is stored in `folder` as it is here is read again by `release`; the fp32 values of other frozen weights are kept aside.
    """
    import torch

    stored = Stored(folder)
    for path, module in model.named_modules():
        own = [(name, p) for name, p in module.named_parameters(recurse=False) if not p.requires_grad and p.dtype == torch.float32]
        kept = module.__dict__.setdefault("sapwood_fp32", {})
        for name, p in own:
            key = stored.key(f"{path}.{name}", p.data)
            kept[name] = key or p.data
            p.data = p.data.to(torch.bfloat16)
        if hasattr(module, "cast_input_dtype_enabled"):
            module.cast_input_dtype_enabled = False  # PEFT would lift each input to fp32, only for autocast to lower it again


def release(model: Any, folder: Path | None = None) -> None:
    """Put the fp32 values back. `InputError` where the folder that they are read from has changed."""
    stored = Stored(folder)
    for module in model.modules():
        for name, kept in module.__dict__.pop("sapwood_fp32", {}).items():
            p = getattr(module, name)
            p.data = stored.read(kept, p.data) if isinstance(kept, str) else kept


class Stored:
    """The weights of a model folder, one tensor at a time: each look opens the file and closes it, so that none of it stays in memory."""

    def __init__(self, folder: Path | None) -> None:
        from safetensors import safe_open

        self.file = None if folder is None else folder / "model.safetensors"
        self.keys: frozenset[str] = frozenset()
        if self.file is not None and self.file.is_file():
            with safe_open(str(self.file), "pt") as tensors:
                self.keys = frozenset(tensors.keys())

    def key(self, path: str, values: Any) -> str:
        """The name of the stored tensor that equals `values`, which the model calls `path`; empty where there is none."""
        import torch

        name = path.replace("base_layer.", "").replace("base_model.model.", "")
        ends = (name.partition(".")[2], name)  # a bare encoder's file leaves out the name of the encoder
        found = next((key for key in self.keys if key in ends or key.partition(".")[2] == name), "")
        if not found:
            return ""
        tensor = self._tensor(found)
        return found if tensor.dtype == values.dtype and torch.equal(tensor, values) else ""

    def read(self, key: str, low: Any) -> Any:
        """The fp32 values whose bf16 copy is `low`."""
        import torch

        tensor = self._tensor(key)
        if not torch.equal(tensor.to(low.dtype), low):
            raise InputError(f"{self.file}: the weights have changed since training began", "leave the base model alone while it trains")
        return tensor

    def _tensor(self, key: str) -> Any:
        from safetensors import safe_open

        with safe_open(str(self.file), "pt") as tensors:
            return tensors.get_tensor(key).clone()
