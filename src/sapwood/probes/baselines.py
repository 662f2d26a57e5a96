"""What every classifier must beat, fitted on the same rows: the majority, TF-IDF with logistic regression, and a small network.

`fit(train, dev, classes, seed, tick) -> predict(texts) -> (n, classes) probabilities`. The fitted ones read text as *units*:
one character of a script without spaces (Chinese, kana, Thai and its neighbours), one run of other letters and digits, or one
mark. So n-grams of units are character n-grams of Chinese and word n-grams of English, in the same text if need be.

Not covered: a search over hyper-parameters (logistic regression tries three strengths on dev; the network has fixed sizes),
pre-trained vectors, and bit-equal network weights on another CPU type. The network runs on one thread: it is too small for
more to pay, and so its weights do not depend on how many there are.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from sapwood.metrics.classification import Floats, Ints, log_loss

UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u2eff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
UNITS = re.compile(rf"[{UNSPACED}]|[^\W{UNSPACED}]+|[^\w\s]")

STRENGTHS = (1.0, 3.0, 10.0)  # C of the logistic regression; on 12,000 Chinese reviews all three are within .003 macro-F1
FEATURES = 60_000  # of 160,000 uni- to trigrams: the same macro-F1 at a third of the time

VOCABULARY = 8_000
WIDTH = 48
MAX_UNITS = 128
BATCH = 64
EPOCHS = 8
PATIENCE = 2


class Labelled(NamedTuple):
    """Texts with class numbers (n,)."""

    texts: Sequence[str]
    labels: Ints


Predict = Callable[[Sequence[str]], Floats]
Tick = Callable[[], None]
"""Called between pieces of work; raises to stop."""
Fit = Callable[[Labelled, Labelled, int, int, Tick], Predict]


def majority(train: Labelled, dev: Labelled, classes: int, seed: int, tick: Tick) -> Predict:
    """Always the most frequent label of train, with the shares of train as probabilities."""
    share = np.bincount(train.labels, minlength=classes) / max(1, len(train.labels))
    return lambda texts: np.tile(share, (len(texts), 1))


def tfidf_logreg(train: Labelled, dev: Labelled, classes: int, seed: int, tick: Tick) -> Predict:
    """TF-IDF over uni- to trigrams of units, logistic regression whose strength has the lowest log-loss on dev."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    vectors = TfidfVectorizer(
        tokenizer=UNITS.findall, token_pattern=None, ngram_range=(1, 3), min_df=_rarest(train), max_features=FEATURES, sublinear_tf=True
    )
    if len(set(train.labels.tolist())) < 2:
        return majority(train, dev, classes, seed, tick)
    features, held_out = vectors.fit_transform(train.texts), vectors.transform(dev.texts)
    fitted = []
    for strength in STRENGTHS:
        tick()
        model = LogisticRegression(C=strength, solver="newton-cg", max_iter=500).fit(features, train.labels)
        fitted.append((log_loss(dev.labels, _all_classes(model, held_out, classes)), strength, model))
    best = min(fitted, key=lambda one: one[:2])[2]
    return lambda texts: _all_classes(best, vectors.transform(texts), classes)


def cnn_lstm(train: Labelled, dev: Labelled, classes: int, seed: int, tick: Tick) -> Predict:
    """A convolution of width 3, pooling, a bidirectional LSTM and the maximum over time; early stopping on dev log-loss."""
    known = _vocabulary(train.texts)
    rows, held_out = _numbers(train.texts, known), _numbers(dev.texts, known)
    with _one_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = ConvLstm(len(known) + 2, classes)
        optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3, weight_decay=1e-2)
        best, kept, waited = float("inf"), _weights(network), 0
        for epoch in range(EPOCHS):
            _epoch(network, optimiser, rows, train.labels, np.random.default_rng([seed, epoch]), tick)
            loss = log_loss(dev.labels, _answers(network, held_out))
            best, kept, waited = (loss, _weights(network), 0) if loss < best else (best, kept, waited + 1)
            if waited == PATIENCE:
                break
    network.load_state_dict(kept)
    return lambda texts: _answers(network, _numbers(texts, known))


