"""Masked words, alone or with two sentences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from sapwood.errors import InputError
from sapwood.models.pretraining.pretraining import BASELINE_TOKENS, Facts, Pretraining, Reading

if TYPE_CHECKING:
    from sapwood.metrics.measured import Measured
    from sapwood.models.objectives.terms import Batch, Objective
    from sapwood.models.sources.masked import SpecialTokens
    from sapwood.models.sources.source import Source

SECOND = {"none": "", "next_sentence": "nsp", "sentence_order": "sop"}


class MaskedLM(Pretraining):
    """Masked words, alone or with a guess about two sentences. For encoders."""

    task: ClassVar[Literal["masked-lm"]] = "masked-lm"
    families: ClassVar[tuple[str, ...]] = ("bert", "albert")

    kind: Literal["masked_lm"] = "masked_lm"
    second: Literal["none", "next_sentence", "sentence_order"] = Field(
        "next_sentence",
        description="none: words alone; next_sentence: does B follow A (BERT); sentence_order: did A and B change places (ALBERT).",
    )
    rate: float = Field(0.15, gt=0, lt=1, description="Share of the tokens to be guessed.")
    whole_words: bool = Field(False, description="Mask words whole. Chinese words come from jieba, of the extra `chinese`.")

    @property
    def pair(self) -> bool:
        return self.second != "none"

    def refusal(self, family: str) -> str:
        if family == "albert" and self.second == "next_sentence":
            return "albert has no head for next sentences; set second to sentence_order or none"
        return super().refusal(family)

    def missing(self) -> list[str]:
        from sapwood.text.tokens import joins

        lacking = self.whole_words and joins.missing()
        return ["whole_words needs the package jieba; pip install 'sapwood[chinese]'"] if lacking else []

    def corpus(self, reading: Reading, texts: Iterable[str]) -> Any:
        from sapwood.models import pairs
        from sapwood.models.sources import documents

        if self.pair:
            return pairs.corpus(reading.tokenizer, texts, reading.max_tokens, self.whole_words)
        return documents.windows(reading.tokenizer, texts, reading.max_tokens - 2, self.whole_words)

    def facts(self, corpus: Any) -> Facts:
        if not self.pair:
            return Facts(corpus.documents, len(corpus.ids), corpus.left_out, len(corpus), len(corpus.ids) / len(corpus) + 2)
        windows = corpus.windows
        mean = float((corpus.starts[windows[:, 2]] - corpus.starts[windows[:, 1]]).mean()) + 3
        return Facts(len(corpus.documents) - 1, len(corpus.ids), corpus.left_out, len(windows), mean)

    def source(self, reading: Reading, corpus: Any, rows: int) -> Source:
        from sapwood.models.sources.documents import MaskedWindows
        from sapwood.models.sources.masked import MaskedPairs

        special = special_tokens(reading)
        if self.pair:
            return MaskedPairs(corpus, special, rows, self.rate, order=self.second == "sentence_order")
        return MaskedWindows(corpus, special, rows, self.rate)

    def objective(self) -> Objective:
        from sapwood.models.objectives import masked

        return masked.masked_words_and_sentences if self.pair else masked.masked_words

    def measured(self, model: Any, reading: Reading, source: Source, precision: str) -> Measured:
        import numpy as np
        import torch

        from sapwood.models import placing
        from sapwood.models.objectives.masked import states
        from sapwood.models.pretraining import measuring

        size, counts = measuring.spelled(reading.tokenizer, reading.marks.vocab), []
        for batch in measuring.batches(source):
            with placing.arithmetic(model, precision):
                there = batch.to(placing.of(model))
                chosen, pooled = states(model, there.inputs, there.targets["positions"])
                last = model.get_output_embeddings()
                nats, right = measuring.answers(chosen, last.weight, last.bias, there.targets["tokens"])
                found = [measuring.summed(_owner(batch), nats, size[batch.targets["tokens"].numpy()], right)]
                if self.pair:
                    head = model.sop_classifier if model.config.model_type == "albert" else model.cls.seq_relationship
                    weight, truth = head(pooled).float(), there.targets["next"]
                    cost = torch.nn.functional.cross_entropy(weight, truth, reduction="none").double().cpu().numpy()
                    found.append(np.stack([cost, np.ones(len(cost)), (weight.argmax(-1) == truth).cpu().numpy()], axis=1))
            counts.append(np.concatenate(found, axis=1))
        return measuring.masked(np.concatenate(counts), SECOND[self.second])

    def baselines(self, reading: Reading, taught: Any, source: Source) -> Mapping[str, Measured]:
        import numpy as np

        from sapwood.models.pretraining import measuring

        size, vocab = measuring.spelled(reading.tokenizer, reading.marks.vocab), reading.marks.vocab
        counted = measuring.Counted(measuring.within(_rows(taught), BASELINE_TOKENS), vocab, 2)
        found: dict[str, list[Any]] = {"without reading": [], "bigrams on both sides": []}
        for batch in measuring.batches(source):
            truth, owner = batch.targets["tokens"].numpy(), _owner(batch)
            near, likeliest = counted.near.between(*_neighbours(batch, special_tokens(reading), vocab), truth)
            rows = [(counted.alone[truth], truth == counted.common), (near, likeliest)]
            for counts, (nats, right) in zip(found.values(), rows, strict=True):
                made = measuring.summed(owner, nats, size[truth], right)
                coin = np.tile([np.log(2), 1.0, 0.5], (len(made), 1))
                counts.append(np.concatenate([made, coin], axis=1) if self.pair else made)
        return {name: measuring.masked(np.concatenate(counts), SECOND[self.second]) for name, counts in found.items()}


def special_tokens(reading: Reading) -> SpecialTokens:
    """`InputError` for a tokenizer that is not one of encoders."""
    from sapwood.models.sources.masked import SpecialTokens

    marks = reading.marks
    for name, number in (("[CLS]", marks.start), ("[SEP]", marks.end), ("[MASK]", marks.mask)):
        if number is None:
            raise InputError(f"the tokenizer has no {name} token", "make one with the tokenize stage")
    return SpecialTokens(int(marks.start or 0), int(marks.end or 0), int(marks.mask or 0), marks.pad, marks.vocab)


def _owner(batch: Batch) -> Any:
    """The row that each masked token is in; every row has one."""
    return batch.targets["positions"].numpy() // batch.inputs["input_ids"].shape[1]


def _rows(corpus: Any) -> Iterator[Any]:
    """The taught sentences or windows."""
    import numpy as np

    for start, end in zip(corpus.starts[:-1], corpus.starts[1:], strict=True):
        yield np.asarray(corpus.ids[start:end], dtype=np.int64)


def _neighbours(batch: Batch, special: SpecialTokens, vocab: int) -> tuple[Any, Any]:
    """(left, right) of each masked token as the model reads them; `vocab` where that is a mask or no text."""
    import numpy as np

    ids = batch.inputs["input_ids"].numpy()
    row, column = np.divmod(batch.targets["positions"].numpy(), ids.shape[1])
    nothing = (special.cls, special.sep, special.mask, special.pad)
    sides = [ids[row, column - 1], ids[row, np.minimum(column + 1, ids.shape[1] - 1)]]
    left, right = (np.where(np.isin(side, nothing), vocab, side) for side in sides)
    return left, right
