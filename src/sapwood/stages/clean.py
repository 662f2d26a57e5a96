"""The stage that cleans rows. The science is in `sapwood.text.quality.cleaning` and `sapwood.text.quality.rules`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from sapwood.artifact import Report
from sapwood.errors import Interrupted
from sapwood.stage import Estimate, Rows, Stage, Work
from sapwood.stages.measure import measuring
from sapwood.text.quality.criteria import GENTLE, Boilerplate, Rule, Ruleset, WordList

if TYPE_CHECKING:
    from sapwood.text.quality.cleaning import Measuring
    from sapwood.text.quality.ledger import Ledger


class Limits(BaseModel):
    """Limits for one language, in place of the stage's own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_chars: int | None = Field(None, ge=0, description="Shortest text to keep, in characters.")
    max_chars: int | None = Field(None, ge=1, description="Longest text to keep, in characters.")
    max_symbols: float | None = Field(None, ge=0, le=1, description="Largest share of punctuation, symbols and emoji.")
    max_repetition: float | None = Field(None, ge=0, le=1, description="Largest share of repeated 5-word or 5-character runs.")


SIMPLE = {
    "min_chars": ("too short", "characters", "at_least"),
    "max_chars": ("too long", "characters", "at_most"),
    "max_symbols": ("too many symbols", "symbols", "at_most"),
    "max_repetition": ("too repetitive", "repeated_shingles", "at_most"),
}
"""Fields that are a rule each: its name, statistic and comparison."""


class Cleaned(NamedTuple, Generic[Rows]):
    kept: Rows
    dropped: Rows
    report: Report


class Clean(Stage):
    """Normalise text, tell its language, and drop rows that are too short, too long, noise or unwanted; each with its reason.

    Rules are judged over statistics: those that `measure` stored, else they are measured on the way. Dropped rows carry `dropped`,
    `value`, `limit` and `rule` in `meta`. Copies go in `dedup`, personal data in `mask`.
    """

    version: ClassVar[int] = 2
    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {},
        {
            "languages": ["zh", "en"],
            "limits": {"en": {"min_chars": 20}},
            "rules": {"bullets": {"statistic": "bullets", "limit": 0.9, "when": {"lines": 10}}, "cut lines": None},
            "boilerplate": {"min_documents": 50},
            "force": True,
        },
    )

    min_chars: int = Field(2, ge=0, description="Shortest text to keep, in characters. Gentle: short dialogue lines are legitimate.")
    max_chars: int = Field(1_000_000, ge=1, description="Longest text to keep, in characters.")
    max_symbols: float = Field(0.8, ge=0, le=1, description="Largest share of punctuation, symbols and emoji in what is visible.")
    max_repetition: float = Field(0.8, ge=0, le=1, description="Largest share of 5-word or 5-character runs that were there before.")
    limits: dict[str, Limits] = Field({}, description="Other limits for a language, by its code: {en: {min_chars: 20}}.")
    languages: list[str] = Field([], description="Language codes to keep; empty keeps all. Rows of unknown language (und) always stay.")
    rules: dict[str, Rule | None] = Field(
        {}, description="More rules, by name: a statistic, a comparison and a limit. The name of a built-in rule changes it; null is none."
    )
    word_lists: dict[str, WordList] = Field({}, description="Word lists that rules may name, as hits per 1,000 units: toxic, bias.")
    boilerplate: Boilerplate | None = Field(None, description="Take out lines that many documents of one source share, such as menus.")
    max_share: float = Field(0.95, gt=0, le=1, description="Stop when one rule removes more than this share of a language or source.")
    force: bool = Field(False, description="Go on although a rule removes more than max_share.")

    def fingerprint(self, workspace: Path) -> str:
        from sapwood.text.quality import word_lists

        return word_lists.fingerprint(self.word_lists, workspace)

    def check(self, workspace: Path) -> list[str]:
        from sapwood.text.quality import rules

        faults = [fault for name, one in self.word_lists.items() for fault in one.faults(name, workspace)]
        return faults + rules.check(self.ruleset().rules, tuple(self.word_lists))

    def estimate(self, bytes_in: int) -> Estimate:
        return Estimate(2 + bytes_in / 8e6, 600_000_000, bytes_in)

    def run(self, work: Work, documents: Rows) -> Cleaned[Rows]:
        from sapwood import report
        from sapwood.text import rows
        from sapwood.text.quality import cleaning, funnel, ledger, rules
        from sapwood.text.writer import Writer

        ruleset = self.ruleset()
        rules.refuse_unknown(ruleset.rules, tuple(self.word_lists))
        source = work.path(documents)
        how = measuring(work, source, self.word_lists, self.boilerplate)
        judged, changes = ledger.Ledger(ruleset), Counter[str]()
        folders = {name: work.new(name) for name in ("kept", "dropped", "report")}
        schema = cleaning.schema_after(rows.schema(source), how)
        with (
            Writer(folders["kept"], schema) as kept,
            Writer(folders["dropped"], schema) as dropped,
            work.progress("clean", rows.count(source), "rows") as meter,
        ):
            for batch in rows.batches(source, size=BATCH):
                if work.stopping():
                    raise Interrupted("stopped while cleaning", "run the same command again")
                _clean(batch, how, judged, changes, (kept, dropped))
                meter.advance(batch.num_rows)
        if not self.force:
            judged.refuse_suspicious(self.max_share)
        summary = funnel.summary(judged)
        report.write(folders["report"], "Cleaning", summary, funnel.data(judged, changes), funnel.blocks(judged, changes))
        work.say(summary)
        kind = type(documents)
        return Cleaned(work.put(kind, folders["kept"]), work.put(kind, folders["dropped"]), work.put(Report, folders["report"]))

    def ruleset(self) -> Ruleset:
        """The rules in the order they are judged: the simple fields, the gentle ones, those of `rules`."""
        made: dict[str, Rule | None] = {}
        for field, (name, statistic, comparison) in SIMPLE.items():
            others = {code: getattr(one, field) for code, one in self.limits.items() if getattr(one, field) is not None}
            made[name] = Rule.model_validate(
                {"statistic": statistic, "comparison": comparison, "limit": getattr(self, field), "limits": others}
            )
        made |= {**GENTLE, **self.rules}
        return Ruleset({name: rule for name, rule in made.items() if rule is not None}, tuple(self.languages))


BATCH = 2048  # rows


def _clean(batch: Any, how: Measuring, judged: Ledger, changes: Counter[str], writers: tuple[Any, Any]) -> None:
    """One batch: measured, judged, written and counted."""
    import pyarrow as pa

    from sapwood.text import fields
    from sapwood.text.quality import cleaning, ledger, rules

    table, stats, changed = cleaning.measure(pa.Table.from_batches([batch]), how)
    codes = fields.values(table, "language")
    verdicts = rules.judge(judged.ruleset, stats, codes, cleaning.varieties(table))
    changes.update(changed)
    writers[0].add_table(table.filter(pa.array(verdicts.stays)))
    writers[1].add_table(cleaning.mark(table, verdicts, judged.ruleset, codes))
    shown = ledger.Samples(*(fields.values(table, name) for name in ("id", "text", "text_digest")))
    judged.add(verdicts, {"language": codes, "source": fields.values(table, "source")}, stats, shown)
