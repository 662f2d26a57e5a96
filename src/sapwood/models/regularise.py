"""Regularise: what holds training back from learning its examples by heart, and from answers that harm. Loads no torch until used.

Weight decay is a field of the optimiser, dropout and early stopping are fields of the stage.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from sapwood.errors import InputError

if TYPE_CHECKING:
    from sapwood.models.objectives.terms import Objective
    from sapwood.models.sources.source import Source
    from sapwood.models.tasks.task import Reader, Row
    from sapwood.models.train import Extra

COMPARED: Mapping[str, Literal["classes", "flags", "numbers"]] = {
    "classification": "classes",
    "relations": "classes",
    "tokens": "classes",
    "multilabel": "flags",
    "regression": "numbers",
}
"""Tasks whose answers can be compared with one another, and how."""
WRITES = frozenset({"chat", "sequence"})
"""Tasks that write text."""
ONE_TEXT = frozenset({"classification", "multilabel", "regression"})
"""Tasks that read the row's text as it is and nothing else."""
UNSMOOTHED = frozenset({"regression", "spans", "embedding", "ranking"})
"""Tasks whose target cannot be spread."""
TWICE = frozenset({"embedding"})
"""Tasks whose objective may encode a text again on the way back."""


class _Block(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Fgm(_Block):
    """One step to where the loss rises (Miyato et al. 2017). Costs one more pass each way."""

    kind: Literal["fgm"] = "fgm"
    size: float = Field(1.0, gt=0, description="How far the word vectors of a row are moved, L2 norm over the row.")


class Pgd(_Block):
    """Several steps (Madry et al. 2018). Costs as many more passes each way."""

    kind: Literal["pgd"] = "pgd"
    size: float = Field(1.0, gt=0, description="How far the word vectors of a row may be moved, L2 norm over the row.")
    steps: int = Field(3, ge=2, le=20, description="Steps.")
    stride: float = Field(0.4, gt=0, description="Length of a step.")


class Ema(_Block):
    """A mean that forgets: judged and kept in place of the last weights."""

    kind: Literal["ema"] = "ema"
    decay: float = Field(0.99, gt=0, lt=1, description="What is left of the mean after a step.")


class Tail(_Block):
    """The plain mean over the last steps (Izmailov et al. 2018)."""

    kind: Literal["tail"] = "tail"
    share: float = Field(0.25, gt=0, le=1, description="Share of the steps, from the end.")


class Avoid(_Block):
    """Phrases that the model must not write."""

    phrases: tuple[str, ...] = Field(min_length=1, description="What must not be written where an answer begins.")
    weight: float = Field(1.0, gt=0, description="Weight of the penalty.")


class Even(_Block):
    """Words that must not change the answer."""

    swaps: tuple[tuple[str, str], ...] = Field(
        (("he", "she"), ("his", "her"), ("man", "woman"), ("men", "women"), ("他", "她"), ("男", "女")),
        min_length=1,
        description="Pairs of words; a text and its twin, in which they are swapped, must be answered alike.",
    )
    weight: float = Field(1.0, gt=0, description="Weight of the penalty.")


class Regularise(_Block):
    """Against over-fitting, and against answers that harm."""

    label_smoothing: float = Field(0.0, ge=0, lt=1, description="Share of the target spread over all classes.")
    adversary: Annotated[Fgm | Pgd, Field(discriminator="kind")] | None = Field(
        None, description="Train on word vectors moved to where the loss rises, too."
    )
    r_drop: float = Field(0.0, ge=0, description="Weight of the difference of two answers under other dropout (R-Drop); 0 for none.")
    average: Annotated[Ema | Tail, Field(discriminator="kind")] | None = Field(
        None, description="Judge and keep an average of the weights over training."
    )
    avoid: Avoid | None = Field(None, description="Unlikelihood of given phrases, for tasks that write.")
    even: Even | None = Field(None, description="Alike answers for texts that differ in given words, for tasks that judge a text.")

    def refusals(self, task: str, dropout: float) -> list[str]:
        """What cannot be done with that task and that much dropout, one sentence each."""
        found = []
        if self.label_smoothing and task in UNSMOOTHED:
            found.append(f"regularise.label_smoothing spreads a target over classes or tokens, and {task} has no such target")
        if self.adversary and task in TWICE:
            found.append(f"regularise.adversary: the texts of {task} may be encoded again on the way back, where they would not be moved")
        if self.r_drop and task not in COMPARED:
            found.append(f"regularise.r_drop compares two answers to a text, which {task} does not have whole; leave it out")
        if self.r_drop and task in COMPARED and not dropout:
            found.append("regularise.r_drop compares two answers under other dropout, and there is no dropout; set it above 0")
        if self.avoid and task not in WRITES:
            found.append(f"regularise.avoid keeps a model from writing phrases, and {task} writes nothing")
        if self.even and task not in ONE_TEXT:
            found.append(f"regularise.even swaps words of the one text that a task judges ({', '.join(sorted(ONE_TEXT))}), not of {task}")
        return found

    def wrapped(self, inner: Objective, task: str, reader: Reader) -> Objective:
        """The objective with what this block adds."""
        from sapwood.models.objectives import wrapping
        from sapwood.models.objectives.unlikely import unlikely

        if self.r_drop:
            inner = wrapping.r_drop(inner, COMPARED[task], self.r_drop)
        if isinstance(self.adversary, Fgm):
            inner = wrapping.adversarial(inner, self.adversary.size)
        if isinstance(self.adversary, Pgd):
            inner = wrapping.adversarial(inner, self.adversary.size, self.adversary.steps, self.adversary.stride)
        if self.even:
            inner = wrapping.even(inner, self.even.weight)
        if self.avoid:
            inner = unlikely(inner, _phrases(reader, self.avoid.phrases), self.avoid.weight)
        return inner

    def twinned(self, source: Source, reader: Reader, rows: Sequence[Row]) -> Source:
        """The source with the twin of each text that has one."""
        if self.even is None:
            return source
        from sapwood.models import texts
        from sapwood.models.sources.mixed import Twinned
        from sapwood.text.swaps import swapped

        own = sorted({row["text"] for row in rows})
        pairs = [texts.encode(reader.tokenizer, every, reader.card.prefix, reader.card.max_tokens)
                 for every in (own, [swapped(text, self.even.swaps) for text in own])]  # fmt: skip
        differ = {a.tobytes(): b for a, b in zip(*pairs, strict=True) if a.tobytes() != b.tobytes()}
        return Twinned(source, differ, reader.pad)

    def extras(self, steps: int) -> Mapping[str, Extra]:
        """What has to happen beside each optimiser step."""
        if self.average is None:
            return {}
        from sapwood.models.averaging import Average

        if isinstance(self.average, Ema):
            return {"average": Average("ema", self.average.decay, 1)}
        return {"average": Average("tail", 0.0, steps - max(1, round(self.average.share * steps)) + 1)}


def _phrases(reader: Reader, phrases: Sequence[str]) -> list[Any]:
    import numpy as np

    found = [np.asarray(reader.tokenizer.encode(phrase, add_special_tokens=False).ids, dtype=np.int64) for phrase in phrases]
    if not any(len(ids) for ids in found):
        raise InputError("regularise.avoid.phrases: the tokenizer reads nothing in them", "give phrases with words")
    return [ids for ids in found if len(ids)]
