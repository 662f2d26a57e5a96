"""Causal language modelling: each token from those before it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from sapwood.models.pretraining.pretraining import BASELINE_TOKENS, Facts, Pretraining, Reading

if TYPE_CHECKING:
    from sapwood.metrics.measured import Measured
    from sapwood.models.objectives.terms import Batch, Objective
    from sapwood.models.sources.source import Source
    from sapwood.models.sources.streams import Stream


class CausalLM(Pretraining):
    """Each token from those before it in its document; documents are packed, and none sees another. For decoders."""

    task: ClassVar[Literal["causal-lm"]] = "causal-lm"
    families: ClassVar[tuple[str, ...]] = ("llama", "gpt2")

    kind: Literal["causal_lm"] = "causal_lm"

    def corpus(self, reading: Reading, texts: Iterable[str]) -> Any:
        from sapwood.models.sources import streams

        start, end = reading.marks.start, reading.marks.end
        before = [start] if start is not None and reading.tokenizer.encode("").ids[:1] == [start] else []  # as it writes a prompt
        after = [end] if end is not None else []
        return streams.held(streams.encoded(reading.tokenizer, texts, before, after), reading.max_tokens)

    def facts(self, corpus: Any) -> Facts:
        from sapwood.models.sources.streams import Kept, Streams

        per_row = Streams(corpus, 1).used
        inner: Any = corpus.stream if isinstance(corpus, Kept) else corpus
        header = getattr(inner, "header", None)
        documents, tokens = (int(header["documents"]), int(header["tokens"])) if header else (inner.documents, inner.tokens)
        return Facts(documents, tokens, 0, len(corpus), per_row)

    def source(self, reading: Reading, corpus: Any, rows: int) -> Source:
        from sapwood.models.sources.streams import Streams

        return Streams(corpus, rows)

    def objective(self) -> Objective:
        from sapwood.models.objectives.causal import causal_lm

        return causal_lm

    def measured(self, model: Any, reading: Reading, source: Source, precision: str) -> Measured:
        import numpy as np

        from sapwood.models import placing
        from sapwood.models.objectives import vocabulary
        from sapwood.models.objectives.causal import apart
        from sapwood.models.pretraining import measuring

        size, counts = measuring.spelled(reading.tokenizer, reading.marks.vocab), []
        for batch in measuring.batches(source):
            with placing.arithmetic(model, precision):
                there = batch.to(placing.of(model))
                states, weight, bias = vocabulary.head(model, apart(model, there))
                chosen = states.flatten(0, 1)[there.targets["positions"]]
                nats, right = measuring.answers(chosen, weight, bias, there.targets["tokens"])
            truth, owner = batch.targets["tokens"].numpy(), batch.targets["segments"].numpy()
            counts.append(measuring.summed(owner, nats, size[truth], right))
        return measuring.language(np.concatenate(counts))

    def baselines(self, reading: Reading, taught: Any, source: Source) -> Mapping[str, Measured]:
        from sapwood.models.pretraining import measuring

        vocab = reading.marks.vocab
        asked = (
            measuring.Asked(batch.targets["tokens"].numpy(), batch.targets["segments"].numpy(), _before(batch, vocab))
            for batch in measuring.batches(source)
        )
        rows = measuring.within(_documents(taught), BASELINE_TOKENS)
        return measuring.beside(asked, rows, measuring.spelled(reading.tokenizer, vocab), first=1)


def _before(batch: Batch, vocab: int) -> Any:
    """(m, 2): the two tokens before each one that is asked for, `vocab` where its document had not begun."""
    import numpy as np

    ids, blocks = batch.inputs["input_ids"].numpy(), batch.targets["blocks"].numpy()
    row, column = np.divmod(batch.targets["positions"].numpy(), ids.shape[1])
    earlier = np.maximum(column - 1, 0)
    same = (column > 0) & (blocks[row, earlier] == blocks[row, column])
    return np.stack([np.where(same, ids[row, earlier], vocab), ids[row, column]], axis=1)


def _documents(taught: Stream) -> Iterator[Any]:
    """The taught segments, one after the other."""
    import numpy as np

    for number in range(len(taught)):
        found = taught.sequence(number)
        for segment in found.segments:
            part = slice(int(segment["at"]), int(segment["at"]) + int(segment["length"]))
            if found.learned[part].any():
                yield np.asarray(found.tokens[part], dtype=np.int64)
