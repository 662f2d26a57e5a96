"""One dial: what follows from a size. Every value that is left open is derived here, and says why. Loads no torch.

Where the rules come from, and where they do not hold:
- width over depth: 64, as in BERT-base and the 64 x depth of small public recipes. Kaplan et al. 2020 (section 3.1) found loss to change by
  few per cent between ratios of 20 and 300.
- learning rate: 1.79 N^-0.713 D^0.307 (Li et al. 2025, "Predictable scale"), N the weights without embeddings and D the horizon, at most
  0.002, for architectures that normalise before each layer. BERT and ALBERT normalise after it, which bears less (Xiong et al. 2020): there
  0.003239 - 0.0001395 ln N (Kaplan et al. 2020, appendix D.6).
- horizon: 20 tokens a weight (Hoffmann et al. 2022), capped by what the machine computes in `minutes`: 6 operations for each token and
  weight, and for each token and number of the product with a vocabulary of 8,000, which decoders need for every token and masked
  models for one in seven.
- tokens of a step: 0.58 D^0.571 (Li et al. 2025, fitted to models of 60 million weights and more and 2 to 100 billion tokens; far below
  that it is an extrapolation). For the 2 million tokens of a demo it gives 2,300, where 2,048 had been chosen by hand.
What it does NOT know: the text. Training stops after four passes over it whatever the horizon, because further passes teach little
(Muennighoff et al. 2023); the run says so when it happens.
"""

from __future__ import annotations

import math
import re
from typing import NamedTuple

from sapwood.models.fresh.shapes import T5, Albert, Shape

ASPECT = 64
PER_WEIGHT = 20
SPEED = 160e9
"""Operations a second of 2 cores in bf16: whole training steps of 4 x 256 and 6 x 384 models reached 76 to 95 billion a core."""
HIGHEST = 2e-3
"""Far below the sizes it was fitted to, the rule of Li et al. asks for 0.005 and more. A 2 x 128 Llama after 220 steps of 1,024 English
tokens had a held-out loss of 5.755 with 0.005 and of 5.700 with 0.0015 (word frequencies: 6.512)."""
WORDS = 8_000
"""Vocabulary that the cost of a token is reckoned with: what `tokenize` makes unless told otherwise."""
PASSES = 4
"""Passes over the text at most, where the number of steps is derived."""
ALBERT_LAYERS = 12
UNITS = {"k": 1e3, "m": 1e6, "b": 1e9}
WRITTEN = re.compile(r"([0-9]+(\.[0-9]+)?[kKmMbB])?")


def written(size: str) -> str:
    """The size as it was given, where it can be read. `ValueError` otherwise."""
    if not WRITTEN.fullmatch(size):
        raise ValueError(f"{size!r} is no size: write a number with k, M or B behind it, such as 700k or 12M")
    return size


class Derived(NamedTuple):
    """Everything resolved. `notes` explain each derived value, one sentence each; what was given has no note."""

    shape: Shape
    lr: float
    batch_tokens: int
    steps: int
    notes: tuple[str, ...]


class Given(NamedTuple):
    """What the stage says; 0 and None are open. `minutes` caps the horizon."""

    shape: Shape
    size: str
    lr: float | None
    batch_tokens: int
    steps: int
    minutes: float


def weights(size: str) -> float:
    """`12M` as a number."""
    return float(size[:-1]) * UNITS[size[-1].lower()]


def derive(given: Given) -> Derived:
    """The plan that follows."""
    notes: list[str] = []
    shape = _shape(given.shape, given.size, notes)
    steps, batch = given.steps, given.batch_tokens
    tokens = steps * batch if steps and batch else 0.58 ** (1 / 0.429) * steps ** (1 / 0.429)  # steps alone: D = steps x 0.58 D^0.571
    tokens = tokens or _horizon(shape, given.minutes, notes)
    lr = given.lr if given.lr is not None else _rate(shape, tokens, notes)
    if not batch:
        batch = max(512, 256 * round(0.58 * tokens**0.571 / 256))
        notes.append(f"{batch:,} tokens a step: 0.58 D^0.571 for D = {tokens / 1e6:.2f} million tokens (Li et al. 2025)")
    if not steps:
        steps = max(1, round(tokens / batch))
        notes.append(f"{steps:,} steps: the horizon over the tokens of a step; fewer where that is more than {PASSES} passes over the text")
    return Derived(shape, lr, batch, steps, tuple(notes))


