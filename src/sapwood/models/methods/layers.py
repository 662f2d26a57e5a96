"""What methods know about the layers of an architecture. Loads no torch until used."""

from __future__ import annotations

from typing import Any

KNOWN = frozenset({"bert", "roberta", "xlm-roberta", "electra", "camembert", "albert", "llama", "mistral", "qwen2", "gpt2", "t5"})
"""`model_type`s whose attention and projections `additions.PLACES` names."""


def unknown(model_type: str, what: str) -> str:
    """The refusal of a method that has to find its way inside a layer."""
    return "" if model_type in KNOWN else f"where {what} go in a layer of {model_type} is not known here; use lora with targets all"


def linear(model: Any) -> list[str]:
    """Names of the matrices inside numbered layers: torch's Linear, and GPT-2's Conv1D."""
    from torch.nn import Linear
    from transformers.pytorch_utils import Conv1D

    found = (name for name, module in model.named_modules() if isinstance(module, Linear | Conv1D) and not name.startswith("additions."))
    return sorted(name for name in found if any(part.isdigit() for part in name.split(".")))


def key_width(model: Any) -> int:
    """Width of a layer's keys: heads x size, of the key heads where queries share them."""
    config = model.config
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    size = getattr(config, "d_kv", None) or getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return int(heads * size)


def towers(model: Any) -> list[list[Any]]:
    """The layers of each stack, lowest first: one list, or one of the encoder and one of the decoder."""
    from torch.nn import ModuleList

    from sapwood.models.additions import stacks

    found = []
    for stack in stacks(model):
        lists: list[Any] = [module for module in stack.modules() if isinstance(module, ModuleList)]
        if lists:
            largest: Any = max(lists, key=lambda one: sum(p.numel() for p in one.parameters()))
            found.append(list(largest))
    return found
