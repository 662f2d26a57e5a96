"""A bias added within the product: the same numbers as torch's own layer up to the rounding of bf16, and only where it is asked for."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from sapwood.models import products
from sapwood.models.instead import instead

needed = pytest.mark.skipif(not products.known(), reason="this CPU or torch has no bf16 product with a bias")


def gradients(model: nn.Module, states: Tensor, bf16: bool) -> list[Tensor]:
    """What comes out, and the gradients of its weighted sum."""
    model.zero_grad(set_to_none=True)
    x = states.clone().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
        out = model(x)
    (out.float() * torch.linspace(-1, 1, out.numel()).view_as(out)).sum().backward()
    return [out.detach().float(), x.grad, *[p.grad for p in model.parameters() if p.grad is not None]]


@needed
@given(rows=st.integers(1, 40), middle=st.integers(1, 3), wide=st.integers(1, 70), out=st.integers(1, 70))
@settings(max_examples=25, deadline=None, derandomize=True)
def test_a_layer_answers_and_learns_as_torchs_own_does_up_to_rounding(rows: int, middle: int, wide: int, out: int) -> None:
    layer = nn.Linear(wide, out)
    states = torch.randn(rows, middle, wide)
    exact, usual = gradients(layer, states, False), gradients(layer, states, True)
    with products.together(layer):
        ours = gradients(layer, states, True)
    for true, theirs, found in zip(exact, usual, ours, strict=True):
        assert found.dtype == true.dtype == torch.float32
        assert float((found - true).norm()) <= 1.5 * float((theirs - true).norm()) + 0.005 * float(true.norm())


@needed
def test_frozen_weights_get_no_gradient() -> None:
    layer = nn.Linear(8, 4)
    layer.weight.requires_grad_(False)
    with products.together(layer):
        found = gradients(layer, torch.randn(3, 8), True)
    assert layer.weight.grad is None
    assert [len(t.shape) for t in found] == [2, 2, 1]


@needed
def test_outside_of_bf16_and_after_its_end_the_layer_is_torchs_own_bit_for_bit() -> None:
    layer = nn.Sequential(nn.Linear(8, 4), nn.Linear(4, 2, bias=False))
    states = torch.randn(3, 8)
    before = layer(states)
    with products.together(layer):
        assert torch.equal(layer(states), before)
        assert "forward" in vars(layer[0])
        assert "forward" not in vars(layer[1])
    assert "forward" not in vars(layer[0])


@needed
def test_a_layer_that_an_objective_silences_meanwhile_is_as_it_was_after() -> None:
    layer = nn.Linear(8, 4)
    with products.together(layer):
        ours = layer.forward
        with instead(layer, lambda states: states):
            assert layer(torch.ones(2, 8)).shape == (2, 8)
        assert layer.forward == ours
    assert "forward" not in vars(layer)


def test_a_build_without_the_operator_trains_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "known", lambda: False)
    layer = nn.Linear(8, 4)
    with products.together(layer):
        assert "forward" not in vars(layer)
