"""Cross-entropy over a large vocabulary, by chunks of tokens, so that the logits of a whole batch never exist.

8 x 512 tokens over 49,152 words are 805 MB of fp32 logits, and as much again for their gradient. Here a chunk's logits become a loss and
a gradient at once and are dropped, as in Liger and Cut Cross-Entropy (Hsu et al. 2024, Wijmans et al. 2024), with plain torch products.
Memory beside hidden states and weight: the chunk (64 MB), the gradient of the hidden states, and that of the weight where it is trained.
The loss is fp32 whatever the products are in. What it does NOT do: second derivatives, and heads that bend their logits (soft caps).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from sapwood.models.instead import instead

ROOM = 1 << 24
"""Logits of one chunk: 64 MB in fp32, 341 tokens over 49,152 words."""
FEWEST = 32
"""A chunk has a multiple of that many tokens, so that products stay large and have few shapes (`texts.few`)."""
IGNORE = -100


class Summed(NamedTuple):
    """`loss` is the sum over the tokens that count (fp32, differentiable); `right` says how many of them have their highest logit at the
    target, and how many there are."""

    loss: Tensor
    right: tuple[float, int]


class Head(NamedTuple):
    """What enters a model's vocabulary head, shape (..., width), and the head's weight (words, width) and bias (words,)."""

    states: Tensor
    weight: Tensor
    bias: Tensor | None


def head(model: Any, inputs: Mapping[str, Tensor]) -> Head:
    """Run any Hugging Face language model, wrapped by PEFT or not, up to its vocabulary head.

    The head hands its input through meanwhile, so prompts, scaling before the head and encoder-decoders keep their own way there.
    """
    last = model.get_output_embeddings()
    with instead(last, lambda states: states):
        states = model(**inputs).logits
    return Head(states, last.weight, getattr(last, "bias", None))


def cross_entropy(
    states: Tensor, weight: Tensor, targets: Tensor, bias: Tensor | None = None, smoothing: float = 0.0, shares: Tensor | None = None
) -> Summed:
    """Sum of the cross-entropy of `targets` (n,) under logits `states` (n, width) @ `weight`.T + `bias`.

    A target below 0 (`IGNORE`) does not count and costs nothing. `smoothing` spreads that share of each target over all words;
    `shares` (n,) weighs each token's loss and has no gradient.
    """
    kept = targets >= 0
    if not bool(kept.all()):
        states, targets = states[kept], targets[kept]
        shares = None if shares is None else shares[kept]
    loss, right = _CrossEntropy.apply(states, weight, bias, targets, smoothing, shares, torch.is_grad_enabled())
    return Summed(loss, (float(right), len(targets)))


def token_log_probs(states: Tensor, weight: Tensor, targets: Tensor, bias: Tensor | None = None) -> Tensor:
    """Log-probability of each target, (n,) fp32, differentiable. The way back makes each chunk's logits again. Targets are 0 or more."""
    found: Tensor = _LogProbs.apply(states, weight, bias, targets)
    return found


def filled(states: Tensor) -> Tensor:
    """`states` (n, width) and rows of 0 up to a multiple of `FEWEST`."""
    missing = -len(states) % FEWEST
    return nn.functional.pad(states, (0, 0, 0, missing)) if missing else states


class _CrossEntropy(torch.autograd.Function):
    """Loss and gradients in one pass: the gradient of a sum is known when its logits are, up to one factor."""

    @staticmethod
    def forward(
        ctx: Any,
        states: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        smoothing: float,
        shares: Tensor | None,
        wanted: bool,
    ) -> tuple[Tensor, Tensor]:
        work = _Chunks(states, weight, bias, [wanted and needed for needed in ctx.needs_input_grad[:3]])
        loss, right = torch.zeros((), device=states.device), torch.zeros((), dtype=torch.long, device=states.device)
        for rows in work.slices():
            truth, factor = targets[rows, None], None if shares is None else shares[rows, None].float()
            logs = work.log_softmax(rows)
            each = logs.gather(1, truth)
            right += _right(logs, truth, each)
            each *= smoothing - 1
            if smoothing:
                each -= smoothing * logs.mean(-1, keepdim=True)
            loss += (each if factor is None else each * factor).sum()
            if work.wanted:
                slope = logs.exp_().scatter_add_(1, truth, torch.full_like(each, smoothing - 1))
                if smoothing:
                    slope -= smoothing / len(weight)
                work.add(rows, slope if factor is None else slope.mul_(factor))
        ctx.save_for_backward(*work.found())
        ctx.mark_non_differentiable(right)
        return loss, right

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, _: Any) -> Any:
        return *(None if found is None else found * grad.to(found.dtype) for found in ctx.saved_tensors), None, None, None, None


