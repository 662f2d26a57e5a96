"""Pretrain: grow an encoder from nothing on the team's own documents."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from pydantic import Field

from sapwood.artifact import Documents, Examples, Model, Report, Tokenizer
from sapwood.errors import InputError
from sapwood.stage import Estimate, Json, Stage, Work

if TYPE_CHECKING:
    from sapwood.models.pairs import Corpus
    from sapwood.models.sources.masked import MaskedPairs, SpecialTokens
    from sapwood.models.train import Plan, Progress

HELD_OUT_WINDOWS = 256
"""Windows that the held-out scores are taken on, at most."""


class Pretrained(NamedTuple):
    model: Model
    report: Report


class Sides(NamedTuple):
    """Pairs to learn from, and pairs of documents set aside."""

    taught: MaskedPairs
    held_out: MaskedPairs


class Pretrain(Stage):
    """Pretrain a small BERT on documents by masked words and next sentences, from random weights."""

    uses_seed: ClassVar[bool] = True
    uses_precision: ClassVar[bool] = True
    resumes: ClassVar[bool] = True
    examples: ClassVar[tuple[dict[str, Json], ...]] = (
        {"layers": 1, "width": 16, "heads": 2, "max_tokens": 32, "steps": 4, "batch_tokens": 256, "held_out": 0.2},
    )

    name: str = Field("own-bert", min_length=1, description="Name of the new model.")
    layers: int = Field(4, ge=1, le=48, description="Transformer layers.")
    width: int = Field(256, ge=8, le=4096, description="Width of the hidden states.")
    heads: int = Field(4, ge=1, le=64, description="Attention heads; they share the width equally.")
    max_tokens: int = Field(128, ge=16, le=2048, description="Longest input in tokens, special tokens included.")
    steps: int = Field(400, ge=1, description="Optimiser steps.")
    batch_tokens: int = Field(2048, ge=64, description="Tokens of one step, on average and without padding.")
    lr: float = Field(1e-3, gt=0, description="Peak learning rate.")
    warmup: float = Field(0.1, ge=0, le=1, description="Share of the steps in which the rate rises.")
    weight_decay: float = Field(0.01, ge=0, description="AdamW's decay of matrices.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Dropout; short training on much text needs none.")
    mask_rate: float = Field(0.15, gt=0, lt=1, description="Share of the tokens to be guessed.")
    held_out: float = Field(0.02, gt=0, lt=0.5, description="Share of the documents set aside to measure on.")

    def estimate(self, bytes_in: int) -> Estimate:
        weights = 12 * self.layers * self.width**2
        products = 8 * weights * self.steps * self.batch_tokens
        return Estimate(20 + products / 250e9, 1_500_000_000 + 4 * bytes_in + 20 * weights, 60 * weights)

    def run(self, work: Work, documents: list[Documents | Examples], tokenizer: Tokenizer) -> Pretrained:
        from sapwood.models import architectures, predict, texts
        from sapwood.models.card import Card

        predict.use_threads(work.resources.threads)
        precision = predict.resolve(work.resources.precision)
        words = texts.load_tokenizer(work.path(tokenizer))
        sides = self._sides(work, documents, words)
        special = sides.taught.special
        config = architectures.bert(special.vocab, self.layers, self.width, self.heads, self.max_tokens, self.dropout, special.pad)
        net = architectures.pretraining_model(config, work.seed, precision)
        progress = self._train(work, net, sides, precision)
        card = Card(name=self.name, task="masked-lm", max_tokens=self.max_tokens, method="pretrain", precision=precision)
        folder = work.new("model")
        architectures.save_model(folder, net, work.path(tokenizer), card)
        return Pretrained(work.put(Model, folder), _report(work, card, progress, sides, net))

    def _sides(self, work: Work, documents: list[Documents | Examples], words: Any) -> Sides:
        """Documents go to a side by the hash of their text, so that a repeated document stays on one."""
        from sapwood.models import pairs
        from sapwood.models.sources.masked import MaskedPairs
        from sapwood.models.texts import pad_id

        taught: list[str] = []
        aside: list[str] = []
        needed = self._needed(work, documents)
        for digest, text in _texts(work, documents):
            if int(digest[8:16], 16) >= needed * 2**32:
                continue
            (aside if int(digest[:8], 16) < self.held_out * 2**32 else taught).append(text)
        if len(aside) < 2:
            raise InputError(f"{len(aside)} of {len(taught) + len(aside)} documents are held out, two are needed", "raise held_out")
        special = _special(words, pad_id(words))
        with work.progress("read documents", 2, "sides") as meter:
            corpora = []
            for side in (taught, aside):
                corpora.append(pairs.corpus(words, side, self.max_tokens))
                meter.advance(1)
        rows = max(1, round(self.batch_tokens / mean_tokens(corpora[0])))
        return Sides(*(MaskedPairs(corpus, special, rows, self.mask_rate) for corpus in corpora))

    def _needed(self, work: Work, documents: list[Documents | Examples]) -> float:
        """The share of the documents that training can use, at four characters for each token it will see: reading all of
        57,000 documents for half a million tokens took longer than the first hundred steps."""
        size = sum(len(text) for _, text in _texts(work, documents))
        share = min(1.0, 4 * self.steps * self.batch_tokens / max(1, size))
        if share < 1:
            work.say(f"{share:.0%} of the documents, drawn by the hash of their text, are enough for {self.steps} steps")
        return share

    def _train(self, work: Work, net: Any, sides: Sides, precision: str) -> Progress:
        from time import perf_counter

        from sapwood.models import costs, train
        from sapwood.models.objectives.masked import masked_lm_and_next_sentence

        plan = self._plan(precision)
        work.say(costs.forecast(net, self.steps * self.batch_tokens, self.batch_tokens, precision))
        tokens = mean_tokens(sides.taught.corpus) * sides.taught.rows * self.steps
        started = perf_counter()
        with work.progress("pretrain", self.steps, "steps") as meter:
            calls = train.Calls(work.log, meter.advance, work.stopping, lambda m: scores(m, sides.held_out, precision))
            home = work.scratch / "checkpoints"
            progress = train.train(net, sides.taught, masked_lm_and_next_sentence, plan, work.seed, home, calls)
        took = perf_counter() - started
        work.say(f"{tokens / took:,.0f} tokens a second with evaluations, {took:.0f} s")
        return progress

    def _plan(self, precision: str) -> Plan:
        from sapwood.models.optimisers import AdamW
        from sapwood.models.schedules import Linear
        from sapwood.models.train import Plan

        return Plan(
            steps=self.steps,
            lr=self.lr,
            optimiser=AdamW(weight_decay=self.weight_decay),
            schedule=Linear(warmup=self.warmup),
            precision="bf16" if precision == "bf16" else "fp32",
            log_every=max(1, self.steps // 60),
            save_every=max(50, self.steps // 10),
            evaluate_every=max(1, self.steps // 6),
        )


def _texts(work: Work, documents: list[Documents | Examples]) -> Iterator[tuple[str, str]]:
    """(digest of the text, text) of every document."""
    from sapwood.text import rows

    for artifact in documents:
        for batch in rows.batches(work.path(artifact)):
            for text in batch.column("text").to_pylist():
                yield rows.text_digest(str(text)), str(text)


def _special(words: Any, pad: int) -> SpecialTokens:
    from sapwood.models.sources.masked import SpecialTokens

    def number(*names: str) -> int:
        found = [n for name in names if (n := words.token_to_id(name)) is not None]
        if not found:
            raise InputError(f"the tokenizer has no {names[0]} token", "make one with the tokenize stage")
        return int(found[0])

    return SpecialTokens(number("[CLS]", "<s>"), number("[SEP]", "</s>"), number("[MASK]", "<mask>"), pad, words.get_vocab_size())


def mean_tokens(corpus: Corpus) -> float:
    """Tokens of a pair, special tokens included, on average (with true next sentences)."""
    starts, windows = corpus.starts, corpus.windows
    return float((starts[windows[:, 2]] - starts[windows[:, 1]]).mean()) + 3


def scores(net: Any, source: MaskedPairs, precision: str) -> dict[str, float]:
    """Held-out losses and accuracies, on the same pairs and masks each time."""
    import torch

    from sapwood.models.objectives.masked import masked_lm_and_next_sentence

    sums: dict[str, list[float]] = {}
    steps = min(source.steps(0, 0), -(-HELD_OUT_WINDOWS // source.rows))
    for batch in (batch for index in range(steps) for batch in source.at(0, 0, index)):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):
            terms = masked_lm_and_next_sentence(net, batch)
        measured = {name: (float(total), terms.count[name]) for name, total in terms.sum.items()}
        for name, (value, units) in {**measured, **terms.logs}.items():
            kept = sums.setdefault(name, [0.0, 0.0])
            kept[0], kept[1] = kept[0] + value, kept[1] + units
    means = {name: value / units for name, (value, units) in sums.items()}
    return {"loss": means["mlm"] + means["nsp"], **means, "masked": sums["mlm"][1], "pairs": sums["nsp"][1]}


def baseline(sides: Sides) -> dict[str, float]:
    """What guessing without reading gets on the held-out masks: the training text's commonest token and its token
    frequencies (add-one), and a coin for the next sentence."""
    import numpy as np

    source = sides.held_out
    counts = np.bincount(sides.taught.corpus.ids, minlength=source.special.vocab) + 1
    steps = min(source.steps(0, 0), -(-HELD_OUT_WINDOWS // source.rows))
    truth = np.concatenate([batch.targets["tokens"].numpy() for index in range(steps) for batch in source.at(0, 0, index)])
    chances = counts[truth] / counts.sum()
    words = {"mlm": float(-np.log(chances).mean()), "mlm_accuracy": float((truth == counts.argmax()).mean())}
    return {**words, "nsp": float(np.log(2)), "nsp_accuracy": 0.5}


def _report(work: Work, card: Any, progress: Progress, sides: Sides, net: Any) -> Report:
    """No speed in it: equal training must give equal bytes."""
    from sapwood import report

    chance, last = baseline(sides), progress.scores[-1]
    corpus = sides.taught.corpus
    data = {
        "steps": progress.step,
        "parameters": sum(p.numel() for p in net.parameters()),
        "tokens": len(corpus.ids),
        "epochs": progress.epoch + progress.index / sides.taught.steps(work.seed, progress.epoch),
        "documents": len(corpus.documents) - 1,
        "left_out": corpus.left_out,
        "precision": card.precision,
        "train": progress.points,
        "held_out": progress.scores,
        "baseline": chance,
    }
    names = {"loss": "L = L_MLM + L_NSP", "mlm": "L_MLM, masked words", "nsp": "L_NSP, next sentence"}
    measured = (("train", progress.points), ("held out", progress.scores))
    curves = {f"{title}, {side}": [(p["step"], p[name]) for p in points] for name, title in names.items() for side, points in measured}
    told = {"mlm_accuracy": "masked words right", "nsp_accuracy": "next sentences right", "mlm": "L_MLM", "nsp": "L_NSP"}
    cells = [[title, round(last[name], 4), round(chance[name], 4)] for name, title in told.items()]
    note = f"On {int(last['masked']):,} masked tokens and {int(last['pairs']):,} pairs of documents that were set aside."
    blocks = [
        report.text(f"{data['documents']:,} documents with {data['tokens']:,} tokens; {corpus.left_out:,} of one sentence left out."),
        report.lines("Losses", "step", "nats", curves, "Each term is normalised by its own trained tokens or pairs."),
        report.table("Held out", ("measure", "model", "without reading"), cells, note),
    ]
    folder = work.new("report")
    right = f"{last['mlm_accuracy']:.1%} of masked words and {last['nsp_accuracy']:.1%} of next sentences right on documents set aside"
    report.write(folder, f"Pretraining of {card.name}", f"{progress.step} steps; {right}.", data, blocks)
    return work.put(Report, folder)
