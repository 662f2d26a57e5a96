"""Span corruption: an encoder-decoder writes what was hidden."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from sapwood.errors import InputError
from sapwood.models.pretraining.pretraining import BASELINE_TOKENS, Facts, Pretraining, Reading

if TYPE_CHECKING:
    from sapwood.metrics.measured import Measured
    from sapwood.models.objectives.terms import Objective
    from sapwood.models.sources.documents import Sentinels, Windows
    from sapwood.models.sources.source import Source


class SpanCorruption(Pretraining):
    """Hidden spans of the text are written by the decoder (T5). Scores count the tokens of the text, not sentinels and the end."""

    task: ClassVar[Literal["span-corruption"]] = "span-corruption"
    families: ClassVar[tuple[str, ...]] = ("t5",)

    kind: Literal["span_corruption"] = "span_corruption"
    rate: float = Field(0.15, gt=0, lt=1, description="Share of the tokens that are hidden.")
    mean: float = Field(3.0, ge=1, le=32, description="Length of a hidden span in tokens, on average.")

    def corpus(self, reading: Reading, texts: Iterable[str]) -> Any:
        from sapwood.models.sources import documents

        return documents.windows(reading.tokenizer, texts, reading.max_tokens - 2)

    def facts(self, corpus: Windows) -> Facts:
        tokens = len(corpus.ids)
        return Facts(corpus.documents, tokens, corpus.left_out, len(corpus), tokens / len(corpus) + 2)

    def source(self, reading: Reading, corpus: Any, rows: int) -> Source:
        from sapwood.models.sources.documents import HiddenSpans

        return HiddenSpans(corpus, sentinels(reading), rows, self.rate, self.mean)

    def objective(self) -> Objective:
        from sapwood.models.objectives.corruption import span_corruption

        return span_corruption

    def measured(self, model: Any, reading: Reading, source: Source, precision: str) -> Measured:
        import numpy as np

        from sapwood.models import placing
        from sapwood.models.objectives import vocabulary
        from sapwood.models.pretraining import measuring

        size, counts = measuring.spelled(reading.tokenizer, reading.marks.vocab), []
        for batch in measuring.batches(source):
            with placing.arithmetic(model, precision):
                there = batch.to(placing.of(model))
                states, weight, bias = vocabulary.head(model, there.inputs)
                kept = there.targets["hidden"]
                places, truth = there.targets["positions"][kept], there.targets["tokens"][kept]
                nats, right = measuring.answers(states.flatten(0, 1)[places], weight, bias, truth)
            owner = places.cpu().numpy() // states.shape[1]
            counts.append(measuring.summed(owner, nats, size[truth.cpu().numpy()], right))
        return measuring.language(np.concatenate(counts))

    def baselines(self, reading: Reading, taught: Any, source: Source) -> Mapping[str, Measured]:
        from sapwood.models.pretraining import measuring

        vocab = reading.marks.vocab
        rows = measuring.within((taught.row(number) for number in range(len(taught))), BASELINE_TOKENS)
        asked = (_asked(batch, vocab) for batch in measuring.batches(source))
        return measuring.beside(asked, rows, measuring.spelled(reading.tokenizer, vocab))


def sentinels(reading: Reading) -> Sentinels:
    """The tokenizer's sentinels: T5's own count down from `<extra_id_0>`, Sapwood's count up. `InputError` where there are none."""
    from sapwood.models.sources.documents import Sentinels

    first, second = (reading.tokenizer.token_to_id(f"<extra_id_{number}>") for number in (0, 1))
    end, marks = reading.marks.end, reading.marks
    if first is None or second is None or end is None:
        raise InputError("the tokenizer has no sentinels <extra_id_0>, <extra_id_1>, ...", "start from a model that pretrain made")
    count = 0
    while reading.tokenizer.token_to_id(f"<extra_id_{count}>") is not None:
        count += 1
    before = (marks.start,) if marks.start is not None else ()
    return Sentinels(before, (end,), first, count, marks.pad, end, marks.pad, second - first)


def _asked(batch: Any, vocab: int) -> Any:
    from sapwood.models.pretraining.measuring import Asked

    kept, width = batch.targets["hidden"].numpy(), batch.inputs["decoder_input_ids"].shape[1]
    owner = batch.targets["positions"].numpy()[kept] // width
    return Asked(batch.targets["tokens"].numpy()[kept], owner, _before(batch, vocab)[kept])


def _before(batch: Any, vocab: int) -> Any:
    """(m, 2): the two tokens before each written one, as its text has them: across a sentinel, what the encoder reads there."""
    import numpy as np

    read, wrote = batch.inputs["input_ids"].numpy(), batch.inputs["decoder_input_ids"].numpy()
    width = wrote.shape[1]
    hidden, tokens = batch.targets["hidden"].numpy(), batch.targets["tokens"].numpy()
    rows, columns = np.divmod(batch.targets["positions"].numpy(), width)
    found = np.full((len(tokens), 2), vocab, dtype=np.int64)
    for at in np.flatnonzero(hidden):
        row, column = rows[at], columns[at]
        if column >= 1 and at and hidden[at - 1] and rows[at - 1] == row:
            found[at] = (found[at - 1, 1], tokens[at - 1])
            continue
        place = int(np.flatnonzero(read[row] == wrote[row, column])[0])
        found[at] = (read[row, place - 2] if place >= 2 else vocab, read[row, place - 1] if place else vocab)
    return found
