"""QLoRA: the frozen matrices in 4 bits through bitsandbytes. Needs the extra `qlora`."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any, ClassVar, Literal

from pydantic import Field

from sapwood.errors import MissingExtra
from sapwood.models.methods.merged import wrapped
from sapwood.models.methods.method import Method


class Qlora(Method):
    """Train low-rank additions over matrices that are held in 4 bits (Dettmers et al. 2023), and the heads.

    It saves memory while training, not speed: on a CPU each product unpacks its matrix again. What is stored is the function that was
    trained: the matrices as 4 bits read them, with the additions merged in, in fp32.
    """

    learning_rate: ClassVar[float] = 1e-3
    extra: ClassVar[str] = "qlora"

    kind: Literal["qlora"] = "qlora"
    r: int = Field(8, ge=1, le=256, description="Rank of the additions.")
    alpha: int = Field(16, ge=1, description="Scale: the addition counts alpha / r times.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Dropout before the addition.")
    bits: Literal["nf4", "fp4"] = Field("nf4", description="The 16 values a weight can have: of a normal distribution, or floating ones.")

    def refusal(self, task: str, model_type: str) -> str:
        if model_type == "gpt2":
            return "gpt2 keeps its matrices in Conv1D layers, which bitsandbytes has no 4-bit form of; use lora"
        return ""

    def missing(self) -> str:
        return "" if find_spec("bitsandbytes") else "bitsandbytes"

    def apply(self, model: Any, precision: str, seed: int) -> Any:
        from peft import LoraConfig

        from sapwood.models.methods.layers import linear

        if self.missing():
            raise MissingExtra("bitsandbytes", self.extra, "method qlora")
        names = linear(model)
        for name in names:
            if name.endswith(".wo"):
                continue  # T5 casts its states to the type of this matrix, so it stays a plain one
            _swap(model, name, self._packed(model.get_submodule(name), precision))
        config = LoraConfig(r=self.r, lora_alpha=self.alpha, lora_dropout=self.dropout, target_modules=names)
        return wrapped(model, config, seed)

    def _packed(self, layer: Any, precision: str) -> Any:
        """The layer in 4 bits, with one scale for 64 weights and those scales in 8 bits."""
        import torch
        from bitsandbytes.nn import Linear4bit, Params4bit

        kind = torch.bfloat16 if precision == "bf16" else torch.float32
        packed = Linear4bit(layer.in_features, layer.out_features, layer.bias is not None, compute_dtype=kind, quant_type=self.bits)
        packed.weight = Params4bit(layer.weight.data, requires_grad=False, quant_type=self.bits, compress_statistics=True, module=packed)
        packed.bias = layer.bias
        packed.support_avx512bf16_for_cpu = False  # its other form of the weights rounds their scales when the model first answers
        return packed.to(layer.weight.device)

    def finish(self, model: Any) -> Any:
        from bitsandbytes.nn import Linear4bit

        for name in [name for name, module in model.named_modules() if isinstance(module, Linear4bit)]:
            _swap(model, name, _unpacked(model.get_submodule(name)))
        return model.merge_and_unload().float()


def _unpacked(packed: Any) -> Any:
    import torch
    from bitsandbytes.functional import dequantize_4bit

    layer = torch.nn.Linear(packed.in_features, packed.out_features, packed.bias is not None)
    layer.weight = torch.nn.Parameter(dequantize_4bit(packed.weight.data, packed.weight.quant_state).float(), requires_grad=False)
    layer.bias = packed.bias
    return layer


def _swap(model: Any, name: str, layer: Any) -> None:
    parent, _, own = name.rpartition(".")
    setattr(model.get_submodule(parent), own, layer)
