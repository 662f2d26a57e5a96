"""What a method adds to a model and no weight of it can absorb: virtual tokens, prefixes of the attention, bottlenecks.

An addition is a small module, `model.additions`, that works through hooks; the model's own code is not touched. It is stored in the
subfolder `adapter` of a model folder: the weights at the root open with plain `AutoModel.from_pretrained`, which answers as the model
without the addition, and Sapwood's own loaders `attach` what is in the subfolder. Real tokens keep the positions that they have without
the addition, so nothing is lost of a model's longest input, and packed rows stay apart.
What it does NOT do: stack several additions on one model.
"""

from __future__ import annotations

import inspect
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from sapwood.errors import InputError

FOLDER = "adapter"
CARD, WEIGHTS = "adapter.json", "adapter.safetensors"
ATTENTION = "sapwood_prefix"
"""Name of the attention code below in transformers' table."""
BEHIND_FIRST = frozenset({"bert", "albert", "roberta", "xlm-roberta", "electra", "camembert"})
"""Encoders whose first token stands for the whole text: virtual tokens come behind it."""
FROM_PADDING = frozenset({"roberta", "xlm-roberta", "camembert"})
"""Models that number positions from the padding id + 1."""


class Places(NamedTuple):
    """Ends of module names inside a layer: self-attention, its output projection, the output projection of the feed-forward part."""

    attention: str
    projection: str
    forward: str


_BERT = Places("attention.self", "attention.output.dense", "output.dense")
_LLAMA = Places("self_attn", "self_attn.o_proj", "mlp.down_proj")
PLACES: Mapping[str, Places] = {
    **dict.fromkeys(("bert", "roberta", "xlm-roberta", "electra", "camembert"), _BERT),
    "albert": Places("attention", "attention.dense", "ffn_output"),
    **dict.fromkeys(("llama", "mistral", "qwen2"), _LLAMA),
    "gpt2": Places("attn", "attn.c_proj", "mlp.c_proj"),
    "t5": Places("SelfAttention", "SelfAttention.o", "DenseReluDense.wo"),
}


class Addition(nn.Module, ABC):
    """A module that changes how another model answers, as long as its hooks hang there."""

    kind: str

    def __init__(self) -> None:
        super().__init__()
        self.__dict__["handles"] = []

    @abstractmethod
    def hang(self, model: Any) -> None:
        """Register the hooks."""

    @abstractmethod
    def tensors(self) -> dict[str, Tensor]:
        """What answering needs, by name."""

    def taken_off(self, model: Any) -> None:
        for handle in self.__dict__["handles"]:
            handle.remove()
        self.__dict__["handles"].clear()


class Given(nn.Module):
    """A table that is as it was stored."""

    def __init__(self, table: Tensor) -> None:
        super().__init__()
        self.register_buffer("table", table, persistent=False)

    def forward(self) -> Tensor:
        return cast(Tensor, self.table)