BASELINES: dict[str, Fit] = {"majority": majority, "tfidf-logreg": tfidf_logreg, "cnn-lstm": cnn_lstm}


# --------------------------------------------------------------------------- the pieces


class ConvLstm(nn.Module):
    """Unit numbers (batch, length), 0 for padding -> logits (batch, classes)."""

    def __init__(self, units: int, classes: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(units, WIDTH, padding_idx=0)
        self.convolution = nn.Conv1d(WIDTH, 2 * WIDTH, 3, padding=1)
        self.pool = nn.MaxPool1d(4, ceil_mode=True)
        self.lstm = nn.LSTM(2 * WIDTH, WIDTH, batch_first=True, bidirectional=True)
        self.dropout = nn.Dropout(0.4)
        self.head = nn.Linear(2 * WIDTH, classes)

    def forward(self, numbers: torch.Tensor) -> torch.Tensor:
        embedded = self.embedding(numbers).transpose(1, 2)
        states, _ = self.lstm(self.pool(torch.relu(self.convolution(embedded))).transpose(1, 2))
        padding = self.pool((numbers > 0).float().unsqueeze(1)).squeeze(1) == 0
        read: torch.Tensor = states.masked_fill(padding.unsqueeze(2), -1.0).amax(1)  # LSTM states lie in (-1, 1)
        logits: torch.Tensor = self.head(self.dropout(read))
        return logits


def _rarest(train: Labelled) -> int:
    return 2 if len(train.texts) >= 50 else 1


def _all_classes(model: object, features: object, classes: int) -> Floats:
    """(n, classes): a class without a training row gets 0."""
    given = model.predict_proba(features)  # type: ignore[attr-defined]
    out = np.zeros((given.shape[0], classes))
    out[:, model.classes_] = given  # type: ignore[attr-defined]
    return out


def _vocabulary(texts: Sequence[str]) -> dict[str, int]:
    """The most frequent units, from 2 on (0 is padding, 1 unknown); ties in alphabetical order."""
    counts = Counter(unit for text in texts for unit in UNITS.findall(text.lower()))
    ranked = sorted(counts, key=lambda unit: (-counts[unit], unit))
    return {unit: i + 2 for i, unit in enumerate(ranked[:VOCABULARY])}


def _numbers(texts: Sequence[str], known: dict[str, int]) -> list[list[int]]:
    return [[known.get(unit, 1) for unit in UNITS.findall(text.lower())[:MAX_UNITS]] or [1] for text in texts]


def _padded(rows: Sequence[list[int]]) -> torch.Tensor:
    out = np.zeros((len(rows), max(map(len, rows))), dtype=np.int64)
    for i, row in enumerate(rows):
        out[i, : len(row)] = row
    return torch.from_numpy(out)


def _epoch(
    network: ConvLstm, optimiser: torch.optim.Optimizer, rows: list[list[int]], labels: Ints, rng: np.random.Generator, tick: Tick
) -> None:
    """One pass in batches of about equal length (a random order, sorted within pools of 16 batches): half the padding."""
    network.train()
    order = rng.permutation(len(rows))
    pools = [sorted(order[i : i + 16 * BATCH], key=lambda j: len(rows[j])) for i in range(0, len(order), 16 * BATCH)]
    batches = [pool[i : i + BATCH] for pool in pools for i in range(0, len(pool), BATCH)]
    for place in rng.permutation(len(batches)):
        tick()
        chosen = batches[place]
        loss = nn.functional.cross_entropy(network(_padded([rows[j] for j in chosen])), torch.from_numpy(labels[chosen]))
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@torch.inference_mode()
def _answers(network: ConvLstm, rows: list[list[int]]) -> Floats:
    """(n, classes) probabilities, in the order of `rows`; computed shortest first."""
    network.eval()
    out = np.zeros((len(rows), network.head.out_features))
    order = sorted(range(len(rows)), key=lambda j: len(rows[j]))
    with _one_thread():
        for start in range(0, len(order), 256):
            chosen = order[start : start + 256]
            out[chosen] = network(_padded([rows[j] for j in chosen])).double().softmax(1).numpy()
    return out


def _weights(network: ConvLstm) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}
