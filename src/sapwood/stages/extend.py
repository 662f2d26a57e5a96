"""Extend: give a pretrained tokenizer, and its model, pieces for the team's own text."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

from pydantic import Field

from sapwood.artifact import Documents, Examples, Model, Report, Tokenizer
from sapwood.errors import InputError
from sapwood.stage import Estimate, Json, Stage, Work

Grown = TypeVar("Grown", Model, Tokenizer)


class ExtendOut(NamedTuple, Generic[Grown]):
    extended: Grown
    report: Report


class Extend(Stage):
    """Add pieces for the team's own text to a tokenizer, or to a model with its embeddings; what it knows keeps its ids and its rows.

    A model has to be trained further afterwards: new rows start as the mean of the pieces they are made of.
    """

    examples: ClassVar[tuple[dict[str, Json], ...]] = (
        {"pieces": 20, "min_frequency": 2, "max_chars": 10_000, "sample_seed": 1, "name": "wider"},
    )

    pieces: int = Field(2000, ge=1, le=200_000, description="New pieces at most; fewer where the text has no more frequent ones.")
    min_frequency: int = Field(10, ge=2, description="How often a piece must be there to be added.")
    max_chars: int = Field(
        5_000_000, ge=1000, le=1_000_000_000, description="Characters to find pieces in, shared equally by languages and their sources."
    )
    sample_seed: int = Field(0, ge=0, lt=2**63, description="Another number draws another sample.")
    name: str = Field("", description="Name of the new model; empty adds -extended to the old one. A tokenizer has no name.")

    def estimate(self, bytes_in: int) -> Estimate:
        size = min(bytes_in, 3 * self.max_chars)
        return Estimate(20 + size / 100e3, 1_500_000_000 + 40 * size, 600_000_000)

    def run(self, work: Work, base: Grown, documents: list[Documents | Examples]) -> ExtendOut[Grown]:
        from sapwood.models.texts import load_tokenizer
        from sapwood.text.tokens import extending, stratified

        if self.name and isinstance(base, Tokenizer):
            raise InputError("name is for a model, and the base is a tokenizer", "leave name out")
        source = work.path(base)
        old = load_tokenizer(source)
        drawn = stratified.draw(map(work.path, documents), self.max_chars, self.sample_seed, work.stopping)
        made = extending.extend(old, drawn.texts, self.pieces, self.min_frequency)
        if not made.ids:
            raise InputError(
                f"no new piece is there {self.min_frequency} times in {sum(map(len, drawn.texts)):,} characters",
                "lower min_frequency, or give more text",
            )
        words = work.new("tokenizer")
        copied(source, words)
        (words / "tokenizer.json").write_text(made.tokenizer.to_str(pretty=True) + "\n", encoding="utf-8")
        page = self._report(work, old, made, drawn)
        folder = words if isinstance(base, Tokenizer) else self._model(work, base, words, made)
        return ExtendOut(work.put(type(base), folder), page)

    def _model(self, work: Work, base: Any, words: Path, made: Any) -> Path:
        from sapwood.models import extending
        from sapwood.models.card import read_card

        card = read_card(work.path(base))
        card = card.model_copy(update={"name": self.name or f"{card.name}-extended", "base": base.digest, "method": "extend"})
        folder = work.new("model")
        extending.extend(work.path(base), words, folder, made.ids, made.parts, card)
        return folder

    def _report(self, work: Work, old: Any, made: Any, drawn: Any) -> Report:
        from sapwood import report
        from sapwood.text.tokens.fertility import fertility, table

        rows = {"before": fertility(old, drawn.measured), "after": fertility(made.tokenizer, drawn.measured)}
        before, after = ({row.language: row.bytes_per_token for row in found} for found in rows.values())
        change = ", ".join(f"{language} {before[language]:.2f} to {after[language]:.2f}" for language in after)
        summary = f"{len(made.ids)} new pieces; bytes per token: {change}."
        data = {
            "pieces": len(made.ids),
            "first_id": made.ids[0],
            "fertility": {name: {row.language: row._asdict() for row in found} for name, found in rows.items()},
        }
        shown = [
            (number, made.tokenizer.decode([number]), " + ".join(old.id_to_token(part) for part in parts) or "new letter")
            for number, parts in list(zip(made.ids, made.parts, strict=True))[:50]
        ]
        blocks = [table(rows, drawn.note), report.table("First new pieces", ("id", "text", "made of"), shown)]
        folder = work.new("report")
        report.write(folder, "Extended vocabulary", summary, data, blocks)
        work.say(summary)
        return work.put(Report, folder)


def copied(source: Path, folder: Path) -> None:
    """The tokenizer's other files, as they are."""
    import shutil

    from sapwood.models.foreign import TOKENIZER_FILES

    for name in TOKENIZER_FILES:
        if (source / name).is_file():
            shutil.copyfile(source / name, folder / name)
