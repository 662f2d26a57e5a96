"""Engines: a bundle folder in, probabilities out. `onnx` needs onnxruntime and tokenizers and never loads torch.

Text becomes ids through `sapwood.models.texts`, the path of training and evaluation too, so trained = exported = served.
What it does NOT do: refuse over-long input. `predict` cuts at the bundle's `max_tokens`; ask `count_tokens` first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sapwood.models import texts as tokens
from sapwood.models.bundle import GRAPH, BundleCard, read_bundle

Run = Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.float32]]
"""(ids, mask), both (rows, width), to logits (rows, labels)."""

BUDGET = 4096
"""Padded tokens of one batch: where the throughput of a 12 x 384 encoder levels off on 2 cores."""


@dataclass(frozen=True)
class Engine:
    """An opened model. Safe to call from several threads; each call uses all of its own threads."""

    card: BundleCard
    tokenizer: Any
    run: Run

    @property
    def labels(self) -> tuple[str, ...]:
        return self.card.labels

    def logits(self, texts: Sequence[str], budget: int = BUDGET) -> NDArray[np.float32]:
        """(texts, labels) float32, in the order given; texts of like length run together, at most `budget` padded tokens at once."""
        out = np.zeros((len(texts), len(self.labels)), np.float32)
        ids = tokens.encode(self.tokenizer, texts, self.card.prefix, self.card.max_tokens)
        fill = tokens.pad_id(self.tokenizer)
        for rows in tokens.batches([len(row) for row in ids], budget):
            out[rows] = self.run(*tokens.pad([ids[row] for row in rows], fill))
        return out

    def predict(self, texts: Sequence[str], budget: int = BUDGET) -> NDArray[np.float32]:
        """Probabilities, (texts, labels) float32, in the order given."""
        return softmax(self.logits(texts, budget))

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text with prefix and special tokens, before any cut."""
        return [int(n) for n in tokens.count(self.tokenizer, texts, self.card.prefix)]

    def warm(self) -> None:
        """Run once in two sizes, so that the first request does not pay for allocation."""
        self.predict(["warm", "热身 " * 64])


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Along the last axis, without overflow."""
    raised = np.exp(logits - logits.max(axis=-1, keepdims=True))
    probs: NDArray[np.float32] = (raised / raised.sum(axis=-1, keepdims=True)).astype(np.float32)
    return probs


def open_engine(folder: Path, threads: int = 0) -> Engine:
    """The engine that the folder's `bundle.json` names. `threads` 0 takes every core.

    `InputError` when the folder is not a whole bundle, `MissingExtra` when the engine is not installed.
    """
    card = read_bundle(folder)
    return Engine(card, tokens.load_tokenizer(folder), ENGINES[card.engine](folder, threads))


def open_model(folder: Path, digest: str, threads: int = 0) -> Engine:
    """A Model artifact's own folder as a torch engine: what a bundle is compared with. It must classify."""
    from sapwood.errors import InputError
    from sapwood.models.card import read_card

    card = read_card(folder)
    if card.task != "classification":
        raise InputError(f"model {digest[:12]} is a {card.task} model and does not classify", "tune it on examples first")
    shown = BundleCard(
        name=card.name, engine="torch", labels=card.labels, max_tokens=card.max_tokens, prefix=card.prefix, model=digest, quantise="none"
    )
    return Engine(shown, tokens.load_tokenizer(folder), _torch(folder, threads))


def _onnx(folder: Path, threads: int) -> Run:
    from sapwood.models.export import OUTPUT, session

    opened = session(folder / GRAPH, threads)

    def run(ids: NDArray[np.int64], mask: NDArray[np.int64]) -> NDArray[np.float32]:
        logits: NDArray[np.float32] = opened.run([OUTPUT], {"input_ids": ids, "attention_mask": mask})[0]
        return logits

    return run


def _torch(folder: Path, threads: int) -> Run:
    import torch

    from sapwood.models.export import open_classifier

    if threads:
        torch.set_num_threads(threads)
    model = open_classifier(folder)

    def run(ids: NDArray[np.int64], mask: NDArray[np.int64]) -> NDArray[np.float32]:
        with torch.inference_mode():
            logits: NDArray[np.float32] = model(input_ids=torch.from_numpy(ids), attention_mask=torch.from_numpy(mask)).logits.numpy()
        return logits

    return run


ENGINES: dict[str, Callable[[Path, int], Run]] = {"onnx": _onnx, "torch": _torch}
