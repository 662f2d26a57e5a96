"""A device that is not the CPU, for machines without one: its tensors lie in this process' memory, and no operation takes a tensor of the
CPU beside one of its own, as a GPU would not. It finds what was left behind, and says nothing about speed or another arithmetic.

torch lets a process have one such device, made in Python (`PrivateUse1`); what it registers stays, so it wants a process of its own. Tests
that train can be run on it as they are: `python -m pytest -p sapwood.testing.afar tests/unit/stages/test_stages_training.py`.
What it does NOT emulate: autocast, inference mode, the identity of weights that move, generators of the device, several devices; nor can
bitsandbytes pack weights there, or torch export a model that has been there.
"""

from __future__ import annotations

from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.utils._device import _device_constructors
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.backend_registration import _DummyBackendModule, _setup_privateuseone_for_python_backend

NAME = "afar"
CARRIES = frozenset({"aten::copy_", "aten::_to_copy"})
"""Operations that go from one device to another."""


class Afar(Tensor):
    """A tensor whose values lie in `here`, a tensor of the CPU."""

    here: Tensor

    @staticmethod
    def __new__(cls, here: Tensor) -> Self:
        options: dict[str, Any] = {"strides": here.stride(), "storage_offset": here.storage_offset(), "dtype": here.dtype}
        made: Self = Tensor._make_wrapper_subclass(cls, here.size(), device=torch.device(NAME, 0), **options)  # type: ignore[attr-defined]
        made.here = here
        return made

    def tolist(self) -> Any:
        return self.here.tolist()

    def __getitem__(self, index: Any) -> Tensor:
        parts = index if isinstance(index, tuple) else (index,)
        return super().__getitem__(tuple(torch.tensor(part, device=NAME) if isinstance(part, list) else part for part in parts))

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # type: ignore[override]
        return _run(func, args, kwargs or {})


def _run(operation: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    name = operation._schema.name
    given = [one for one in tree_leaves((args, kwargs)) if isinstance(one, Tensor)]
    left = [one for one in given if not isinstance(one, Afar) and one.dim()]
    if left and name not in CARRIES:
        raise RuntimeError(f"{operation}: a tensor of shape {tuple(left[0].shape)} lies on {left[0].device}, the others on {NAME}")
    answer = operation(*tree_map(_brought, args), **tree_map(_brought, kwargs))
    if name == "aten::copy_":
        return args[0]
    known = {id(one.here): one for one in given if isinstance(one, Afar)}
    home = kwargs.get("device") is not None and torch.device(kwargs["device"]).type != NAME
    return tree_map(lambda one: known.get(id(one), one if home else Afar(one)) if isinstance(one, Tensor) else one, answer)


def _brought(one: Any) -> Any:
    return one.here if isinstance(one, Afar) else torch.device("cpu") if isinstance(one, torch.device) else one


class _Module(_DummyBackendModule):
    """torch.afar"""

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16]


_library: list[Any] = []
"""Kept for as long as the process lives: what it registers goes with it."""


def register() -> str:
    """Make the device known to torch in this process, once; its name. Before any module that uses `torch.inference_mode` is imported."""
    if not _library:
        _setup_privateuseone_for_python_backend(NAME, _Module())  # type: ignore[no-untyped-call]
        library = torch.library.Library("_", "IMPL")
        library.fallback(lambda operation, *args, **kwargs: _run(operation, args, kwargs), "PrivateUse1")
        _library.append(library)
        torch.inference_mode = torch.no_grad  # type: ignore[assignment, misc]
        _device_constructors()  # torch remembers which functions these are, for `with torch.device(...)`
        for name in ("tensor", "arange", "eye"):  # torch makes these empty on the device and resizes them there
            setattr(torch, name, _carried(getattr(torch, name)))
        nn.Module.to = _moving(nn.Module.to)  # type: ignore[method-assign, assignment]
    return NAME


def pytest_configure() -> None:
    """As a plugin of pytest: whatever trains, trains there."""
    register()
    from sapwood.models import placing

    placing.named = lambda name: torch.device(NAME)


def _carried(usual: Any) -> Any:
    """A factory whose tensors for the device are made here and carried there."""

    def make(*args: Any, **kwargs: Any) -> Tensor:
        away = kwargs.get("device") is not None and torch.device(kwargs["device"]).type == NAME
        made: Tensor = usual(*args, **{**kwargs, "device": "cpu"}).to(NAME) if away else usual(*args, **kwargs)
        return made

    return make


def _moving(usual: Any) -> Any:
    """`Module.to` that, to the device and back, puts new parameters in the place of the old ones, since torch swaps none that is in use;
    tied ones stay tied."""

    def to(model: nn.Module, *args: Any, **kwargs: Any) -> nn.Module:
        away = any(isinstance(one, Afar) for one in model.parameters())
        if not away and torch._C._nn._parse_to(*args, **kwargs)[0] != torch.device(NAME):  # type: ignore[attr-defined]
            return usual(model, *args, **kwargs)
        made: dict[int, Any] = {}
        for module in model.modules():
            for tensors in (module._parameters, module._buffers):
                for name, one in tensors.items():
                    if one is not None and id(one) not in made:
                        fresh = one.detach().to(*args, **kwargs)
                        made[id(one)] = (one, nn.Parameter(fresh, one.requires_grad) if isinstance(one, nn.Parameter) else fresh)
                    tensors[name] = one if one is None else made[id(one)][1]
        return model

    return to