class _LogProbs(torch.autograd.Function):
    """The factor of each token is known on the way back only, so the chunks' logits are made twice."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor) -> Tensor:
        work, found = _Chunks(states, weight, bias, [False] * 3), torch.empty(len(targets), device=states.device)
        for rows in work.slices():
            found[rows] = work.log_softmax(rows).gather(1, targets[rows, None])[:, 0]
        ctx.save_for_backward(states, weight, bias, targets)
        ctx.kind = work.kind
        return found

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Any:
        states, weight, bias, targets = ctx.saved_tensors
        work = _Chunks(states, weight, bias, ctx.needs_input_grad[:3], ctx.kind)
        for rows in work.slices():
            factor = -grad[rows, None].float()
            slope = work.log_softmax(rows).exp_().mul_(factor)
            work.add(rows, slope.scatter_add_(1, targets[rows, None], -factor))
        return *work.found(), None


def _right(logs: Tensor, truth: Tensor, at_truth: Tensor) -> Tensor:
    """How many rows have their highest value at `truth`. torch's argmax over 49,152 columns takes 4 times as long as its maximum, so it
    is asked only about rows where the truth ties for the highest."""
    high = (at_truth == logs.amax(-1, keepdim=True))[:, 0]
    return (logs[high].argmax(-1, keepdim=True) == truth[high]).sum()


class _Chunks:
    """Log-probabilities of a chunk, and the gradients of states, weight and bias gathered from the gradients of the chunks' logits.

    All chunks share two buffers: in new memory each time, log_softmax took 6 times as long (page faults).
    """

    def __init__(self, states: Tensor, weight: Tensor, bias: Tensor | None, needed: Any, kind: torch.dtype | None = None) -> None:
        device, words = states.device, len(weight)
        if kind is None:
            kind = torch.get_autocast_dtype(device.type) if torch.is_autocast_enabled(device.type) else states.dtype
        self.kind, self.bias = kind, bias
        self.states, self.weight = filled(states.detach().to(kind)), weight.detach().to(kind)
        self.size, self.tokens = FEWEST * max(1, ROOM // words // FEWEST), len(states)
        tokens = min(self.size, len(self.states))
        self.logits = torch.empty(tokens, words, device=device)
        self.low = self.logits if kind == torch.float32 else torch.empty(tokens, words, dtype=kind, device=device)
        self.kinds = (states.dtype, weight.dtype, None if bias is None else bias.dtype)
        self.of_states = torch.empty_like(self.states) if needed[0] else None
        self.of_weight = torch.zeros_like(weight, dtype=torch.float32) if needed[1] else None
        self.of_bias = torch.zeros_like(bias, dtype=torch.float32) if bias is not None and needed[2] else None
        self.wanted = any(part is not None for part in (self.of_states, self.of_weight, self.of_bias))

    def slices(self) -> Iterator[slice]:
        """Of the tokens of each chunk. What fills its last rows has a state of 0 and nothing in any sum."""
        return (slice(start, min(start + self.size, self.tokens)) for start in range(0, self.tokens, self.size))

    def log_softmax(self, rows: slice) -> Tensor:
        """(tokens of the chunk, words) fp32, in the buffer that the next chunk overwrites."""
        part, count = self.states[rows.start : rows.start + self.size], rows.stop - rows.start
        low, logits = self.low[:count], self.logits[:count]
        with torch.autocast(part.device.type, enabled=False):
            torch.mm(part, self.weight.T, out=self.low[: len(part)])
            if low.data_ptr() != logits.data_ptr():
                logits.copy_(low)
            if self.bias is not None:
                logits += self.bias
            return torch.log_softmax(logits, -1, out=logits)

    def add(self, rows: slice, slope: Tensor) -> None:
        """`slope`: the gradient of the chunk's logits, in the buffer that `log_softmax` gave."""
        whole = slice(rows.start, rows.start + self.size)
        part = self.states[whole]
        low = self.low[: len(part)]
        if low.data_ptr() != slope.data_ptr():
            low[: len(slope)].copy_(slope)
        low[len(slope) :] = 0
        with torch.autocast(slope.device.type, enabled=False):
            if self.of_bias is not None:
                self.of_bias += slope.sum(0)
            if self.of_states is not None:
                torch.mm(low, self.weight, out=self.of_states[whole])
            if self.of_weight is not None:
                self.of_weight += low.T @ part

    def found(self) -> list[Tensor | None]:
        of_states = None if self.of_states is None else self.of_states[: self.tokens]
        parts = (of_states, self.of_weight, self.of_bias)
        return [part if part is None else part.to(kind) for part, kind in zip(parts, self.kinds, strict=True)]
