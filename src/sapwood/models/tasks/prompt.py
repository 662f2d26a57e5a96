"""Classes as words in a blank: what a masked language model already knows, with few examples or none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from sapwood.errors import InputError
from sapwood.models.tasks.classification import numbers
from sapwood.models.tasks.task import Advance, Answers, Reader, Row, Setting, Task, Told

if TYPE_CHECKING:
    from pathlib import Path

    from sapwood.metrics.measured import Measured
    from sapwood.models.card import Card
    from sapwood.models.objectives.terms import Objective
    from sapwood.models.sources.source import Source

BLANK = "{blank}"


class Prompt(Task):
    """One class a text, told by the word that a masked language model puts into a blank (Schick and Schuetze 2021): no new weights, so a few
    examples do, or none (stage `ask`). An answer is the probability of each class, shared among their words only.

    It needs the model's own head for masked words. What a word says of a class is for the recipe to know, and small models know little.
    """

    best: ClassVar[str] = "macro_f1"
    model_types: ClassVar[frozenset[str]] = frozenset({"bert", "albert", "roberta", "xlm-roberta", "electra", "distilbert", "modernbert"})

    kind: Literal["prompt"] = "prompt"
    label: str = Field("label", description="Field with the class.")
    template: str = Field("{text} {blank}", description="What the model reads: {text} stands for the text, {blank} for the word to guess.")
    words: dict[str, str] = Field(
        {"negative": "bad", "positive": "good"}, min_length=2, description="The word of each class, class: word; one token each."
    )

    @model_validator(mode="after")
    def _readable(self) -> Self:
        if self.template.count("{text}") != 1 or self.template.count(BLANK) != 1:
            raise ValueError("template must hold {text} once and {blank} once")
        if len(set(self.words.values())) < len(self.words):
            raise ValueError("two classes have the same word")
        return self

    def fields(self) -> Sequence[str]:
        return ("text", self.label)

    def labels(self, rows: Sequence[Row]) -> tuple[str, ...]:
        if strange := sorted({row[self.label] for row in rows} - set(self.words)):
            raise InputError(f"the examples have labels without a word: {', '.join(strange)}", "name their words in task.words")
        return tuple(sorted(self.words))

    def open(self, folder: Path, card: Card, setting: Setting) -> Any:
        from sapwood.models.objectives import blanks

        return blanks.opened(folder, setting)

    def source(self, reader: Reader, rows: Sequence[Row], batch: int) -> Source:
        from sapwood.models.sources.blanks import Blanks

        ids, places = self._encoded(reader, rows)
        truth = numbers(reader.card.labels, [row[self.label] for row in rows])
        return Blanks(ids, places, truth, self._tokens(reader), batch, reader.pad)

    def objective(self, smoothing: float = 0.0) -> Objective:
        from sapwood.models.objectives.blanks import blanks

        return blanks(smoothing)

    def answers(self, model: Any, reader: Reader, rows: Sequence[Row], precision: str, advance: Advance = None) -> Answers:
        import numpy as np

        from sapwood.models.objectives.blanks import probabilities
        from sapwood.models.sources.blanks import Blanks

        ids, places = self._encoded(reader, rows)
        source = Blanks(ids, places, np.zeros(len(ids), dtype=np.int64), self._tokens(reader), len(ids), reader.pad)
        return probabilities(model, source, precision, advance)

    def measured(self, rows: Sequence[Row], answers: Answers, labels: Sequence[str]) -> Measured:
        import numpy as np

        from sapwood.metrics import classes

        return classes.single(numbers(labels, [row[self.label] for row in rows]), np.asarray(answers, dtype=np.float64))

    def told(self, row: Row, answer: Any, labels: Sequence[str]) -> Told:
        return Told(row["text"], row[self.label], labels[int(answer.argmax())])

    def _tokens(self, reader: Reader) -> Any:
        """The token of each class's word, in the order of the card's labels."""
        import numpy as np

        found = []
        for label in reader.card.labels:
            word = self.words.get(label, "")
            ids = reader.tokenizer.encode(word, add_special_tokens=False).ids
            if len(ids) != 1 or ids[0] == reader.tokenizer.token_to_id("[UNK]"):
                raise InputError(f"the word {word!r} of class {label} is {len(ids)} tokens, or unknown", "choose a word that is one token")
            found.append(ids[0])
        return np.asarray(found, dtype=np.int64)

    def _encoded(self, reader: Reader, rows: Sequence[Row]) -> tuple[list[Any], Any]:
        """(ids of each filled template, the place of its blank). Of a text that is too long the end goes, so that the blank stays."""
        import numpy as np

        from sapwood.models import texts

        mask = next((i for name in ("[MASK]", "<mask>") if (i := reader.tokenizer.token_to_id(name)) is not None), None)
        if mask is None:
            raise InputError("the tokenizer has no token for a blank ([MASK] or <mask>)", "start from a masked language model")
        parts = [part.split("{text}") for part in self.template.split(BLANK)]
        around = [self._pieces(reader, part) for part in parts]
        room = reader.card.max_tokens - sum(len(piece) for side in around for piece in side) - 3
        if room < 1:
            raise InputError(f"max_tokens {reader.card.max_tokens} leaves no room for text beside the template", "raise max_tokens")
        begin, end = self._ends(reader)
        given = reader.tokenizer.encode_batch_fast(texts.whole([row["text"] for row in rows]), add_special_tokens=False)
        ids, places = [], []
        for one in given:
            text = one.ids[:room]
            left, right = ([token for i, piece in enumerate(side) for token in ([*text] if i else []) + piece] for side in around)
            places.append(len(begin) + len(left))
            ids.append(np.asarray([*begin, *left, mask, *right, *end], dtype=np.int64))
        return ids, np.asarray(places, dtype=np.int64)

    def _pieces(self, reader: Reader, parts: Sequence[str]) -> list[list[int]]:
        return [reader.tokenizer.encode(part, add_special_tokens=False).ids if part else [] for part in parts]

    def _ends(self, reader: Reader) -> tuple[list[int], list[int]]:
        """What the tokenizer puts before and after a text."""
        whole = reader.tokenizer.encode("a").ids
        inner = len(reader.tokenizer.encode("a", add_special_tokens=False).ids)
        before = next(i for i in range(len(whole)) if whole[i : i + inner] == reader.tokenizer.encode("a", add_special_tokens=False).ids)
        return whole[:before], whole[before + inner :]