class Virtual(Addition):
    """Vectors before the text's own word vectors (Lester et al. 2021; Liu et al. 2021): `made()` gives (n, width)."""

    kind = "virtual tokens"

    def __init__(self, made: nn.Module) -> None:
        super().__init__()
        self.made = made

    def tensors(self) -> dict[str, Tensor]:
        return {"tokens": self.made().detach()}

    def hang(self, model: Any) -> None:
        stack = stacks(model)[0]  # of an encoder-decoder the encoder
        before = stack.register_forward_pre_hook(self.before, with_kwargs=True)
        self.__dict__["handles"] += [before, stack.register_forward_hook(self.after, with_kwargs=True)]

    def before(self, stack: Any, args: Any, kwargs: Any) -> tuple[tuple[()], dict[str, Any]]:
        """Put the vectors in front where nothing is cached yet; where there is a cache they are in it."""
        names = _names(type(stack))
        given = {**dict(zip(names, args, strict=False)), **kwargs}
        cached = given.get("past_key_values")
        seen = int(cached.get_seq_length()) if cached is not None else 0
        tokens, at = self.made(), _place(stack)
        n = len(tokens)
        words = given.get("inputs_embeds")
        rows, length = (words if words is not None else given["input_ids"]).shape[:2]
        device = tokens.device
        positions, mask = given.get("position_ids"), given.get("attention_mask")
        if mask is None and positions is not None and not seen:
            mask = _apart(positions, str(stack.config._attn_implementation))
        if mask is None:
            mask = torch.ones(rows, length + max(0, seen - n), dtype=torch.long, device=device)
        given["attention_mask"] = _widened(mask, n, at)
        if "position_ids" in names:
            positions = _positions(stack, mask, length, max(0, seen - n), device) if positions is None else positions
            given["position_ids"] = positions if seen else _inserted(positions, positions[:, :1].expand(-1, n), at)
        if seen:
            return (), given
        words = stack.get_input_embeddings()(given["input_ids"]) if words is None else words
        given["input_ids"] = None
        given["inputs_embeds"] = _inserted(words, tokens.to(words.dtype).expand(rows, -1, -1), at)
        if given.get("token_type_ids") is not None:
            kinds = given["token_type_ids"]
            given["token_type_ids"] = _inserted(kinds, kinds[:, :1].expand(-1, n), at)
        return (), given

    def after(self, stack: Any, args: Any, kwargs: Any, output: Any) -> Any:
        """Leave the states of real tokens only."""
        if kwargs.get("inputs_embeds") is None:
            return output
        at = _place(stack)
        cut = lambda states: torch.cat([states[:, :at], states[:, at + len(self.made()) :]], 1)  # noqa: E731
        if isinstance(output, tuple):
            return (cut(output[0]), *output[1:])
        output.last_hidden_state = cut(output.last_hidden_state)
        if output.get("hidden_states") is not None:
            output.hidden_states = tuple(cut(states) for states in output.hidden_states)
        return output


class Prefixes(Addition):
    """Keys and values of each layer that every token sees (Li and Liang 2021): `made()` gives (layers, 2, n, heads x size)."""

    kind = "prefixes"

    def __init__(self, made: nn.Module) -> None:
        super().__init__()
        self.made = made

    def tensors(self) -> dict[str, Tensor]:
        return {"prefixes": self.made().detach()}

    def hang(self, model: Any) -> None:
        from transformers import AttentionInterface, AttentionMaskInterface
        from transformers.masking_utils import eager_mask

        AttentionInterface.register(ATTENTION, attend)
        AttentionMaskInterface.register(ATTENTION, eager_mask)
        for number, module in enumerate(attentions(model)):
            module.__dict__["sapwood_prefix"] = (self, number)
        self.__dict__["code"] = [(stack.config, stack.config._attn_implementation) for stack in stacks(model)]
        for stack in stacks(model):
            stack.config._attn_implementation = ATTENTION

    def taken_off(self, model: Any) -> None:
        for module in model.modules():
            module.__dict__.pop("sapwood_prefix", None)
        for config, code in self.__dict__.pop("code", []):
            config._attn_implementation = code


class Bottlenecks(Addition):
    """Two bottlenecks a layer, behind the projections of attention and feed-forward part (Houlsby et al. 2019). With `up` at 0 the
    model answers as it did."""

    kind = "bottlenecks"

    def __init__(self, widths: Mapping[str, int], size: int) -> None:
        """`widths`: the width behind each projection by module name, `size` that of the bottleneck."""
        super().__init__()
        self.names = tuple(widths)
        self.down = nn.ModuleList(nn.Linear(width, size) for width in widths.values())
        self.up = nn.ModuleList(nn.Linear(size, width) for width in widths.values())
        for module in (*self.down, *self.up):
            for p in module.parameters():
                nn.init.zeros_(p)
        for module in self.down:
            nn.init.normal_(next(module.parameters()), std=0.02)

    def tensors(self) -> dict[str, Tensor]:
        parts = (("down", self.down), ("up", self.up))
        return {
            f"{name}/{part}.{key}": tensor.detach()
            for part, modules in parts
            for name, module in zip(self.names, modules, strict=True)
            for key, tensor in module.state_dict().items()
        }

    def hang(self, model: Any) -> None:
        known = dict(model.named_modules())
        for number, name in enumerate(self.names):
            known[name].__dict__["sapwood_bottleneck"] = number
            self.__dict__["handles"].append(known[name].register_forward_hook(self.behind))

    def behind(self, module: Any, args: Any, output: Tensor) -> Tensor:
        number = module.__dict__["sapwood_bottleneck"]
        return output + self.up[number](nn.functional.gelu(self.down[number](output)))


