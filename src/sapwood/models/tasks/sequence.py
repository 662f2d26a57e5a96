"""A text to write for a text: translation, summaries, titles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, field_validator

from sapwood.errors import InputError
from sapwood.models.tasks.task import Advance, Answers, Reader, Row, Setting, Task

if TYPE_CHECKING:
    from pathlib import Path

    from sapwood.metrics.measured import Measured
    from sapwood.models.card import Card
    from sapwood.models.objectives.terms import Objective
    from sapwood.models.sources.source import Source
    from sapwood.models.specials import Specials
    from sapwood.models.texts import Ids

ENCODER_DECODERS = frozenset({"t5", "mt5", "bart", "mbart"})
DECODERS = frozenset({"llama", "gpt2", "qwen2", "qwen3", "mistral"})


class ToSequence(Task):
    """A text to write for a text, by encoder-decoders, or by decoders that write on after a prompt. An answer is the text written."""

    best: ClassVar[str] = "chrf"
    model_types: ClassVar[frozenset[str]] = ENCODER_DECODERS | DECODERS

    kind: Literal["sequence"] = "sequence"
    target: str = Field("meta.target", description="Field with the text to write.")
    prompt: str = Field("{text}\n", description="Decoders only: what the model reads before it writes; {text} stands for the text.")
    most: int = Field(64, ge=1, le=4096, description="Longest answer in tokens, also of those learned from; a longer one is cut.")
    beams: int = Field(1, ge=1, le=16, description="Answers followed at once; 1 takes the likeliest token each time.")
    packed: bool = Field(True, description="Decoders only: several examples share a row of a batch, kept apart; false gives each its own.")

    @field_validator("prompt")
    @classmethod
    def _names_the_text(cls, prompt: str) -> str:
        if "{text}" not in prompt:
            raise ValueError("the prompt must hold {text}, where the text is put")
        return prompt

    def fields(self) -> Sequence[str]:
        return ("text", self.target)

    def open(self, folder: Path, card: Card, setting: Setting) -> Any:
        return open_writer(folder, setting)

    def source(self, reader: Reader, rows: Sequence[Row], batch: int) -> Source:
        ends = _specials(reader)
        if empty := next((row["id"] for row in rows if not row[self.target].strip()), None):
            raise InputError(f"row {empty} has no {self.target}, so there is nothing to write", "leave the row out, or set task.target")
        written = [self._ended(ids, ends) for ids in _plain(reader, [row[self.target] for row in rows])]
        if ends.both:
            from sapwood.models.sources.sequence import Pairs

            return Pairs(self._read(reader, rows, ends), written, batch, ends.start, reader.pad)
        import numpy as np

        from sapwood.models.sources.packed import WIDTH, Packed

        prompts = self._read(reader, rows, ends)
        examples = [(np.concatenate([a, b]), np.repeat([False, True], [len(a), len(b)])) for a, b in zip(prompts, written, strict=True)]
        return Packed(examples, batch, reader.pad, self.packed, max(WIDTH, *(len(ids) for ids, _ in examples)))

    def objective(self, smoothing: float = 0.0) -> Objective:
        from sapwood.models.objectives.written import written

        return written(smoothing)

    def answers(self, model: Any, reader: Reader, rows: Sequence[Row], precision: str, advance: Advance = None) -> Answers:
        from sapwood.models.generate import Writing, write

        ends = _specials(reader)
        writing = Writing(self.most, ends.ends, reader.pad, self.beams)
        made = write(model, self._read(reader, rows, ends), writing, precision == "bf16", advance)
        return [reader.tokenizer.decode([int(i) for i in ids], skip_special_tokens=True).strip() for ids in made]

    def measured(self, rows: Sequence[Row], answers: Answers, labels: Sequence[str]) -> Measured:
        from sapwood.metrics import written

        return written.measured([str(answer) for answer in answers], [row[self.target] for row in rows])

    def _read(self, reader: Reader, rows: Sequence[Row], ends: Specials) -> list[Ids]:
        """What the model reads of each row. Of a text that is too long the end is cut, never the prompt's own words."""
        if ends.both:
            from sapwood.models import texts

            return texts.encode(reader.tokenizer, [row["text"] for row in rows], reader.card.prefix, reader.card.max_tokens)
        import numpy as np

        before, _, after = (reader.card.prefix + self.prompt).partition("{text}")
        first, last = (_plain(reader, [part])[0] for part in (before, after))
        room = reader.card.max_tokens - len(ends.begin) - len(first) - len(last) - self.most
        if room < 1:
            raise InputError(
                f"max_tokens {reader.card.max_tokens} leaves no room for a text beside {self.most} tokens to write", "set task.most lower"
            )
        begin = np.asarray([*ends.begin, *first], dtype=np.int64)
        return [np.concatenate([begin, ids[:room], last]) for ids in _plain(reader, [row["text"] for row in rows])]

    def _ended(self, ids: Ids, ends: Specials) -> Ids:
        import numpy as np

        return np.concatenate([ids, [ends.ends[0]]])[: self.most]  # one that is cut does not end there


def open_writer(folder: Path, setting: Setting) -> Any:
    """The language model of a folder, encoder-decoder or decoder, in fp32."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM

    from sapwood.models import additions, architectures

    config = AutoConfig.from_pretrained(folder)
    if config.model_type not in ENCODER_DECODERS | DECODERS:
        raise InputError(f"a {config.model_type} model cannot write", f"start from one of {', '.join(sorted(ENCODER_DECODERS | DECODERS))}")
    if setting.dropout is not None:
        for name in ("dropout_rate", "dropout", "attention_dropout", "resid_pdrop", "embd_pdrop", "attn_pdrop"):
            if hasattr(config, name):
                setattr(config, name, setting.dropout)
    kind = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
    options = {"config": config, "dtype": torch.float32, "attn_implementation": architectures.attention(setting.precision)}
    with architectures.seeded(setting.seed), architectures.quiet():
        return additions.opened(folder, kind.from_pretrained(folder, **options))


def _plain(reader: Reader, given: Sequence[str]) -> list[Ids]:
    """Ids without special tokens."""
    import numpy as np

    from sapwood.models.texts import whole

    rows = reader.tokenizer.encode_batch_fast(whole(given), add_special_tokens=False)
    return [np.asarray(row.ids, dtype=np.int64) for row in rows]


def _specials(reader: Reader) -> Specials:
    from sapwood.models.specials import specials

    assert reader.folder is not None, "the reader of a task that writes knows the model's folder"
    return specials(reader.folder, reader.tokenizer, reader.pad)
