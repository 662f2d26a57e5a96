"""One example of a training step as the model sees it: each token with its place, its part, and what has to be said there.

Made from the batches themselves, not from the rows they came from, so what is shown is what is trained. Targets that belong to tokens are
`positions` and `tokens`; others are shown with the row that they belong to. Not shown: what an objective adds by itself (a teacher, a penalty).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from sapwood.models.objectives.terms import Batch
from sapwood.models.sources.source import Source

IDS = "input_ids"


@dataclass(frozen=True)
class Token:
    """`text` is read at `position`, `segment` is the part it belongs to (sentence A or B), `target` what has to be said there; the loss counts
    those places only."""

    id: int
    text: str
    position: int
    segment: int
    target: str | None = None
    target_id: int | None = None


@dataclass(frozen=True)
class Example:
    """`parts`: tokens by the name of the input (`input_ids`, and `decoder_input_ids` where a decoder reads too). `trained` of the
    `step_units` units that the step's loss is divided by are of its tokens; `targets` has what belongs to the row and to no token."""

    number: int
    step: int
    batch: int
    row: int
    parts: Mapping[str, list[Token]]
    read: str
    said: str
    trained: int
    step_units: Mapping[str, int]
    targets: Mapping[str, Any]


def examples(source: Source, tokenizer: Tokenizer, seed: int, labels: Mapping[int, str] | None = None) -> Iterator[Example]:
    """Every example of the first epoch, in the order of training. `labels` are the names of a classifier's labels."""
    number = 0
    for step in range(source.steps(seed, 0)):
        micro = source.at(seed, 0, step)
        units: dict[str, int] = {}
        for batch in micro:
            for name, count in batch.trained.items():
                units[name] = units.get(name, 0) + count
        for place, batch in enumerate(micro):
            for row, parts in _parts(batch, tokenizer):
                yield _example(batch, tokenizer, parts, (number, step, place, row), units, labels or {})
                number += 1


def _example(
    batch: Batch,
    tokenizer: Tokenizer,
    parts: Mapping[str, list[Token]],
    place: tuple[int, int, int, int],
    units: Mapping[str, int],
    labels: Mapping[int, str],
) -> Example:
    targets = [t.target_id for tokens in parts.values() for t in tokens if t.target_id is not None]
    first = next(iter(parts.values()))
    rows = len(next(iter(batch.inputs.values())))
    others = {
        name: value[place[3]].tolist()
        for name, value in batch.targets.items()
        if name not in ("positions", "tokens") and value.dim() and len(value) == rows
    }
    if "label" in others:
        others["label"] = _named(others["label"], labels)
    read, said = (tokenizer.decode(ids, skip_special_tokens=False) for ids in ([t.id for t in first], targets))
    return Example(*place, parts, read, said, len(targets), units, others)


def _named(label: Any, names: Mapping[int, str]) -> Any:
    """The name of a class, or of each that a row of 0 and 1 names; a number, or a row of one label a token, as it is."""
    if isinstance(label, int):
        return names.get(label, label)
    if isinstance(label, list) and names and len(label) == len(names) and set(label) <= {0.0, 1.0}:
        return [names[i] for i, given in enumerate(label) if given]
    return label


def _parts(batch: Batch, tokenizer: Tokenizer) -> Iterator[tuple[int, dict[str, list[Token]]]]:
    """(row, tokens by input) of each example; a row that holds several, with positions that begin again, gives each by itself."""
    names = [name for name, value in batch.inputs.items() if name.endswith(IDS) and value.dim() == 2]
    named = {name: batch.inputs[name].numpy() for name in names}
    if not named:
        return  # vectors, or whatever else is no text
    last = "decoder_" + IDS if "decoder_" + IDS in named else IDS
    wanted = _targets(batch, named[last].shape) if last in named else None
    for row in range(len(next(iter(named.values())))):
        for span in _spans(batch, row, next(iter(named.values())).shape[1]):
            found = {name: _tokens(batch, name, row, span, wanted if name == last else None, tokenizer) for name in names}
            if any(found.values()):
                yield row, found


def _targets(batch: Batch, shape: tuple[int, ...]) -> Any:
    """The id that has to be said at each place, -1 where none has; None where the targets are of another kind."""
    if not {"positions", "tokens"} <= set(batch.targets):
        return None
    wanted = np.full(int(np.prod(shape)), -1, dtype=np.int64)
    wanted[batch.targets["positions"].numpy()] = batch.targets["tokens"].numpy()
    return wanted.reshape(shape)


def _spans(batch: Batch, row: int, width: int) -> list[slice]:
    """The examples of a row: one, or one for each time that the positions begin again."""
    if "position_ids" not in batch.inputs:
        return [slice(0, width)]
    starts = np.flatnonzero(batch.inputs["position_ids"][row].numpy() == 0).tolist()
    return [slice(a, b) for a, b in zip(starts, [*starts[1:], width], strict=True)]


def _tokens(batch: Batch, name: str, row: int, span: slice, wanted: Any, tokenizer: Tokenizer) -> list[Token]:
    """The tokens of one input in a span. Padding is left out: what the mask hides, or at the end of a decoder's row, what is not foretold."""
    ids = batch.inputs[name][row].numpy()
    real = _real(batch, name, row, ids, wanted)
    places = [i for i in range(len(ids))[span if name.startswith(IDS) else slice(None)] if real[i]]
    segments = batch.inputs["token_type_ids"][row].tolist() if name == IDS and "token_type_ids" in batch.inputs else [0] * len(ids)
    positions = batch.inputs["position_ids"][row].tolist() if name == IDS and "position_ids" in batch.inputs else list(range(len(ids)))
    found = []
    for i in places:
        target = int(wanted[row, i]) if wanted is not None and wanted[row, i] >= 0 else None
        said = None if target is None else shown(tokenizer, target)
        found.append(Token(int(ids[i]), shown(tokenizer, int(ids[i])), positions[i], segments[i], said, target))
    return found


def _real(batch: Batch, name: str, row: int, ids: Any, wanted: Any) -> Any:
    mask = name.removesuffix(IDS) + "attention_mask"
    if mask in batch.inputs and batch.inputs[mask].dim() == 2:
        return batch.inputs[mask][row].numpy() > 0
    if name.startswith("decoder_") and wanted is not None:
        return wanted[row] >= 0
    if "position_ids" in batch.inputs and (span := _spans(batch, row, len(ids))[-1]).start > 0 and len(set(ids[span].tolist())) == 1:
        real = np.ones(len(ids), dtype=bool)  # the last block is padding: one id, and nothing to say
        real[span] = wanted is not None and bool((wanted[row, span] >= 0).any())
        return real
    return np.ones(len(ids), dtype=bool)


def shown(tokenizer: Tokenizer, number: int) -> str:
    """A token as text. Where it is a part of a character: its bytes, such as <E9><85>, in a byte-level vocabulary; its name in another."""
    text, name = str(tokenizer.decode([number], skip_special_tokens=False)), str(tokenizer.id_to_token(number))
    if text and "\ufffd" not in text:
        return text
    letters = _bytes()
    whole = not text or name.isascii() or any(c not in letters for c in name)  # no part of a character is written in ASCII letters
    return name if whole else "".join(f"<{letters[c]:02X}>" for c in name)


@cache
def _bytes() -> Mapping[str, int]:
    """The byte that each letter of a byte-level vocabulary stands for."""
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    return {letter: byte for byte, letter in bytes_to_unicode().items()}