def attend(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **more: Any,
) -> tuple[Tensor, Tensor]:
    """Attention in transformers' form, with the module's prefix before keys and values. query (rows, heads, queries, size)."""
    held = module.__dict__.get("sapwood_prefix")
    bias = more.get("position_bias")
    if mask is not None and mask.dtype == torch.bool:
        mask = torch.zeros_like(mask, dtype=query.dtype).masked_fill_(~mask, torch.finfo(query.dtype).min)
    if bias is not None:
        mask = bias if mask is None else bias + mask
    if held is not None:
        made = held[0].made()[held[1]].to(key.dtype)  # (2, n, heads x size)
        ours = made.unflatten(-1, key.shape[1::2]).transpose(1, 2)[:, None].expand(-1, key.shape[0], -1, -1, -1)
        key, value = torch.cat([ours[0], key], 2), torch.cat([ours[1], value], 2)
        mask = None if mask is None else nn.functional.pad(mask, (ours.shape[3], 0))
    if query.shape[1] != key.shape[1]:
        key, value = (part.repeat_interleave(query.shape[1] // part.shape[1], 1) for part in (key, value))
    scores = query @ key.transpose(2, 3) * (query.shape[-1] ** -0.5 if scaling is None else scaling)
    weights = (scores if mask is None else scores + mask).softmax(-1, dtype=torch.float32).to(query.dtype)
    weights = nn.functional.dropout(weights, dropout, module.training)
    return (weights @ value).transpose(1, 2).contiguous(), weights


# --------------------------------------------------------------------------- on a model, and in a folder


def of(model: Any) -> Addition | None:
    """The addition that hangs on the model, if one does."""
    found = getattr(model, "additions", None)
    return found if isinstance(found, Addition) else None


def attach(model: Any, addition: Addition) -> Any:
    """Hang it on the model; its parameters become the model's."""
    if of(model) is not None:
        raise InputError("the model already carries an addition, and a second one cannot be trained on it", "start from its base model")
    model.additions = addition
    addition.hang(model)
    return model


def detach(model: Any) -> Addition | None:
    """Take the addition off; the model is a plain one again."""
    found = of(model)
    if found is not None:
        found.taken_off(model)
        del model.additions
    return found


def save(folder: Path, addition: Addition) -> None:
    """Write `folder/adapter`: what kind it is, and its tensors in fp32."""
    from safetensors.torch import save_file

    inner = folder / FOLDER
    inner.mkdir()
    tensors = {name: t.float().contiguous() for name, t in addition.tensors().items()}
    save_file(tensors, inner / WEIGHTS, metadata={"format": "pt"})
    (inner / CARD).write_text(json.dumps({"kind": addition.kind, "version": 1}) + "\n", encoding="utf-8")


def refuse_training(folder: Path) -> None:
    """`InputError` for a model that was stored with an addition: training it further would leave the two out of step."""
    if (folder / FOLDER / CARD).is_file():
        raise InputError(
            "the model was trained by a method whose additions are stored beside its weights, and cannot be trained further",
            "start from its base model, or train by a method that is merged: lora, dora, ia3",
        )


def opened(folder: Path, model: Any) -> Any:
    """The model of a folder with the addition that the folder has; the model itself where there is none."""
    if not (folder / FOLDER / CARD).is_file():
        return model
    from safetensors.torch import load_file

    kind = json.loads((folder / FOLDER / CARD).read_text(encoding="utf-8"))["kind"]
    tensors = load_file(folder / FOLDER / WEIGHTS)
    return attach(model, _made(kind, tensors).to(next(model.parameters()).dtype).eval().requires_grad_(False))


def _made(kind: str, tensors: Mapping[str, Tensor]) -> Addition:
    if kind == Virtual.kind:
        return Virtual(Given(tensors["tokens"]))
    if kind == Prefixes.kind:
        return Prefixes(Given(tensors["prefixes"]))
    if kind != Bottlenecks.kind:
        raise InputError(f"adapter/{CARD}: no addition is called {kind!r}", "open it with the Sapwood that made it")
    names = [name.removesuffix("/down.weight") for name in tensors if name.endswith("/down.weight")]
    widths = {name: tensors[f"{name}/up.bias"].shape[0] for name in names}
    made = Bottlenecks(widths, len(tensors[f"{names[0]}/down.bias"]))
    for number, name in enumerate(made.names):
        for part, modules in (("down", made.down), ("up", made.up)):
            modules[number].load_state_dict({key: tensors[f"{name}/{part}.{key}"] for key in ("weight", "bias")})
    return made


# --------------------------------------------------------------------------- parts of a model


def stacks(model: Any) -> list[Any]:
    """The transformer stacks inside: one, or encoder and decoder."""
    from transformers import PreTrainedModel

    every = [module for module in model.modules() if isinstance(module, PreTrainedModel)]
    return [one for one in every if not any(isinstance(inner, PreTrainedModel) for inner in list(one.modules())[1:])]


def attentions(model: Any) -> list[Any]:
    """The self-attention modules, in order."""
    end = PLACES[model.config.model_type].attention
    return [module for name, module in model.named_modules() if f".{name}".endswith(f".{end}")]


def projections(model: Any) -> dict[str, int]:
    """Name and output width of the two projections of each layer that bottlenecks come behind."""
    places = PLACES[model.config.model_type]
    width = model.config.hidden_size
    return {
        name: width for name, _ in model.named_modules() if any(f".{name}".endswith(f".{end}") for end in places[1:]) and _in_layer(name)
    }


def _in_layer(name: str) -> bool:
    return any(part.isdigit() for part in name.split("."))


def _names(kind: Any) -> tuple[str, ...]:
    """Parameters of a stack's forward."""
    return tuple(inspect.signature(kind.forward).parameters)[1:]


def _place(stack: Any) -> int:
    return int(stack.config.model_type in BEHIND_FIRST)


def _inserted(rows: Tensor, new: Tensor, at: int) -> Tensor:
    """`new` put in at column `at`."""
    return torch.cat([rows[:, :at], new.to(rows.dtype), rows[:, at:]], 1)


def _widened(mask: Tensor, n: int, at: int) -> Tensor:
    """The mask with `n` columns that all see; of a mask (rows, 1, queries, keys) also `n` queries, which see those before them only."""
    if mask.ndim == 2:
        return _inserted(mask, mask.new_ones(mask.shape[0], n), at)
    seen, hidden = (True, False) if mask.dtype == torch.bool else (0.0, torch.finfo(mask.dtype).min)
    columns = mask.new_full((*mask.shape[:-1], n), seen)
    wide = torch.cat([mask[..., :at], columns, mask[..., at:]], -1)
    ours = mask.new_full((*mask.shape[:2], n, wide.shape[-1]), hidden)
    for row in range(n):
        ours[:, :, row, at : at + row + 1] = seen  # as in a causal mask of one text
    return torch.cat([wide[:, :, :at], ours, wide[:, :, at:]], 2)


def _apart(positions: Tensor, code: str) -> Tensor:
    """Causal mask (rows, 1, width, width) of packed rows, in which each text begins again at position 0."""
    number = (positions == 0).cumsum(1)
    place = torch.arange(positions.shape[1], device=positions.device)
    sees = (number[:, :, None] == number[:, None, :]) & (place[:, None] >= place[None, :])
    if code == "sdpa":
        return sees[:, None]
    return torch.zeros(sees.shape, device=sees.device).masked_fill_(~sees, torch.finfo(torch.float32).min)[:, None]


def _positions(stack: Any, mask: Tensor, length: int, past: int, device: Any) -> Tensor:
    """The positions that real tokens have without the addition."""
    if stack.config.model_type in FROM_PADDING:
        return mask.cumsum(1) * mask + stack.config.pad_token_id
    return (torch.arange(length, device=device) + past)[None].expand(mask.shape[0], -1)
