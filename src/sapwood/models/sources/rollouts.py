"""Replies that the model writes itself, with what they are worth: batches of a policy gradient."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch

from sapwood.models import exact, placing, replies, texts
from sapwood.models.generate import pad_left
from sapwood.models.objectives.terms import Batch
from sapwood.models.replies import Reply, Writer
from sapwood.models.sources.source import shuffled
from sapwood.models.texts import Ids

Worth = Callable[[int, str], float]
"""(number of the prompt, reply) -> reward."""


class Told(NamedTuple):
    """One reply: the number of its prompt, its ids, and its words."""

    prompt: int
    reply: Reply
    text: str


@dataclass(frozen=True)
class Rollouts:
    """Steps of `rows` prompts with `samples` replies each, drawn from the model as it is now: f(seed, epoch, index, weights).

    A reply's worth is its reward less `beta` times how much likelier the model finds it than `reference` does (a penalty on moving away), and
    its advantage what it is worth more than the mean of the other replies to its prompt (RLOO, Ahmadian et al. 2024).
    """

    ahead: ClassVar[bool] = False
    model: Any
    reference: Any
    prompts: Sequence[Ids]
    worth: Worth
    how: Writer
    rows: int
    samples: int = 4
    beta: float = 0.05
    most: int = 32
    precision: str = "fp32"

    def steps(self, seed: int, epoch: int) -> int:
        return -(-len(self.prompts) // self.rows)

    def at(self, seed: int, epoch: int, index: int) -> list[Batch]:
        chosen = shuffled(len(self.prompts), seed, epoch)[index * self.rows : (index + 1) * self.rows]
        asked = np.repeat(chosen, self.samples)
        told = sampled(self.model, self.prompts, asked, self.how, self.most, np.random.SeedSequence([seed, epoch, index]), self.precision)
        rewards = np.array([self.worth(one.prompt, one.text) for one in told])
        drift = np.subtract(
            *(replies.of(net, [one.reply for one in told], self.how, self.precision) for net in (self.model, self.reference))
        )
        gain = advantages(rewards - self.beta * drift, self.samples)
        lengths = [len(one.reply.read) + len(one.reply.written) for one in told]
        return [self._batch(part, told, gain, rewards, drift) for part in texts.batches(lengths, replies.TOKENS_PER_BATCH)]

    def _batch(self, part: Ids, told: Sequence[Told], gain: np.ndarray, rewards: np.ndarray, drift: np.ndarray) -> Batch:
        inputs, targets = replies.batch([told[i].reply for i in part], self.how.both, self.how.start, self.how.fill)
        columns = {"advantage": gain, "reward": rewards, "drift": drift}
        facts = {name: torch.from_numpy(values[part].astype(np.float32)) for name, values in columns.items()}
        return Batch(inputs, {**targets, **facts}, {"replies": len(part)})


def advantages(worth: np.ndarray, samples: int) -> np.ndarray:
    """What each reply is worth more than the mean of the others to its prompt. `worth` (prompts x samples,), as `Rollouts` orders them."""
    by_prompt = worth.reshape(-1, samples)
    others = (by_prompt.sum(1, keepdims=True) - by_prompt) / (samples - 1)
    found: np.ndarray = (by_prompt - others).ravel()
    return found


def sampled(
    model: Any, prompts: Sequence[Ids], asked: Sequence[int] | Ids, how: Writer, most: int, seed: np.random.SeedSequence, precision: str
) -> list[Told]:
    """A reply of at most `most` tokens to each of the prompts `asked`, drawn from the model's own distribution (no temperature, nothing left
    out). The generators of the process stay where they are."""
    from transformers import GenerationConfig

    settings = GenerationConfig(
        max_new_tokens=most,
        do_sample=True,
        temperature=1.0,
        top_k=0,
        top_p=1.0,
        pad_token_id=how.fill,
        eos_token_id=list(how.stops),
        decoder_start_token_id=how.start if how.both else None,
    )
    read = [prompts[int(i)] for i in asked]
    ids, mask = texts.pad(read, how.fill) if how.both else pad_left(read, how.fill)
    model.eval()
    with exact.forked(placing.of(model)), torch.inference_mode():
        torch.manual_seed(int(seed.generate_state(1, np.uint64)[0] >> 1))
        with placing.arithmetic(model, precision):
            inputs = dict(zip(("input_ids", "attention_mask"), placing.given(model, ids, mask), strict=True))
            made = model.generate(**inputs, generation_config=settings).cpu().numpy()
    first = 1 if how.both else ids.shape[1]
    found = []
    for number, row in zip(asked, made[:, first:], strict=True):
        ends = np.flatnonzero(np.isin(row, how.stops))
        written = row[: ends[0] + 1] if len(ends) else row
        words = row[: ends[0]] if len(ends) else row
        found.append(Told(int(number), Reply(prompts[int(number)], written.astype(np.int64)), how.text(words)))
    return found
