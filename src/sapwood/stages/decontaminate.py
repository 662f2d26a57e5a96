"""The stage that keeps evaluation texts out of training text. The science is in `sapwood.text.contamination`."""

from __future__ import annotations

from typing import ClassVar, Generic, NamedTuple

from pydantic import Field

from sapwood.artifact import Documents, Examples, Report
from sapwood.stage import Rows, Stage, Work


class Decontaminated(NamedTuple, Generic[Rows]):
    kept: Rows
    dropped: Rows
    report: Report


class Decontaminate(Stage):
    """Drop documents that copy, nearly copy or contain a text of an evaluation set, with the evidence.

    Dropped rows carry `dropped`, `evidence` (the id of the evaluation text) and `value` (similarity or coverage) in `meta`.
    """

    carries: ClassVar[tuple[str, ...] | None] = ("documents",)

    near: float = Field(0.7, gt=0, le=1, description="Jaccard similarity from which a document is a near copy of an evaluation text.")
    coverage: float = Field(
        0.8, gt=0, le=1, description="Share of an evaluation text's 5-word or 5-character runs that a document may not hold."
    )

    def run(self, work: Work, documents: Rows, against: list[Documents | Examples]) -> Decontaminated[Rows]:
        from sapwood import report
        from sapwood.text import contamination, rows

        table = rows.read(work.path(documents))
        sets = [rows.read(work.path(one), ["id", "text"]) for one in against]
        with work.progress("decontaminate", 1, "steps") as meter:
            found = contamination.contaminated(table, sets, self.near, self.coverage)
            meter.advance()
        kept, dropped = contamination.parted(table, found, contamination.ids_of(sets))
        folders = {name: work.new(name) for name in ("kept", "dropped", "report")}
        rows.write(folders["kept"], kept)
        rows.write(folders["dropped"], dropped)
        told = contamination.told(table, sets, found)
        report.write(folders["report"], "Decontamination", told.summary, told.data, told.blocks)
        work.say(told.summary)
        kind = type(documents)
        return Decontaminated(work.put(kind, folders["kept"]), work.put(kind, folders["dropped"]), work.put(Report, folders["report"]))
