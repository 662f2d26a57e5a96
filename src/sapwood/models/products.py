"""Products with a bias in bf16 training on a CPU, in one pass.

torch's `addmm` in bf16 writes the bias into its result before the product adds to it: 33 ms where the product alone takes 24 (3,456 x 512 by
512 x 2,048, two cores). oneDNN adds a bias inside the product at no cost, through an operator of torch that has no way back; its way back is
here. A masked-LM step of 6 x 512 is 4 to 13 % faster for it.
What it does NOT do: layers without a bias, for which torch calls the product alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from sapwood.models.instead import instead


def known() -> bool:
    """Whether this build of torch and this CPU have the operator in bf16."""
    operators = torch.ops.mkldnn
    return hasattr(operators, "_linear_pointwise") and bool(operators._is_mkldnn_bf16_supported())


@contextmanager
def together(model: Any) -> Iterator[None]:
    """Inside, the model's linear layers add their bias within the product wherever autocast makes them in bf16 on the CPU."""
    layers = [layer for layer in model.modules() if type(layer) is nn.Linear and layer.bias is not None] if known() else []
    with ExitStack() as stack:
        for layer in layers:
            stack.enter_context(instead(layer, MethodType(_forward, layer)))
        yield


def _forward(layer: Any, states: Tensor) -> Tensor:
    narrow = torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == torch.bfloat16
    if not narrow or states.device.type != "cpu" or hasattr(layer.weight, "full_tensor"):  # a weight in parts has products of its own
        return nn.functional.linear(states, layer.weight, layer.bias)
    return biased(states, layer.weight, layer.bias)


def biased(states: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """`states` (..., in) by `weight` (out, in), plus `bias` (out): (..., out) in bf16, whatever the three were in."""
    product: Tensor = _Biased.apply(states, weight, bias)  # type: ignore[no-untyped-call]
    return product


class _Biased(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, states: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        x, w = states.to(torch.bfloat16), weight.to(torch.bfloat16)
        ctx.save_for_backward(x, w)
        ctx.types = states.dtype, weight.dtype, bias.dtype
        product: Tensor = torch.ops.mkldnn._linear_pointwise(x, w, bias.to(torch.bfloat16), "none", [], "")
        return product

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, w = ctx.saved_tensors
        flat = slope.reshape(
            -1, slope.shape[-1]
        )  # a `slope` of three dimensions that lies askew would be multiplied row by row, at half the rate
        wanted, types = ctx.needs_input_grad, ctx.types
        return (
            (flat @ w).view(x.shape).to(types[0]) if wanted[0] else None,
            (flat.t() @ x.reshape(-1, x.shape[-1])).to(types[1]) if wanted[1] else None,
            flat.sum(0).to(types[2]) if wanted[2] else None,
        )
