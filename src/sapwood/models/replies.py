"""Replies to prompts: what a model reads, what it is judged to write, and how likely it finds that.

The prompt is one user's message where the model has a chat template; else it is the text and a line break, and the reply ends with the
model's end token. Of a text that is too long the beginning goes, whole lines first, so that the last turns of a dialogue stay.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from sapwood.errors import InputError
from sapwood.models import placing, texts
from sapwood.models.objectives import vocabulary
from sapwood.models.tasks.task import Reader
from sapwood.models.texts import Ids

TOKENS_PER_BATCH = 4096


class Reply(NamedTuple):
    """Ids that are read, and ids that are written, with what ends them."""

    read: Ids
    written: Ids


@dataclass(frozen=True)
class Writer:
    """How a model's replies are written. `both` says whether it is an encoder-decoder, which begins to write from `start`."""

    ask: Callable[[str], Ids]
    end: Callable[[str], Ids]
    stops: tuple[int, ...]
    both: bool
    start: int
    fill: int
    most: int
    text: Callable[[Ids], str]

    def reply(self, prompt: str, answer: str, row: str = "") -> Reply:
        """A reply over half of the longest input is cut there, and then has no end."""
        written = self.end(answer)[: self.most // 2]
        return Reply(self.prompt(prompt, 0 if self.both else len(written), row), written)

    def prompt(self, prompt: str, room: int, row: str = "") -> Ids:
        """The ids that are read before a reply of `room` tokens: the last lines of the prompt, as many as there is room for; of a last line
        that is too long by itself its end. `InputError` naming the row where there is room for none."""
        lines = prompt.split("\n")
        for first in range(len(lines)):
            ids = self.ask("\n".join(lines[first:]))
            if len(ids) + room <= self.most:
                return ids
        last = lines[-1]
        while len(last) > 1:
            over = len(ids) + room - self.most
            last = last[max(1, over * len(last) // len(ids)) :]
            ids = self.ask(last)
            if len(ids) + room <= self.most:
                return ids
        raise InputError(f"row {row}: {self.most} tokens leave no room for a prompt beside the reply", "raise max_tokens")


def writer(reader: Reader, template: str = "") -> Writer:
    """From a model's folder: its chat template, or the one given, or the plain form where there is none."""
    from sapwood.models.conversation import conversation, template_of
    from sapwood.models.specials import specials

    assert reader.folder is not None, "the reader of a model that writes knows the model's folder"
    known, tokenizer = specials(reader.folder, reader.tokenizer, reader.pad), reader.tokenizer
    shared: dict[str, Any] = {"both": known.both, "start": known.start, "fill": reader.pad, "most": reader.card.max_tokens}

    def plain(text: str) -> Ids:
        return np.asarray(tokenizer.encode(texts.whole([text])[0], add_special_tokens=False).ids, dtype=np.int64)

    if known.both or not (template or template_of(reader.folder)):
        after = known.ends[:1] if known.both else ()
        return Writer(
            ask=lambda text: np.concatenate([known.begin, plain(text if known.both else text + "\n"), after]).astype(np.int64),
            end=lambda answer: np.append(plain(answer), known.ends[0]),
            stops=known.ends,
            text=lambda ids: str(tokenizer.decode([int(i) for i in ids], skip_special_tokens=True)).strip(),
            **shared,
        )
    talk = conversation(reader.folder, tokenizer, template, reader.pad)
    said = [{"role": "user", "content": ""}, {"role": "assistant", "content": ""}]

    def ask(text: str) -> Ids:
        return talk.prompt([{**said[0], "content": text}, {**said[1], "content": "-"}])

    def end(answer: str) -> Ids:
        return talk.ids(talk.pieces([{**said[0], "content": "-"}, {**said[1], "content": answer}])[-1].text)

    return Writer(ask=ask, end=end, stops=talk.stops, text=talk.answer, **shared)


def batch(replies: Sequence[Reply], both: bool, start: int, fill: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """(inputs, targets) of replies. targets: `places` (m,) the states, flat, that foretell the written tokens, `tokens` (m,), and `owner`
    (m,) the reply of each."""
    lengths = [len(reply.written) for reply in replies]
    if both:
        ids, mask = texts.pad([reply.read for reply in replies], fill, 8)
        begun, _ = texts.pad([np.concatenate([[start], reply.written[:-1]]) for reply in replies], fill, 8)
        inputs, width, before = {"input_ids": ids, "attention_mask": mask, "decoder_input_ids": begun}, begun.shape[1], [0] * len(replies)
    else:
        ids, mask = texts.pad([np.concatenate([reply.read, reply.written[:-1]]) for reply in replies], fill, 8)
        inputs, width, before = {"input_ids": ids, "attention_mask": mask}, ids.shape[1], [len(reply.read) - 1 for reply in replies]
    places = [row * width + first + np.arange(n) for row, (first, n) in enumerate(zip(before, lengths, strict=True))]
    targets = {
        "places": np.concatenate(places),
        "tokens": np.concatenate([reply.written for reply in replies]),
        "owner": np.repeat(np.arange(len(replies)), lengths),
    }
    return {k: torch.from_numpy(v) for k, v in inputs.items()}, {k: torch.from_numpy(v) for k, v in targets.items()}


def likelihoods(model: Any, inputs: Mapping[str, Tensor], targets: Mapping[str, Tensor], count: int) -> Tensor:
    """The log-probability of each of `count` replies, (count,) fp32, differentiable. The logits of a whole batch never exist."""
    found = vocabulary.head(model, inputs)
    states = found.states.flatten(0, 1)[targets["places"]]
    each = vocabulary.token_log_probs(states, found.weight, targets["tokens"], found.bias)
    return each.new_zeros(count).index_add(0, targets["owner"], each)


def of(model: Any, replies: Sequence[Reply], how: Writer, precision: str, advance: Callable[[float], None] | None = None) -> np.ndarray:
    """The log-probability of each reply in their order, (n,) float64, without a gradient and without dropout. `advance` is told how many
    were read."""
    found = np.empty(len(replies), dtype=np.float64)
    device = placing.of(model)
    model.eval()
    with torch.no_grad(), placing.arithmetic(model, precision):
        for part in texts.batches([len(reply.read) + len(reply.written) for reply in replies], TOKENS_PER_BATCH):
            inputs, targets = batch([replies[i] for i in part], how.both, how.start, how.fill)
            moved = [{k: v.to(device) for k, v in one.items()} for one in (inputs, targets)]
            found[part] = likelihoods(model, moved[0], moved[1], len(part)).cpu().numpy()
            if advance:
                advance(len(part))
    return found


def divergence(after: Any, before: Any, replies: Sequence[Reply], how: Writer) -> float:
    """KL(after || before) of the next token, in nats, mean over the written tokens of the replies: how far training moved the model."""
    total, tokens = 0.0, 0
    after.eval(), before.eval()
    with torch.no_grad():
        for part in texts.batches([len(reply.read) + len(reply.written) for reply in replies], TOKENS_PER_BATCH // 4):
            inputs, targets = batch([replies[i] for i in part], how.both, how.start, how.fill)
            now, then = (_logs(model, inputs, targets["places"]) for model in (after, before))
            total += float((now.exp() * (now - then)).sum())
            tokens += len(targets["places"])
    return total / tokens


def _logs(model: Any, inputs: dict[str, Tensor], places: Tensor) -> Tensor:
    found = vocabulary.head(model, inputs)
    logs: Tensor = torch.nn.functional.linear(found.states.flatten(0, 1)[places], found.weight, found.bias).float().log_softmax(-1)
    return logs
