"""The stage that cleans rows. The science is in `sapwood.text.cleaning`."""

from __future__ import annotations

from typing import Any, ClassVar, Generic, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from sapwood.artifact import Report
from sapwood.stage import Rows, Stage, Work


class Limits(BaseModel):
    """Limits for one language, in place of the stage's own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_chars: int | None = Field(None, ge=0, description="Shortest text to keep, in characters.")
    max_chars: int | None = Field(None, ge=1, description="Longest text to keep, in characters.")
    max_symbols: float | None = Field(None, ge=0, le=1, description="Largest share of punctuation, symbols and emoji.")
    max_repetition: float | None = Field(None, ge=0, le=1, description="Largest share of repeated 5-word or 5-character runs.")


class Cleaned(NamedTuple, Generic[Rows]):
    kept: Rows
    dropped: Rows
    report: Report


class Clean(Stage):
    """Normalise text, tell its language, and drop rows that are too short, too long, noise, or copies; each with its reason.

    Rows with equal or nearly equal text and different labels are all dropped, since nobody can say which label is right.
    Dropped rows carry `dropped`, `value` and `limit` in `meta`.
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"mask": True, "languages": ["zh", "en"], "limits": {"en": {"min_chars": 20}}})

    min_chars: int = Field(2, ge=0, description="Shortest text to keep, in characters. Gentle: short dialogue lines are legitimate.")
    max_chars: int = Field(1_000_000, ge=1, description="Longest text to keep, in characters.")
    max_symbols: float = Field(0.8, ge=0, le=1, description="Largest share of punctuation, symbols and emoji in what is visible.")
    max_repetition: float = Field(0.8, ge=0, le=1, description="Largest share of 5-word or 5-character runs that were there before.")
    limits: dict[str, Limits] = Field({}, description="Other limits for a language, by its code: {en: {min_chars: 20}}.")
    languages: list[str] = Field([], description="Language codes to keep; empty keeps all. Rows of unknown language (und) always stay.")
    mask: bool = Field(False, description="Replace e-mails, phone, ID and card numbers by placeholders such as <EMAIL_ADDRESS>.")
    near: float = Field(
        0.8, ge=0, le=1, description="Jaccard similarity from which two rows are near-duplicates; 0 drops exact copies only."
    )
    keep: Literal["first", "longest"] = Field("first", description="Which of several copies is kept.")
    max_share: float = Field(0.95, gt=0, le=1, description="Stop when one rule removes more than this share of a language.")
    force: bool = Field(False, description="Go on although a rule removes more than max_share.")

    def run(self, work: Work, documents: Rows) -> Cleaned[Rows]:
        from sapwood import report
        from sapwood.text import cleaning, funnel, rows

        table = rows.read(work.path(documents))
        with work.progress("clean", table.num_rows, "rows") as meter:
            judged = cleaning.clean(table, self._rules(), meter.advance)
        if not self.force:
            cleaning.refuse_suspicious(judged, self.max_share)
        folders = {name: work.new(name) for name in ("kept", "dropped", "report")}
        rows.write(folders["kept"], judged.take(stays=True))
        rows.write(folders["dropped"], judged.take(stays=False))
        summary = funnel.summary(judged)
        report.write(folders["report"], "Cleaning", summary, funnel.data(judged), funnel.blocks(judged))
        work.say(summary)
        kind = type(documents)
        return Cleaned(work.put(kind, folders["kept"]), work.put(kind, folders["dropped"]), work.put(Report, folders["report"]))

    def _rules(self) -> Any:
        from sapwood.text import cleaning, quality

        own = {
            "min_chars": self.min_chars,
            "max_chars": self.max_chars,
            "max_symbols": self.max_symbols,
            "max_repetition": self.max_repetition,
        }
        by_language = {code: quality.Limits(**{**own, **other.model_dump(exclude_none=True)}) for code, other in self.limits.items()}
        return cleaning.Rules(quality.Limits(**own), by_language, tuple(self.languages), self.mask, self.near, self.keep)