def seconds(shape: Shape, tokens: float) -> float:
    """What training on that many tokens takes on two cores, about."""
    head = WORDS * shape.width * (1.0 if shape.kind in ("llama", "gpt2") else 0.15)
    return 6 * (shape.worked + head) * tokens / SPEED


def _rate(shape: Shape, tokens: float, notes: list[str]) -> float:
    n = max(shape.weights, 1000)
    if shape.kind in ("bert", "albert"):
        rate = round(max(1e-4, 0.003239 - 0.0001395 * math.log(n)), 6)
        notes.append(f"learning rate {rate:g}: 0.003239 - 0.0001395 ln N for N = {n:,} (Kaplan et al. 2020)")
        return rate
    asked = 1.79 * n**-0.713 * tokens**0.307
    rate = round(min(HIGHEST, asked), 6)
    most = f", the highest allowed, for {asked:.4f}" if rate == HIGHEST else ""
    notes.append(f"learning rate {rate:g}{most}: 1.79 N^-0.713 D^0.307 for N = {n:,} and D = {tokens / 1e6:.2f} million (Li et al. 2025)")
    return rate


def _horizon(shape: Shape, minutes: float, notes: list[str]) -> float:
    wanted, able = PER_WEIGHT * shape.weights, minutes * 60 / seconds(shape, 1)
    if wanted <= able:
        notes.append(f"horizon {wanted / 1e6:.2f} million tokens: {PER_WEIGHT} for each weight (Hoffmann et al. 2022)")
        return float(wanted)
    notes.append(
        f"horizon {able / 1e6:.2f} million tokens: what {minutes:g} minutes of two cores compute; {PER_WEIGHT} for each weight "
        f"(Hoffmann et al. 2022) would be {wanted / 1e6:,.0f} million"
    )
    return able


def _shape(given: Shape, size: str, notes: list[str]) -> Shape:
    """The shape with nothing open. Without a size, open places are those of a 4 x 256 model."""
    wanted = weights(size) if size else 12 * 4 * 256**2
    shape, said = given, bool(given.layers and given.width)
    share = {"t5": 28}.get(given.kind, 12)
    if not shape.layers and not shape.width:
        depth = ALBERT_LAYERS if isinstance(given, Albert) else max(2, round((wanted / (share * ASPECT**2)) ** (1 / 3)))
        shape = shape.model_copy(update={"layers": depth})
    if not shape.width:
        per = share if isinstance(given, Albert) else share * shape.layers
        ideal = math.sqrt(wanted / per)
        step = shape.heads or (64 if ideal >= 256 else 32)
        shape = shape.model_copy(update={"width": max(step, step * round(ideal / step))})
    if not shape.layers:
        shape = shape.model_copy(
            update={"layers": ALBERT_LAYERS if isinstance(given, Albert) else max(1, round(wanted / (share * shape.width**2)))}
        )
    if not shape.heads:
        each = 64 if shape.width >= 256 else 32
        shape = shape.model_copy(update={"heads": max(1, shape.width // each)})
    if said and size and not 0.5 < shape.weights / wanted < 2:
        notes.append(f"size {size} has no effect on the shape, which is given: {shape.weights:,} weights without embeddings")
    if not said:
        asked = f"size {size}" if size else "no size and no shape given"
        both = " in encoder and decoder each" if isinstance(given, T5) else ""
        why = f"width over depth {shape.width / shape.layers:.0f}, where {ASPECT} is sought (Kaplan et al. 2020)"
        why = f"{ALBERT_LAYERS} layers as in ALBERT, which share their weights" if isinstance(given, Albert) else why
        notes.append(
            f"{asked}: {shape.layers} layers{both} of width {shape.width} with {shape.heads} {'head' if shape.heads == 1 else 'heads'}, {shape.weights / 1e6:.2f} million weights "
            f"without embeddings; {why}"
        )
    return shape
