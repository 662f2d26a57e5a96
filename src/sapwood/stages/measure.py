"""The stage that measures rows once, so that rules can be judged over them again and again. The science is in `sapwood.text.quality.statistics`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NamedTuple

from pydantic import Field

from sapwood.artifact import Report
from sapwood.errors import Interrupted
from sapwood.stage import Estimate, Rows, Stage, Work
from sapwood.text.quality.criteria import Boilerplate, WordList

if TYPE_CHECKING:
    from sapwood.text.quality.cleaning import Measuring

BATCH = 2048  # rows


class Measured(NamedTuple, Generic[Rows]):
    documents: Rows
    report: Report


class Measure(Stage):
    """Normalise text, tell its language, and store the statistics of every row in the column `stats`; nothing is dropped.

    `clean` then judges its rules over the stored numbers, and `sapwood data what-if` shows in seconds what other limits would do.
    """

    version: ClassVar[int] = 1
    examples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"boilerplate": {"min_documents": 50, "min_share": 0.2}})

    word_lists: dict[str, WordList] = Field({}, description="Word lists to count, as hits per 1,000 units: toxic, bias.")
    boilerplate: Boilerplate | None = Field(None, description="Take out lines that many documents of one source share, such as menus.")

    def fingerprint(self, workspace: Path) -> str:
        from sapwood.text.quality import word_lists

        return word_lists.fingerprint(self.word_lists, workspace)

    def check(self, workspace: Path) -> list[str]:
        return [fault for name, one in self.word_lists.items() for fault in one.faults(name, workspace)]

    def estimate(self, bytes_in: int) -> Estimate:
        return Estimate(2 + bytes_in / 8e6, 600_000_000, bytes_in)

    def run(self, work: Work, documents: Rows) -> Measured[Rows]:
        import pyarrow as pa

        from sapwood.text import fields, rows
        from sapwood.text.quality import cleaning, summaries
        from sapwood.text.writer import Writer

        source, changes = work.path(documents), Counter[str]()
        how = measuring(work, source, self.word_lists, self.boilerplate)
        folder, told = work.new("documents"), summaries.Summary(how.names)
        with (
            Writer(folder, cleaning.schema_with_stats(rows.schema(source), how)) as out,
            work.progress("measure", rows.count(source), "rows") as meter,
        ):
            for batch in rows.batches(source, size=BATCH):
                if work.stopping():
                    raise Interrupted("stopped while measuring", "run the same command again")
                table, stats, changed = cleaning.measure(pa.Table.from_batches([batch]), how)
                stats = {name: stats[name] for name in how.names}
                out.add_table(cleaning.with_stats(table, stats))
                told.add(fields.values(table, "language"), cleaning.varieties(table), stats)
                changes.update(changed)
                meter.advance(batch.num_rows)
        page = work.new("report")
        told.write(page, changes, how.lines)
        work.say(told.line())
        return Measured(work.put(type(documents), folder), work.put(Report, page))


def measuring(work: Work, source: Path, lists: dict[str, WordList], options: Boilerplate | None) -> Measuring:
    """Word lists read, and boilerplate found (two more readings of the text)."""
    from sapwood.text import fields, rows
    from sapwood.text.quality import boilerplate, cleaning, word_lists

    found = word_lists.load(lists, work.workspace, work.say)
    if options is None:
        return cleaning.Measuring(found)

    def batches() -> Any:
        for batch in rows.batches(source, ["text", "source"]):
            yield fields.texts(batch), fields.values(batch, "source")

    return cleaning.Measuring(found, boilerplate.find(options, batches), options)
